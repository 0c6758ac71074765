"""The way of a datagram through a network that loses, repeats, delays, damages and replays, until it heals."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Protocol

from culvert.clock import SECOND

MILLISECOND = SECOND // 1_000
MICROSECOND = MILLISECOND // 1_000
REPLAYED_AFTER = (50 * MILLISECOND, 90 * SECOND)
"""When an eavesdropper sends again what was overheard: from at once until long after the IKE SA is another."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One arrival of a datagram, `after` nanoseconds. `damaged` is the number of a bit that is turned over.

    `elsewhere`: an eavesdropper sends it from an address of its own.
    """

    after: int
    damaged: int | None = None
    elsewhere: bool = False


Fate = tuple[Copy, ...]
"""Every arrival of one datagram; none: it is lost."""
Name = tuple[str, str, int]
"""A datagram as a script names it: its sender, its kind, and the how manieth of that kind it is."""


class Way(Protocol):
    """Decides what becomes of datagrams."""

    def fate(self, name: Name, now: int) -> Fate: ...


@dataclass(frozen=True, slots=True)
class Conditions:
    """Probabilities of 0 to 1, and delays in nanoseconds. A wide range of delays is what reorders."""

    loss: float = 0.0
    duplication: float = 0.0
    shortest: int = 5 * MILLISECOND
    longest: int = 40 * MILLISECOND
    damage: float = 0.0
    replay: float = 0.0


HEALED = Conditions()


def steady(latency: int) -> Conditions:
    """Give conditions under which nothing happens but the same delay for each datagram."""
    return Conditions(shortest=latency, longest=latency)


@dataclass(slots=True)
class Link:
    """Decides the fate of each datagram from one source of randomness. Whatever is not as `usual` is remembered."""

    random: random.Random
    conditions: Conditions
    heals_at: int
    healed: Conditions = HEALED
    decided: dict[Name, Fate] = field(default_factory=dict)

    def fate(self, name: Name, now: int) -> Fate:
        """Draw what becomes of a datagram that is sent now."""
        current = self.conditions if now < self.heals_at else self.healed
        fate = self._drawn(current)
        if fate != self.usual:
            self.decided[name] = fate
        return fate

    @property
    def usual(self) -> Fate:
        return (Copy(self.healed.shortest),)

    def _drawn(self, current: Conditions) -> Fate:
        if current.shortest == current.longest and current == steady(current.shortest):
            return (Copy(current.shortest),)
        if self.random.random() < current.loss:
            return ()
        copies = 2 if self.random.random() < current.duplication else 1
        fate = [Copy(self._delay(current), self._damage(current)) for _ in range(copies)]
        if self.random.random() < current.replay:
            after = self.random.randint(*REPLAYED_AFTER) // MICROSECOND * MICROSECOND
            fate.append(Copy(after, elsewhere=self.random.random() < 0.5))
        return tuple(fate)

    def _delay(self, current: Conditions) -> int:
        return self.random.randint(current.shortest, current.longest) // MICROSECOND * MICROSECOND

    def _damage(self, current: Conditions) -> int | None:
        return self.random.getrandbits(16) if self.random.random() < current.damage else None


@dataclass(slots=True)
class Recorded:
    """Lets each datagram have the fate that was written down for it, and all others the usual one.

    Once the network is whole again nothing happens to any: the script may be shorter than it was.
    """

    latency: int
    decided: dict[Name, Fate]
    heals_at: int = 1 << 62

    def fate(self, name: Name, now: int) -> Fate:
        """Give what becomes of a datagram that is sent now."""
        usual = (Copy(self.latency),)
        return self.decided.get(name, usual) if now < self.heals_at else usual


def drawn(source: random.Random) -> Conditions:
    """Draw bad conditions: from hardly any fault to most datagrams lost or seconds late."""
    return Conditions(
        loss=source.choice((0.0, 0.1, 0.3, 0.6)),
        duplication=source.choice((0.0, 0.1, 0.5)),
        shortest=5 * MILLISECOND,
        longest=source.choice((20, 200, 1_500, 4_000)) * MILLISECOND,
        damage=source.choice((0.0, 0.0, 0.05, 0.2)),
        replay=source.choice((0.0, 0.0, 0.1, 0.3)),
    )


def damaged(data: bytes, bit: int) -> bytes:
    """Turn one bit over."""
    octets = bytearray(data)
    octets[bit // 8 % len(octets)] ^= 1 << bit % 8
    return bytes(octets)
