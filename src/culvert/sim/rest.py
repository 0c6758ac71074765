"""What there must be in the end: exactly the security associations that the configuration asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from culvert.addresses import NAT_PORT, SocketAddress
from culvert.config.model import Child, Peer, Start
from culvert.ike import narrowing
from culvert.ike.narrowing import Narrowed
from culvert.ike.records import start_of
from culvert.ike.status import ChildStatus, PeerState, PeerStatus
from culvert.ipsec.associations import Direction
from culvert.sim.node import Node

Pair = tuple[str, str]


def unrest(nodes: Mapping[str, Node], pairs: Sequence[Pair]) -> str:
    """Say what is not yet as it must be, or nothing."""
    ends = [(nodes[one], nodes[other]) for one, other in pairs]
    for one, other in ends:
        problem = _between(one, other)
        if problem:
            return problem
    return next((problem for node in nodes.values() if (problem := _left_over(node, ends))), "")


def _between(one: Node, other: Node) -> str:
    """Judge what two gateways have with each other."""
    here, there = _status(one, other), _status(other, one)
    wanted = _wanted(one, other)
    if not wanted and not (here and here.ike) and not (there and there.ike):
        return ""
    if here is None or there is None:
        return f"{one.name} and {other.name} have something that nobody configured"
    return _difference(one, other, here, there) or _missing(wanted, here, there)


def _status(node: Node, other: Node) -> PeerStatus | None:
    return node.endpoint.statuses().get(other.name)


def _peer(node: Node, other: Node) -> Peer | None:
    peers = node.configured.peers if node.configured else ()
    return next((one for one in peers if one.name == other.name), None)


def _wanted(one: Node, other: Node) -> list[Narrowed]:
    """Give the children that there must be, as `one` has them: those that an end wants always and both have."""
    ours, theirs = _peer(one, other), _peer(other, one)
    if ours is None or theirs is None or ours.secret != theirs.secret or _ended(one, other) or _ended(other, one):
        return []
    if not _calls(ours) and not _calls(theirs):
        return []
    pairs = [(child, _same(child, theirs)) for child in ours.children]
    return [
        Narrowed(child, twin.remote, twin.local)
        for child, twin in pairs
        if twin is not None and Start.ALWAYS in (start_of(ours, child), start_of(theirs, twin.child))
    ]


def _ended(node: Node, other: Node) -> bool:
    record = node.endpoint.state.peers.get(other.name)
    return record is None or record.ended


def _calls(peer: Peer) -> bool:
    return bool(peer.addresses) and any(start_of(peer, child) is Start.ALWAYS for child in peer.children)


def _same(child: Child, peer: Peer) -> Narrowed | None:
    """Find the child of the other end that has traffic in common with this one."""
    return narrowing.choose_child(peer.children, child.remote, child.local)


def _difference(one: Node, other: Node, here: PeerStatus, there: PeerStatus) -> str:
    if here.ike is None or there.ike is None or (here.ike.spi_i, here.ike.spi_r) != (there.ike.spi_i, there.ike.spi_r):
        states = f"{here.state}: {here.reason}, {there.state}: {there.reason}"
        return f"{one.name} and {other.name} have different IKE SAs ({states})"
    ours = sorted((child.name, child.inbound.spi, child.outbound.spi) for child in here.children)
    theirs = sorted((child.name, child.outbound.spi, child.inbound.spi) for child in there.children)
    if ours != theirs:
        return f"{one.name} has children {ours}, {other.name} has {theirs}"
    return next((where for ends in ((one, other), (other, one)) if (where := _astray(*ends))), "")


def _missing(wanted: Sequence[Narrowed], here: PeerStatus, there: PeerStatus) -> str:
    present = [(child.name, local, remote) for child in here.children for local, remote in _pairs(child)]
    if len(dict.fromkeys(present)) != len(present):
        return f"{there.name} has {present} with {here.name}"
    asked = [
        (one.child.name, str(ours), str(theirs)) for one in wanted for ours, theirs in product(one.local, one.remote)
    ]
    absent = [pair for pair in asked if pair not in present]
    if absent:
        return f"{there.name} and {here.name} lack {absent}"
    if len(present) == len(asked) and PeerState.UP not in (here.state, there.state):
        return f"{there.name} says {here.name} is {here.state}, and {there.state} the other way round"
    return ""


def _pairs(child: ChildStatus) -> Iterable[tuple[str, str]]:
    return product(child.local, child.remote)


def _astray(sender: Node, receiver: Node) -> str:
    """Say which packets leave for where the receiver is no longer, or nothing."""
    for sa in sender.plane.side(Direction.OUT):
        if not receiver.plane.takes(sa.spi):
            continue
        port = sa.encapsulation.destination_port if sa.encapsulation else NAT_PORT
        end = SocketAddress(sa.destination, port)
        if not receiver.behind(end):
            return f"{sender.name} sends on 0x{sa.spi:08x} to {end}, where {receiver.name} is not"
    return ""


def _left_over(node: Node, ends: Sequence[tuple[Node, Node]]) -> str:
    """Say what a gateway still holds beside what it shows."""
    census, statuses = node.endpoint.census(), node.endpoint.statuses()
    up = sum(status.ike is not None for status in statuses.values())
    children = sum(len(status.children) for status in statuses.values())
    unwilling, calling = _unwilling(node, ends)
    if (census.established, census.ending, census.children, census.asking - calling) != (up, 0, children, 0):
        return f"{node.name} holds {census}"
    if census.setting_up and not unwilling:
        return f"{node.name} holds {census}"
    if len(node.plane.associations) != 2 * children + (len(node.inherited) if unwilling else 0):
        return f"{node.name} has {len(node.plane.associations)} associations for {children} children"
    return ""


def _unwilling(node: Node, ends: Sequence[tuple[Node, Node]]) -> tuple[int, int]:
    """Count the gateways that want nothing of this one, and its calls to them under way: there is no end to those."""
    others = [other if one is node else one for one, other in ends if node in (one, other)]
    unwilling = [other for other in others if not _wanted(node, other)]
    records = [node.endpoint.state.peers.get(other.name) for other in unwilling]
    return len(unwilling), sum(len(record.attempts) for record in records if record is not None)
