"""A network between endpoints that loses, repeats, delays and reorders datagrams until it heals."""

from __future__ import annotations

import random
from dataclasses import dataclass

from culvert.clock import SECOND

MILLISECOND = SECOND // 1_000


@dataclass(frozen=True, slots=True)
class Conditions:
    """Probabilities of 0 to 1, and delays in nanoseconds. A wide range of delays is what reorders."""

    loss: float = 0.0
    duplication: float = 0.0
    shortest: int = 5 * MILLISECOND
    longest: int = 40 * MILLISECOND


HEALED = Conditions()


@dataclass(slots=True)
class Link:
    """Decides the fate of each datagram from one source of randomness."""

    random: random.Random
    conditions: Conditions
    heals_at: int

    def deliveries(self, now: int) -> list[int]:
        """Give the instants at which a datagram that is sent now arrives: none, one or two."""
        current = self.conditions if now < self.heals_at else HEALED
        if self.random.random() < current.loss:
            return []
        copies = 2 if self.random.random() < current.duplication else 1
        return [now + self.random.randint(current.shortest, current.longest) for _ in range(copies)]


def drawn(source: random.Random) -> Conditions:
    """Draw bad conditions: from hardly any fault to most datagrams lost or seconds late."""
    return Conditions(
        loss=source.choice((0.0, 0.1, 0.3, 0.6)),
        duplication=source.choice((0.0, 0.1, 0.5)),
        shortest=5 * MILLISECOND,
        longest=source.choice((20, 200, 1_500, 4_000)) * MILLISECOND,
    )
