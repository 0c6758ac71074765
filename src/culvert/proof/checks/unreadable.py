"""Whether the probes' octets can be read outside."""

from __future__ import annotations

from culvert.capture.summary import summarise
from culvert.proof.evidence import Evidence
from culvert.proof.subject import Check, Probe, Subject

NAME = "unreadable"
MAX_SHOWN = 3
PIECE_OCTETS = 8
"""A marker may be cut by fragments; by chance such a piece occurs once in 10^19 octets."""


def judge(subject: Subject, evidence: Evidence) -> Check:
    """No piece of any marker occurs in what was captured, at any offset; and no child leaves its content readable."""
    if subject.readable:
        return Check(
            NAME,
            False,
            f"AH encrypts nothing: what {' and '.join(subject.readable[:MAX_SHOWN])} carries can be read outside.",
            "Write esp_proposals in place of ah_proposals for what nobody shall read.",
        )
    pieces = _pieces(evidence.probes)
    for captured in evidence.packets:
        if any(piece in captured.octets for piece in pieces):
            return Check(
                NAME,
                False,
                f"The probe's content was readable on {captured.interface}: {summarise(captured)}",
                f"The tunnel does not carry this traffic. See culvert status {subject.peer}, and culvert check.",
            )
    octets = sum(len(captured.octets) for captured in evidence.packets)
    if not pieces:
        return Check(NAME, None, "No probe was sent whose content could have been looked for.")
    return Check(NAME, True, f"The probes' content occurs nowhere in the {octets} octets seen outside.")


def _pieces(probes: tuple[Probe, ...]) -> list[bytes]:
    markers = [probe.marker for probe in probes if probe.sent]
    return [
        marker[start : start + PIECE_OCTETS]
        for marker in markers
        for start in range(0, len(marker) - PIECE_OCTETS + 1, PIECE_OCTETS)
    ]
