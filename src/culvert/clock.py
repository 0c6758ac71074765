"""The clock: an integer of nanoseconds that never goes backwards. Only this file reads the real one."""

from __future__ import annotations

import time
from typing import Protocol

SECOND = 1_000_000_000
"""Nanoseconds in a second."""


class Clock(Protocol):
    """What tells the time, in nanoseconds since an arbitrary start."""

    def now(self) -> int: ...


class RealClock:
    """The host's monotonic clock."""

    def now(self) -> int:
        return time.monotonic_ns()


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: int = 0) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def advance(self, nanoseconds: int) -> None:
        if nanoseconds < 0:
            raise ValueError("a clock does not go backwards")
        self._now += nanoseconds
