"""Packets between two endpoints: does what one end sends meet an association at the other end?"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from culvert.sim.broken import Broken
from culvert.sim.link import MILLISECOND
from culvert.sim.world import Node

TRANSIT_NS = MILLISECOND
"""Packets travel faster than IKE, which two processes in Python have to handle before it counts."""


@dataclass(slots=True)
class Traffic:
    """Packets of every child in both directions. `sent` counts them; one that meets nothing raises Broken."""

    one: Node
    other: Node
    sent: int = 0
    _on_the_way: deque[tuple[int, Node, int]] = field(default_factory=deque)

    def tick(self, now: int) -> None:
        """Send a packet of each child from both ends, and let arrive what is due."""
        for sender, receiver in ((self.one, self.other), (self.other, self.one)):
            for spi in sender.plane.sends_on().values():
                self._on_the_way.append((now + TRANSIT_NS, receiver, spi))
                self.sent += 1
        while self._on_the_way and self._on_the_way[0][0] <= now:
            _, receiver, spi = self._on_the_way.popleft()
            if not receiver.plane.takes(spi):
                raise Broken(f"{receiver.name} dropped a packet with SPI 0x{spi:08x} at {now / MILLISECOND:.0f} ms")
