"""Packets of the protected networks on their way through both data planes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

from culvert.addresses import NAT_PORT, SocketAddress
from culvert.config.model import Child, Peer
from culvert.ike.events import MappingChanged
from culvert.ipsec.associations import SecurityAssociation
from culvert.sim.broken import Broken
from culvert.sim.link import MILLISECOND
from culvert.sim.node import Node
from culvert.sim.planes import Ends

if TYPE_CHECKING:
    from culvert.sim.world import World

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

    def happen(self, world: World) -> None:
        for node, _ in world.network.receivers(self.sender, self.origin, self.remote, world.now):
            association = node.plane.inbound(self.spi)
            if association is not None:
                self._opened(world, node, association)
                return
        if self.due and world.steady:
            raise Broken(f"a packet of {self.sender} with SPI 0x{self.spi:08x} was lost")

    def _opened(self, world: World, node: Node, association: SecurityAssociation) -> None:
        if association.encryption_key != self.key:
            raise Broken(f"{node.name} cannot open a packet of {self.sender} with SPI 0x{self.spi:08x}")
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
    due = world.steady and _has(world, node.name, peer.name, child) and _has(world, peer.name, node.name, child)
    _encapsulated(world, node, association, due)


def _encapsulated(world: World, node: Node, association: SecurityAssociation, due: bool) -> None:
    udp = association.encapsulation
    ports = (udp.source_port, udp.destination_port) if udp else (NAT_PORT, NAT_PORT)
    local, remote = SocketAddress(association.source, ports[0]), SocketAddress(association.destination, ports[1])
    origin = node.seen(local, remote, world.now)
    if origin is not None:
        key = association.encryption_key
        world.packets += 1
        packet = Packet(node.name, association.spi, key, origin, remote, due)
        world.plan(world.now + _delay(world.latency, world.packets), packet)
    elif due:
        raise Broken(f"{node.name} sends from {local}, which is not its address")


def _delay(latency: int, number: int) -> int:
    """Packets take as long as IKE does, which two processes must handle before it counts, or are a little late."""
    return (latency, latency * 3 // 4, latency + LATE_NS)[number % 3]


def _has(world: World, name: str, peer: str, child: Child) -> bool:
    """Tell whether a gateway has a child with a peer. The simulated peers have the names of their gateways."""
    node = world.nodes.get(name)
    live = node.endpoint.state.live(peer) if node else []
    return any(one.child.name == child.name and one.current for lineage in live for one in lineage.children.values())
