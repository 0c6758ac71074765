"""Putting child SAs into the data plane and taking them out again, in an order that loses no packet."""

from __future__ import annotations

from dataclasses import dataclass

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Child, Peer
from culvert.crypto.keys import ChildKeys
from culvert.ike import nat
from culvert.ike.actions import InstallAssociation, RemoveAssociation
from culvert.ike.negotiation import Suite
from culvert.ike.records import ChildUp
from culvert.ike.timers import Timer
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import refused
from culvert.ike.v2.sa import ChildSa, DeleteChild, IkeSa, Lineage
from culvert.ipsec.associations import Direction, Encapsulation, Mode, SecurityAssociation
from culvert.ipsec.lifetimes import Lifetimes
from culvert.ipsec.selectors import Selector, SelectorError, TrafficSelector, decompose
from culvert.wire.isakmp.notify import NotifyType

OUTBOUND_SWITCH_NS = 5 * SECOND
"""How long the old outbound association stays in use where the peer does not delete it."""
TAKEOVER_SWITCH_NS = SECOND
"""The same where the old one is an older lineage's, which the peer may have lost: it hears nothing until then."""
DELETE_AWAITED_NS = 90 * SECOND
"""How long a child that the peer is to delete waits for that: longer than an established peer repeats its request."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What an exchange agreed on for a child. `initiator`: we began that exchange."""

    child: Child
    suite: Suite
    keys: ChildKeys
    spi_in: int
    spi_out: int
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    mode: Mode
    initiator: bool
    lowest_nonce: bytes


def build(ctx: Context, sa: IkeSa, peer: Peer, agreed: Agreement) -> ChildSa:
    """Make the pair of associations. Raise Refused where the data plane cannot hold the selectors."""
    try:
        selectors = tuple(decompose(agreed.local, agreed.remote))
    except SelectorError as error:
        raise refused(NotifyType.TS_UNACCEPTABLE, str(error)) from error
    mirrored = tuple(one.reversed for one in selectors)
    udp = nat.wants_udp(peer.encapsulation, sa.nat_local or sa.nat_remote, sa.peer_is_culvert)
    return ChildSa(
        agreed.child,
        _association(agreed, peer, sa, direction=Direction.IN, selectors=mirrored, udp=udp),
        _association(agreed, peer, sa, direction=Direction.OUT, selectors=selectors, udp=udp),
        agreed.local,
        agreed.remote,
        agreed.suite,
        ctx.now,
        agreed.lowest_nonce,
        agreed.initiator,
    )


def _association(
    agreed: Agreement,
    peer: Peer,
    sa: IkeSa,
    *,
    direction: Direction,
    selectors: tuple[Selector, ...],
    udp: bool,
) -> SecurityAssociation:
    inbound = direction is Direction.IN
    source, destination = (sa.remote, sa.local) if inbound else (sa.local, sa.remote)
    by_initiator = agreed.initiator != inbound
    keys = agreed.keys
    return SecurityAssociation(
        source=source.ip,
        destination=destination.ip,
        spi=agreed.spi_in if inbound else agreed.spi_out,
        direction=direction,
        reqid=agreed.child.reqid,
        encryption=agreed.suite.encryption,
        encryption_key=keys.encryption_i if by_initiator else keys.encryption_r,
        integrity=agreed.suite.integrity,
        integrity_key=keys.integrity_i if by_initiator else keys.integrity_r,
        mode=agreed.mode,
        encapsulation=_encapsulation(sa.remote, inbound) if udp else None,
        replay_window_packets=peer.replay_window_packets,
        selectors=selectors,
        lifetimes=Lifetimes(hard_s=agreed.child.rekey.hard_s),
    )


def _encapsulation(remote: SocketAddress, inbound: bool) -> Encapsulation:
    return nat.inbound_encapsulation(remote) if inbound else nat.outbound_encapsulation(remote)


def install(ctx: Context, lineage: Lineage, child: ChildSa, *, outbound: bool = True) -> None:
    """Put a child into the data plane, inbound first. Without `outbound`, the other one follows by `switch`.

    `replaces` is set already where the old one is an older lineage's.
    """
    peer = lineage.peer.name if lineage.peer else ""
    lineage.children[child.spi_in] = child
    ctx.child_owners[child.spi_in] = lineage.number
    ctx.emit(InstallAssociation(child.inbound, peer, child.child.name))
    child.waiting, child.unconfirmed = True, not child.initiator
    if outbound:
        switch(ctx, lineage, child)
    elif not child.redundant:
        wait = OUTBOUND_SWITCH_NS if child.replaces is None else TAKEOVER_SWITCH_NS
        ctx.timers.set(Timer.OUTBOUND_SWITCH, child.spi_in, ctx.now + wait)
    _arm(ctx, child)
    ctx.outcomes.append(ChildUp(peer, child.child.name))
    ctx.changed(peer)


def install_answered(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    """Put a new child into the data plane that the peer asked for. Where it comes in the place of an older lineage's,
    that one goes on sending until the peer shows that it has our answer.
    """
    old = predecessor(ctx, lineage, child)
    child.replaces = old.spi_in if old else None
    install(ctx, lineage, child, outbound=old is None)


def switch(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    """Begin to send on a child, if that did not happen yet."""
    ctx.timers.clear(Timer.OUTBOUND_SWITCH, child.spi_in)
    if child.waiting:
        child.waiting = False
        ctx.emit(InstallAssociation(child.outbound, lineage.peer.name if lineage.peer else "", child.child.name))


def _arm(ctx: Context, child: ChildSa) -> None:
    rekey = child.child.rekey
    if rekey.after_s and not child.redundant:
        ctx.timers.set(Timer.CHILD_REKEY, child.spi_in, ctx.now + ctx.jittered(rekey.after_s * SECOND))
        ctx.timers.set(Timer.CHILD_HARD, child.spi_in, ctx.now + rekey.hard_s * SECOND)


def remove(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    """Take a child out of the data plane; the outbound association of its successor is in use before."""
    for heir in ctx.lineages_of_peer(lineage.peer.name) if lineage.peer else ():
        for other in heir.children.values():
            if other.replaces == child.spi_in and not other.redundant:
                switch(ctx, heir, other)
    if not child.waiting:
        ctx.emit(RemoveAssociation(child.outbound.id))
    ctx.emit(RemoveAssociation(child.inbound.id))
    ctx.timers.clear_all(child.spi_in)
    ctx.child_owners.pop(child.spi_in, None)
    lineage.children.pop(child.spi_in, None)
    if lineage.peer:
        ctx.changed(lineage.peer.name)


def replace(ctx: Context, old: ChildSa, new: ChildSa) -> None:
    """Enter that `new` succeeds `old`, which awaits its DELETE."""
    old.replaced_by, new.replaces = new.spi_in, old.spi_in
    _await_delete(ctx, old)


def make_redundant(ctx: Context, child: ChildSa) -> None:
    """Enter that `child` lost a collision and only awaits its DELETE."""
    child.redundant = True
    ctx.timers.clear(Timer.OUTBOUND_SWITCH, child.spi_in)
    _await_delete(ctx, child)


def _await_delete(ctx: Context, child: ChildSa) -> None:
    """The peer is to delete this child; where it forgets, we do."""
    ctx.timers.clear(Timer.CHILD_REKEY, child.spi_in)
    ctx.timers.set(Timer.CHILD_HARD, child.spi_in, ctx.now + DELETE_AWAITED_NS)


def confirm(ctx: Context, lineage: Lineage) -> None:
    """The peer began another exchange, so it has our answers to the ones before (RFC 7296 section 2.3).

    Rekeyed children are switched when their predecessor goes; what replaces an older lineage's child, now.
    """
    for child in lineage.children.values():
        child.unconfirmed = False
        if child.waiting and not child.redundant and child.replaces not in lineage.children:
            switch(ctx, lineage, child)


def predecessor(ctx: Context, lineage: Lineage, child: ChildSa) -> ChildSa | None:
    """Find the child of an older lineage in whose place this one comes, where the peer sets up anew what stands."""
    if lineage.peer is None:
        return None
    older = (one for one in ctx.live(lineage.peer.name) if one is not lineage and not overlap(one, lineage))
    found = [current_child(one, child.child.name) for one in older]
    return next((one for one in reversed(found) if one is not None), None)


def overlap(one: Lineage, other: Lineage) -> bool:
    """Tell whether two set-ups met on the way: each began before the other one was established."""
    return one.began_at <= other.established_at and other.began_at <= one.established_at


def find_outbound(lineage: Lineage, spi_out: int) -> ChildSa | None:
    """Find a child by the peer's inbound SPI."""
    return next((child for child in lineage.children.values() if child.spi_out == spi_out), None)


def current_child(lineage: Lineage, name: str) -> ChildSa | None:
    return next((one for one in lineage.children.values() if one.child.name == name and one.current), None)


def settle(lineage: Lineage, new: ChildSa) -> None:
    """Where both ends made the same child at once, end the one with the lowest nonce, if it is ours to end."""
    rivals = [one for one in lineage.children.values() if one.child.name == new.child.name and one.current]
    for child in sorted(rivals, key=lambda one: one.lowest_nonce)[:-1]:
        if child.initiator:
            child.deleting = True
            lineage.queue.append(DeleteChild(child.spi_in))
