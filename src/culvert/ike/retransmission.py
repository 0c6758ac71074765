"""When a request is sent again, and when the peer counts as dead (RFC 7296 section 2.4)."""

from __future__ import annotations

from dataclasses import dataclass

from culvert.clock import SECOND

LONGEST_NS = 8 * SECOND
"""No wait is longer: after an outage the tunnel is found alive within this time."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """`first_ns` doubles with each of `attempts` transmissions, up to LONGEST_NS; after the last the peer is dead."""

    first_ns: int
    attempts: int

    def wait(self, transmissions: int) -> int | None:
        """Give the nanoseconds to wait after the n-th transmission (from 1), or None where it was the last one."""
        if transmissions > self.attempts:
            return None
        return min(self.first_ns << (transmissions - 1), LONGEST_NS)

    @property
    def total(self) -> int:
        """Nanoseconds from the first transmission until the peer counts as dead."""
        return sum(self.wait(number) or 0 for number in range(1, self.attempts + 1))


ESTABLISHED = Schedule(SECOND // 2, 11)
"""0.5 s doubling up to 8 s: dead after 63.5 s, long enough for a router to restart."""
SET_UP = Schedule(SECOND // 2, 7)
"""Dead after 31.5 s: nothing is lost yet, and another address may answer."""
