"""Lines about what anybody can send are written at a bounded rate."""

from __future__ import annotations

from dataclasses import dataclass

from culvert.clock import SECOND
from culvert.limits import LOG_BURST, LOG_INTERVAL_S, MAX_LOG_LINE_CHARACTERS

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
"""The levels of `Log`, as the standard library numbers them."""
IKE = "ike"
"""The core's topic of debugging."""


@dataclass(slots=True)
class Limiter:
    """A bucket of `burst` lines that gains one each `interval_ns`."""

    left: int = LOG_BURST
    burst: int = LOG_BURST
    interval_ns: int = LOG_INTERVAL_S * SECOND
    refilled_at: int = 0
    suppressed: int = 0

    def allow(self, now: int) -> bool:
        gained = (now - self.refilled_at) // self.interval_ns
        if gained > 0:
            self.left = min(self.burst, self.left + gained)
            self.refilled_at += gained * self.interval_ns
        if self.left:
            self.left -= 1
            return True
        self.suppressed += 1
        return False


def printable(text: str) -> str:
    """Give one line of bounded length, whatever a peer made us say: no control characters, nothing that turns text."""
    if len(text) > MAX_LOG_LINE_CHARACTERS:
        text = f"{text[: MAX_LOG_LINE_CHARACTERS - 4]} ..."
    return text if text.isprintable() else "".join(one if one.isprintable() else "?" for one in text)
