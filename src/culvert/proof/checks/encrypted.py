"""Whether the probes left as ESP of this peer, and ESP came back."""

from __future__ import annotations

from culvert.proof.evidence import Evidence, SeenEsp
from culvert.proof.protection import Flow
from culvert.proof.subject import Check, Probe, Subject
from culvert.wire.ip import TCP

NAME = "encrypted"
IP_OCTETS = {4: 20, 6: 40}
TCP_OCTETS = 20
ICMP_OR_UDP_OCTETS = 8
ESP_OVERHEAD_OCTETS = 8 + 2 + 12
"""Least that ESP adds behind its header: IV of 8, trailer of 2, ICV of 12."""


def judge(subject: Subject, evidence: Evidence) -> Check:
    """At least as many ESP packets left as probes were sent, each large enough to hold one, with this peer's SPIs."""
    sent = [probe for probe in evidence.probes if probe.sent]
    left = _distinct(evidence.esp(subject.spis_out, outgoing=True))
    arrived = _distinct(evidence.esp(subject.spis_in, outgoing=False))
    if not sent or evidence.flow is None:
        return Check(NAME, None, f"{len(left)} ESP packets left, but no probe was among them.")
    least = _least(sent[0], evidence.flow, subject.transport)
    large = [one for one in left if len(one.esp.sealed) >= least]
    where = ", ".join(subject.outside)
    if len(large) < len(sent):
        return Check(
            NAME,
            False,
            f"{len(sent)} probes were sent, and only {len(large)} ESP packets of this peer that could hold one "
            f"left by {where}.",
            "Is the peer reached by another interface? Otherwise the tunnel is not up: culvert status",
        )
    return Check(NAME, True, f"{len(left)} ESP packets left and {len(arrived)} arrived by {where} meanwhile.")


def _least(probe: Probe, flow: Flow, transport: bool) -> int:
    """Give the least that the ESP of a probe holds; in transport mode its IP header stays in front."""
    header = TCP_OCTETS if flow.protocol == TCP else ICMP_OR_UDP_OCTETS
    inner = 0 if transport else IP_OCTETS[flow.source.version]
    return inner + header + len(probe.payload) + ESP_OVERHEAD_OCTETS


def _distinct(seen: list[SeenEsp]) -> list[SeenEsp]:
    """The same packet shows on a bridge and on its port."""
    return list({(one.esp.spi, one.esp.sequence): one for one in seen}.values())
