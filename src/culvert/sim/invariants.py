"""What must hold after every event, whatever the network does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from culvert.addresses import IPNetwork
from culvert.clock import SECOND
from culvert.config.model import Child
from culvert.ike.actions import Action, InstallAssociation, Transmit
from culvert.ipsec.associations import AssociationId, Direction, Mode, SecurityAssociation
from culvert.ipsec.coverage import Selectors
from culvert.ipsec.selectors import Selector, decompose
from culvert.sim import bookkeeping
from culvert.sim.broken import Broken
from culvert.sim.node import Node

if TYPE_CHECKING:
    from culvert.sim.world import World

TWO_LIVE_STEADY_NS = 25 * SECOND
"""How long two outbound associations may serve one policy while nothing is lost: until both ends settle on one."""
TWO_LIVE_NS = 150 * SECOND
"""The same in a bad network: a DELETE that does not come is awaited for 90 s, and IKE SAs give up after some 70 s."""

DEARER_EVERY = 32
"""Events between two looks at what is kept for a later process; each costs as much as an exchange."""


def in_order(node: Node, actions: list[Action]) -> None:
    """Within one event, what the peer may send on stands before the peer is told of it."""
    said = False
    for action in actions:
        if isinstance(action, Transmit):
            said = True
        elif isinstance(action, InstallAssociation) and action.association.direction is Direction.IN and said:
            raise Broken(f"{node.name} replies before {action.association.id} is installed inbound")


def paired(world: World, node: Node, association: SecurityAssociation) -> None:
    """What one end sends on, the other end has with the same keys and the same traffic, once it has it."""
    outbound = association.direction is Direction.OUT
    if outbound and not node.plane.index.of_policy(Direction.IN, association.reqid):
        raise Broken(f"{node.name} sends on {association.id} before it can receive")
    for other in world.network.candidates(association.destination if outbound else association.source):
        sender, receiver = (node, other) if outbound else (other, node)
        sent = association if outbound else _sent_on(sender, association)
        received = receiver.plane.inbound(association.spi)
        if sent is not None and received is not None:
            _agree(sender, receiver, sent, received)
        elif outbound and world.watched and _by_initiator(node, association.id):
            _had(receiver, node, association)


def _sent_on(sender: Node, inbound: SecurityAssociation) -> SecurityAssociation | None:
    """Find what a sender has for an inbound association. Others of its peers may have drawn the same SPI."""
    found = sender.plane.index.with_spi(Direction.OUT, inbound.spi)
    return next((one for one in found if one.destination == inbound.destination), next(iter(found), None))


def agree(sender: Node, receiver: Node) -> None:
    """What `sender` sends on, `receiver` opens with the same keys, where it has it."""
    for sent in sender.plane.side(Direction.OUT):
        received = receiver.plane.inbound(sent.spi)
        if received is not None:
            _agree(sender, receiver, sent, received)


def reach(sender: Node, receiver: Node) -> None:
    """What `sender` sends at this moment, `receiver` can open."""
    for (_, selector), spi in sender.plane.sends_on().items():
        if not receiver.plane.takes(spi):
            raise Broken(f"{sender.name} sends {selector} on 0x{spi:08x}, which {receiver.name} does not have")


def _agree(sender: Node, receiver: Node, sent: SecurityAssociation, received: SecurityAssociation) -> None:
    # A NAT makes the destination another one, and each end draws from 32 bits: the SPI tells them apart.
    same = (sent.encryption_key, sent.integrity_key) == (received.encryption_key, received.integrity_key)
    # In transport mode they are about addresses, which a NAT may change.
    alike = frozenset(received.selectors) == frozenset(sent.selectors) or sent.mode is Mode.TRANSPORT
    if not same or not alike:
        raise Broken(f"{sender.name} and {receiver.name} do not agree on {sent.id}")


def _by_initiator(node: Node, id_: AssociationId) -> bool:
    """Tell whether an outbound association comes from an exchange that this end began, and so is answered."""
    lineages = node.endpoint.state.lineages.values()
    return any(one.outbound.id == id_ and one.initiator for lineage in lineages for one in lineage.children.values())


def _had(receiver: Node, sender: Node, association: SecurityAssociation) -> None:
    """The responder installed its inbound association before it answered."""
    if receiver.nat is None and not any(id_.spi == association.spi for id_ in receiver.plane.used):
        raise Broken(f"{sender.name} sends on {association.id}, which {receiver.name} never had")


Policy = tuple[str, int, Selector]
"""Whose policy, for which child, and what traffic of it."""


@dataclass(slots=True)
class Rules:
    """Those that need a memory. `since`: from when on a policy has had two outbound associations."""

    since: dict[Policy, int] = field(default_factory=dict)

    def judge(self, world: World, node: Node, *, changed: bool) -> None:
        """Look at the endpoint that something happened to, and at its data plane if that changed. Raise Broken."""
        bookkeeping.check(node.name, node.endpoint.state)
        if world.events % DEARER_EVERY == 0:
            bookkeeping.check_kept(node.name, node.endpoint.state)
        plane_as_known(node)
        if changed:
            within_policy(node)
            self._count(world, node)
        self._one_live(world, node)

    def _count(self, world: World, node: Node) -> None:
        """Enter which policies have two outbound associations now."""
        inherited = node.inherited
        outbound = [one for one in node.plane.side(Direction.OUT) if one.id not in inherited]
        counts = Counter((node.name, one.reqid, selector) for one in outbound for selector in one.selectors)
        twice = {policy: count for policy, count in counts.items() if count > 1}
        kept = {policy: at for policy, at in self.since.items() if policy[0] != node.name or policy in twice}
        self.since = {**dict.fromkeys(twice, world.now), **kept}

    def _one_live(self, world: World, node: Node) -> None:
        bound = TWO_LIVE_STEADY_NS if world.steady else TWO_LIVE_NS
        for policy, at in self.since.items():
            if policy[0] == node.name and world.now - at > bound:
                raise Broken(f"{node.name} has two outbound associations for {policy[2]}")


def plane_as_known(node: Node) -> None:
    """The data plane holds what the endpoint believes, no more and, unless it lost it, no less."""
    expected = dict.fromkeys(_known(node))
    for id_ in node.plane.associations:
        if id_ not in expected and id_ not in node.inherited:
            raise Broken(f"{node.name}: nobody owns {id_}")
    for id_ in expected:
        if id_ not in node.plane.associations and not node.lost:
            raise Broken(f"{node.name} believes in {id_}, which is not installed")


def _known(node: Node) -> Iterator[AssociationId]:
    ctx = node.endpoint.state
    for lineage in ctx.lineages.values():
        for child in lineage.children.values():
            yield child.inbound.id
            if not child.waiting:
                yield child.outbound.id
    yield from ctx.leaving.values()


def within_policy(node: Node) -> None:
    """No association carries what its policy does not allow."""
    children = {child.reqid: child for child in node.all_children()}
    leaving = list(node.endpoint.state.leaving.values())
    for association in node.plane.associations.values():
        child = children.get(association.reqid)
        if association.id in node.inherited or association.id in leaving:
            continue
        if child is None:
            raise Broken(f"{node.name} has {association.id} without a policy")
        if not _allowed(child, association):
            raise Broken(f"{node.name}: {association.id} carries more than {child.name} may")


def _allowed(child: Child, association: SecurityAssociation) -> bool:
    inbound = association.direction is Direction.IN
    allowed = _selectors(child.remote, child.local) if inbound else _selectors(child.local, child.remote)
    wanted = association.selectors
    return bool(wanted) and all(one in allowed or any(_covers(wide, one) for wide in allowed) for one in wanted)


@lru_cache(maxsize=256)
def _selectors(source: Selectors, destination: Selectors) -> tuple[Selector, ...]:
    """Give what a child may carry in one direction."""
    return tuple(decompose(source, destination))


def _covers(wide: Selector, one: Selector) -> bool:
    networks = ((wide.source, one.source), (wide.destination, one.destination))
    ports = ((wide.source_port, one.source_port), (wide.destination_port, one.destination_port))
    return (
        wide.version == one.version
        and all(_within(inner, outer) for outer, inner in networks)
        and wide.protocol in (0, one.protocol)
        and all(mask & inner_mask == mask and inner & mask == value for (value, mask), (inner, inner_mask) in ports)
    )


def _within(inner: IPNetwork, outer: IPNetwork) -> bool:
    return inner[0] in outer and inner[-1] in outer
