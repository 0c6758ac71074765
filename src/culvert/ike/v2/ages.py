"""Instants of a former process, where its clock was another one: then only the ages are true."""

from __future__ import annotations

from culvert.ike.v2.checkpoint import Checkpoint, Deadline, Snapshot
from culvert.ike.v2.sa import ChildSa, IkeSa, Lineage

# Of none there is None or 0.
INSTANTS: dict[type, tuple[str, ...]] = {
    Lineage: ("began_at", "established_at", "retry_at", "spi_told_at"),
    IkeSa: ("created_at", "last_heard", "established_at", "ask_at"),
    ChildSa: ("established_at",),
}


def as_of(now: int, found: Checkpoint) -> Snapshot:
    """Give the snapshot with its instants on our clock. One that goes on where it was is the same clock."""
    snapshot = found.snapshot
    if found.written_at <= now:
        return snapshot
    by = now - found.written_at
    for value in (snapshot.lineage, *snapshot.sas, *snapshot.lineage.children.values()):
        for name in INSTANTS[type(value)]:
            instant = getattr(value, name)
            setattr(value, name, instant and instant + by)
    deadlines = tuple(Deadline(one.timer, one.owner, one.at + by) for one in snapshot.deadlines)
    return Snapshot(snapshot.lineage, snapshot.sas, deadlines)
