"""Packets of the protected networks on their way through both data planes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

from culvert.addresses import NAT_PORT, SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Child, Peer
from culvert.ike.events import MappingChanged, NothingReceived, UnknownSpi
from culvert.ike.v2.sa import ChildSa
from culvert.ipsec.associations import Direction, Protocol, SecurityAssociation
from culvert.sim.broken import Broken
from culvert.sim.link import MILLISECOND
from culvert.sim.node import Node
from culvert.sim.planes import Ends

if TYPE_CHECKING:
    from culvert.sim.world import World

SILENT_NS = SECOND
"""After how long the engine tells that nothing comes although packets leave."""
LATE_NS = 400 * MILLISECOND
"""How much later than others a packet may come without being lost in a rekey."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One ESP packet. `due`: when it was sent nothing could be lost, and both ends had the child."""

    sender: str
    spi: int
    key: bytes = field(repr=False)
    origin: SocketAddress
    remote: SocketAddress
    due: bool
    udp: bool

    def happen(self, world: World) -> None:
        for node, local in world.network.receivers(self.sender, self.origin, self.remote, world.now):
            association = node.plane.inbound(self.spi)
            if association is not None:
                self._opened(world, node, association)
                return
            if node.plane.tells(None, world.now):
                ports = (
                    (local, self.origin) if self.udp else (SocketAddress(local.ip, 0), SocketAddress(self.origin.ip, 0))
                )
                world.at(world.now, node.name, UnknownSpi(*ports, Protocol.ESP.number, self.spi))
        if self.due and world.steady:
            raise Broken(f"a packet of {self.sender} with SPI 0x{self.spi:08x} was lost")

    def _opened(self, world: World, node: Node, association: SecurityAssociation) -> None:
        if association.encryption_key != self.key:
            raise Broken(f"{node.name} cannot open a packet of {self.sender} with SPI 0x{self.spi:08x}")
        node.plane.unanswered.pop(association.reqid, None)
        _follow(world, node, association, self.origin)


def _follow(world: World, node: Node, association: SecurityAssociation, origin: SocketAddress) -> None:
    """Tell the endpoint where authentic packets come from, where that is another place than before."""
    udp = association.encapsulation
    if udp is not None and SocketAddress(association.source, udp.source_port) != origin:
        world.at(world.now, node.name, MappingChanged(association.id, origin))


@dataclass(frozen=True, slots=True)
class Stream:
    """Everybody sends a packet on each policy, again and again until an instant."""

    every_ns: int
    until: int

    def happen(self, world: World) -> None:
        for node in list(world.nodes.values()):
            send(world, node)
        if world.now + self.every_ns <= self.until:
            world.plan(world.now + self.every_ns, self)


def send(world: World, node: Node) -> None:
    """Send a packet on each policy of an endpoint. What finds no association waits there and asks for one."""
    for peer in node.configured.peers if node.configured else ():
        for child in peer.children:
            for local, remote in product(child.local, child.remote):
                _send(world, node, (peer, child), (local.start, remote.start))


def _send(world: World, node: Node, policy: tuple[Peer, Child], pair: Ends) -> None:
    peer, child = policy
    association = node.plane.outbound(child.reqid, pair)
    if association is None:
        acquired = node.plane.acquire(child, pair, world.now)
        if acquired is not None:
            world.at(world.now, node.name, acquired)
        return
    ends = ((node.name, peer.name, pair), (peer.name, node.name, (pair[1], pair[0])))
    due = world.steady and all(_has(world, *end) for end in ends)
    _encapsulated(world, node, association, due)
    _in_vain(world, node, child)


def _in_vain(world: World, node: Node, child: Child) -> None:
    """Tell the endpoint where packets leave and nothing comes, as the engine does."""
    inbound = next((one for one in reversed(node.plane.side(Direction.IN)) if one.reqid == child.reqid), None)
    since = node.plane.unanswered.setdefault(child.reqid, world.now)
    if inbound is not None and world.now - since >= SILENT_NS and node.plane.tells(child.reqid, world.now):
        world.at(world.now, node.name, NothingReceived(inbound.id, True))


def _encapsulated(world: World, node: Node, association: SecurityAssociation, due: bool) -> None:
    udp = association.encapsulation
    ports = (udp.source_port, udp.destination_port) if udp else (NAT_PORT, NAT_PORT)
    local, remote = SocketAddress(association.source, ports[0]), SocketAddress(association.destination, ports[1])
    origin = node.seen(local, remote, world.now)
    if origin is not None:
        key = association.encryption_key
        world.packets += 1
        packet = Packet(node.name, association.spi, key, origin, remote, due, udp is not None)
        world.plan(world.now + _delay(world.latency, world.packets), packet)
    elif due:
        raise Broken(f"{node.name} sends from {local}, which is not its address")


def _delay(latency: int, number: int) -> int:
    """Packets take as long as IKE does, which two processes must handle before it counts, or are a little late."""
    return (latency, latency * 3 // 4, latency + LATE_NS)[number % 3]


def _has(world: World, name: str, peer: str, pair: Ends) -> bool:
    """Tell whether a gateway has a child for a packet. The simulated peers have the names of their gateways."""
    node = world.nodes.get(name)
    live = node.endpoint.state.live(peer) if node else []
    return any(one.current and _carries(one, pair) for lineage in live for one in lineage.children.values())


def _carries(child: ChildSa, pair: Ends) -> bool:
    sides = ((child.local, pair[0]), (child.remote, pair[1]))
    return all(any(int(one.start) <= int(end) <= int(one.end) for one in side) for side, end in sides)
