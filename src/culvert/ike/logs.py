"""Lines about what anybody can send are written at a bounded rate."""

from __future__ import annotations

from dataclasses import dataclass

from culvert.clock import SECOND
from culvert.limits import LOG_BURST, LOG_INTERVAL_S

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
"""The levels of `Log`, as the standard library numbers them."""


@dataclass(slots=True)
class Limiter:
    """A bucket of `LOG_BURST` lines that gains one each `LOG_INTERVAL_S` seconds."""

    left: int = LOG_BURST
    refilled_at: int = 0
    suppressed: int = 0

    def allow(self, now: int) -> bool:
        gained = (now - self.refilled_at) // (LOG_INTERVAL_S * SECOND)
        if gained > 0:
            self.left = min(LOG_BURST, self.left + gained)
            self.refilled_at += gained * LOG_INTERVAL_S * SECOND
        if self.left:
            self.left -= 1
            return True
        self.suppressed += 1
        return False
