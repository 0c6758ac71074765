"""Work that many may cause at once is begun at a bounded rate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """Gives instants `interval_ns` apart. Whoever would have to wait for longer than `patience_ns` gets none."""

    interval_ns: int
    patience_ns: int
    next_at: int = 0

    def slot(self, now: int) -> int | None:
        """Give the next free instant, from `now` on."""
        at = max(now, self.next_at)
        if at - now > self.patience_ns:
            return None
        self.next_at = at + self.interval_ns
        return at
