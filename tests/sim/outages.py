"""Two gateways with traffic between their networks, and data planes that tell when nothing comes in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from culvert.addresses import NAT_PORT, SocketAddress
from culvert.clock import SECOND
from culvert.ike.events import NothingReceived, PathsChanged
from culvert.ipsec.associations import Direction
from culvert.sim.link import MILLISECOND
from culvert.sim.node import Node
from culvert.sim.pair import Pair
from culvert.sim.world import World

PING_NS = 200 * MILLISECOND
LOOK_NS = 500 * MILLISECOND
WITHIN_S = 5.0
"""The promise: traffic flows so soon after it has become possible."""


@dataclass
class Silence:
    """What the engine watches for each reqid (engine/packet/src/silence.rs), for the one of a simulated gateway."""

    received: int = 0
    sent: int = 0
    before: tuple[int, int] = (0, 0)
    heard: int = 0
    unanswered: int | None = None
    flowing: int = 0
    flowed: bool = False
    told: int | None = None

    def look(self, now: int) -> bool | None:
        """Give whether packets leave where that nothing comes is to be told now, else None."""
        if self.received != self.before[0]:
            self.heard, self.unanswered, self.told = now, None, None
            self.flowing += 1
            self.flowed |= self.flowing >= 5
        else:
            self.flowing = 0
            if self.sent != self.before[1] and self.unanswered is None:
                self.unanswered = now
        self.before = self.received, self.sent
        return self._told(now)

    def _told(self, now: int) -> bool | None:
        sending = self.unanswered is not None and now - self.unanswered >= SECOND
        again = self.told is not None and now - self.told < 4 * SECOND
        quiet = self.flowed and self.told is None and now - self.heard >= 1_500 * MILLISECOND
        if again or not (sending or quiet):
            return None
        self.told, self.flowed = now, False
        return sending


@dataclass
class Traffic:
    """Pings from west's network to east's five times a second, from `sender` on."""

    pair: Pair
    sender: str = "west"
    answered: list[int] = field(default_factory=list)
    ended: bool = False
    silences: dict[str, Silence] = field(default_factory=lambda: {"west": Silence(), "east": Silence()})

    @property
    def world(self) -> World:
        return self.pair.world

    def begin(self) -> Traffic:
        self.world.plan(self.world.now, _Ping(self))
        self.world.plan(self.world.now, _Look(self))
        return self

    def crosses(self, sender: Node, receiver: Node) -> bool:
        """Send a packet. It arrives where an association of each fits, and the network lets it pass."""
        child = sender.all_children()[0]
        ends = child.local[0].start, child.remote[0].start
        association = sender.plane.outbound(child.reqid, ends)
        if association is None:
            if (acquired := sender.plane.acquire(child, ends, self.world.now)) is not None:
                self.world.at(self.world.now, sender.name, acquired)
            return False
        self.silences[sender.name].sent += 1
        origin = sender.seen(SocketAddress(association.source, NAT_PORT), _end(association.destination), self.world.now)
        reached = origin is not None and self._delivered(sender.name, origin, association.destination, receiver)
        arrives = reached and receiver.plane.inbound(association.spi) is not None
        self.silences[receiver.name].received += arrives
        return arrives

    def _delivered(self, sender: str, origin: SocketAddress, destination: object, receiver: Node) -> bool:
        found = self.world.network.receivers(sender, origin, _end(destination), self.world.now)
        return any(node is receiver for node, _ in found)

    def gap_s(self, since: int) -> float:
        """Give the seconds from an instant to the first answer after it."""
        return next(((at - since) / SECOND for at in self.answered if at >= since), float("inf"))


def _end(address: object) -> SocketAddress:
    return SocketAddress(ip_address(str(address)), NAT_PORT)


@dataclass
class _Ping:
    traffic: Traffic

    def happen(self, world: World) -> None:
        there, back = world.nodes["west"], world.nodes["east"]
        if self.traffic.sender == "east":
            there, back = back, there
        if self.traffic.crosses(there, back) and self.traffic.crosses(back, there):
            self.traffic.answered.append(world.now)
        if not self.traffic.ended:
            world.plan(world.now + PING_NS, self)


@dataclass
class _Look:
    traffic: Traffic

    def happen(self, world: World) -> None:
        for name, silence in self.traffic.silences.items():
            node = world.nodes[name]
            sending = silence.look(world.now)
            inbound = node.plane.side(Direction.IN)
            if sending is not None and inbound:
                world.at(world.now, name, NothingReceived(inbound[-1].id, sending))
        if not self.traffic.ended:
            world.plan(world.now + LOOK_NS, self)


def cut(pair: Pair, *, one_way: bool = False) -> None:
    """Let nothing pass any more, or nothing from east to west."""
    pair.world.network.cut["east", "west"] = None
    if not one_way:
        pair.world.network.cut["west", "east"] = None


def heal(pair: Pair) -> None:
    pair.world.network.cut.clear()


def move(pair: Pair, name: str, address: str) -> None:
    """Give a gateway another address, of which its daemon tells it."""
    node = pair.world.nodes[name]
    node.address = ip_address(address)
    pair.world.network.moved()
    other = "east" if name == "west" else "west"
    pair.world.at(pair.world.now, name, PathsChanged((node.address,), (other,)))


def sent(lines: list[str], name: str) -> Iterator[float]:
    """Give when a gateway sent something."""
    for line in lines:
        if f" {name} sends " in line:
            yield float(line.split()[0])
