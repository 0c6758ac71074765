"""The clock: an integer of nanoseconds that never goes backwards. Only this file reads the real one."""

from __future__ import annotations

import time
from typing import Protocol

SECOND = 1_000_000_000
"""Nanoseconds in a second."""


class Clock(Protocol):
    """What tells the time, in nanoseconds since an arbitrary start."""

    def now(self) -> int: ...

    def utc_s(self) -> int:
        """Give the time of day as seconds since 1970; it may be set, and so jump."""
        ...


class RealClock:
    """The host's monotonic clock."""

    def now(self) -> int:
        return time.monotonic_ns()

    def utc_s(self) -> int:
        return int(time.time())


class FakeClock:
    """A clock that stands still until it is moved; by its calendar it was first read on 15 January 2027."""

    def __init__(self, now: int = 0, utc_offset_s: int = 1_800_000_000) -> None:
        self._now, self.utc_offset_s = now, utc_offset_s

    def now(self) -> int:
        return self._now

    def utc_s(self) -> int:
        return self.utc_offset_s + self._now // SECOND

    def advance(self, nanoseconds: int) -> None:
        if nanoseconds < 0:
            raise ValueError("a clock does not go backwards")
        self._now += nanoseconds
