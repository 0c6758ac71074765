"""Whether the capture saw everything."""

from __future__ import annotations

from culvert.proof.evidence import Evidence
from culvert.proof.subject import Check, Subject

NAME = "capture"


def judge(subject: Subject, evidence: Evidence) -> Check:
    """What was not captured cannot be vouched for."""
    where = ", ".join(subject.outside)
    if not subject.outside:
        return Check(NAME, False, "No interface towards the Internet is known.", "Name one.")
    if evidence.lost:
        return Check(
            NAME,
            False,
            f"{evidence.lost} packets on {where} went by unseen.",
            "Run the proof again when there is less traffic.",
        )
    return Check(NAME, True, f"All {len(evidence.packets)} packets on {where} were looked at.")
