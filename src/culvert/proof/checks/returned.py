"""Whether the way back could be shown."""

from __future__ import annotations

from culvert.proof.evidence import Evidence
from culvert.proof.subject import Check, Subject

NAME = "return"


def judge(subject: Subject, evidence: Evidence) -> Check:
    """Replies came back. Their absence proves nothing: a machine may not answer ping, or not exist."""
    if evidence.flow is not None and not evidence.flow.icmp:
        return Check(
            NAME, None, "The way back was not asked for: ping is not what is protected, and nothing else answers."
        )
    times = [probe.answered_ns for probe in evidence.probes if probe.answered_ns is not None]
    if times:
        fastest = min(times) / 1_000_000
        return Check(
            NAME, True, f"{len(times)} of {len(evidence.probes)} probes were answered, the fastest in {fastest:.1f} ms."
        )
    arrived = len(evidence.esp(subject.spis_in, outgoing=False))
    seen = f"{arrived} ESP packets of the peer did arrive" if arrived else "no ESP of the peer arrived either"
    return Check(
        NAME,
        None,
        f"The way back could not be shown: {subject.remote_address} did not answer, and {seen}.",
        "Name a machine on the peer's side that answers ping.",
    )
