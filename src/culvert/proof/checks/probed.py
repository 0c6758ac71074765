"""Whether probes could be sent at all."""

from __future__ import annotations

from culvert.proof.evidence import Evidence
from culvert.proof.subject import Check, Subject

NAME = "probe"


def judge(subject: Subject, evidence: Evidence) -> Check:
    """Some marked octets must have entered the tunnel, else their absence outside says nothing."""
    if subject.local_address is None:
        networks = ", ".join(str(network) for network in subject.local_networks)
        return Check(
            NAME,
            False,
            f"This gateway has no address inside {networks}, so it cannot send a probe from there.",
            "Give it one, or run the proof while a machine of that network pings one of the peer's.",
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
    return Check(NAME, True, f"{len(sent)} marked packets were sent from {subject.local_address}.")
