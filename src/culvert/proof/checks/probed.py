"""Whether probes could be sent at all."""

from __future__ import annotations

from culvert.proof.evidence import Evidence
from culvert.proof.protection import Flow, text_of
from culvert.proof.subject import Check, Subject
from culvert.wire.ip import TCP

NAME = "probe"


def judge(subject: Subject, evidence: Evidence) -> Check:
    """Some marked octets must have entered the tunnel, else their absence outside says nothing."""
    if subject.local_address is None:
        networks = ", ".join(str(network) for network in subject.local_networks)
        return Check(
            NAME,
            False,
            f"This gateway has no address inside {networks}, so it cannot send a probe from there.",
            "Give it one, or run the proof while a machine of that network speaks with one of the peer's.",
        )
    if evidence.flow is None and not evidence.probes:
        protected = ", ".join(text_of(selector) for selector in subject.protected)
        return Check(
            NAME,
            False,
            f"No probe was tried: of what is protected ({protected}), {subject.local_address} can send neither ping, "
            "nor TCP, nor UDP.",
            "A child of one of these, or an address of this gateway inside of it, would make it possible.",
        )
    sent = [probe for probe in evidence.probes if probe.sent]
    if not sent:
        error = evidence.probes[0].error if evidence.probes else "none was tried"
        return Check(
            NAME,
            False,
            f"No probe could be sent from {subject.local_address}: {error}.",
            "The tunnel is not up, or the fence holds its traffic back: culvert status",
        )
    return Check(NAME, True, f"{len(sent)} marked {_kind(evidence.flow)} were sent from {subject.local_address}.")


def _kind(flow: Flow | None) -> str:
    if flow is None or flow.ports is None or flow.icmp:
        return "packets"
    return f"packets of {'tcp' if flow.protocol == TCP else 'udp'}, port {flow.ports[0]} to {flow.ports[1]},"
