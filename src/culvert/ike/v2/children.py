"""Putting child SAs into the data plane and taking them out again, in an order that loses no packet."""

from __future__ import annotations

from dataclasses import dataclass

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Child, Peer
from culvert.crypto.keys import ChildKeys
from culvert.ike import narrowing, nat
from culvert.ike.actions import InstallAssociation, RemoveAssociation
from culvert.ike.negotiation import Suite
from culvert.ike.records import ChildNarrowed, ChildUp, Confirmed
from culvert.ike.timers import Timer
from culvert.ike.v2 import carrying, collisions, transport_mode
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import refused
from culvert.ike.v2.sa import ChildOffer, ChildSa, DeleteChild, IkeSa, IkeState, Lineage
from culvert.ipsec.associations import AssociationId, Direction, Encapsulation, Mode, Protocol, SecurityAssociation
from culvert.ipsec.lifetimes import Lifetimes
from culvert.ipsec.selectors import Selector, SelectorError, TrafficSelector, decompose
from culvert.limits import MAX_LEAVING
from culvert.wire.isakmp.notify import NotifyType

OUTBOUND_SWITCH_NS = 5 * SECOND
"""How long the old outbound association stays in use where the peer does not delete it."""
TAKEOVER_SWITCH_NS = SECOND
"""The same where the old one is another lineage's, which the peer may have lost: it hears nothing until then."""
INBOUND_GRACE_NS = 5 * SECOND
"""How long we take packets that the peer sent before a DELETE, and that come after it on a slower way."""
RETIRE_NS = 10 * SECOND
"""How long inherited associations stay beside their successors: far longer than a peer may hesitate to use those."""
DELETE_AWAITED_NS = 90 * SECOND
"""How long a child that the peer is to delete waits for that: longer than an established peer repeats its request."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What an exchange agreed on for a child. `initiator`: we began that exchange. `tfc_octets`: how far we pad."""

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
    tfc_octets: int = 0


def build(ctx: Context, sa: IkeSa, peer: Peer, agreed: Agreement) -> ChildSa:
    """Make the pair of associations. Raise Refused where the data plane cannot hold the selectors."""
    try:
        selectors = tuple(decompose(agreed.local, agreed.remote))
    except SelectorError as error:
        raise refused(NotifyType.TS_UNACCEPTABLE, str(error)) from error
    if not selectors:
        raise refused(NotifyType.TS_UNACCEPTABLE, f"{agreed.child.name}: no packet is of both sides")
    _fits(agreed, sa)
    mirrored = tuple(one.reversed for one in selectors)
    udp = nat.wants_udp(peer.encapsulation, sa.nat_local or sa.nat_remote, sa.peer_is_culvert)
    udp = udp and agreed.child.protocol is Protocol.ESP
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
        b"" if agreed.initiator else sa.spi,
    )


def _fits(agreed: Agreement, sa: IkeSa) -> None:
    """Raise Refused where mode or protocol cannot work on this path."""
    child = agreed.child
    if agreed.mode is Mode.TRANSPORT and not transport_mode.is_between_ends(sa, (agreed.local, agreed.remote)):
        both = narrowing.describe(agreed.local, agreed.remote)
        what = f"{child.name}: transport mode for {both}, and the gateways are {sa.local.ip} and {sa.remote.ip}"
        raise refused(NotifyType.TS_UNACCEPTABLE, what)
    if child.protocol is Protocol.AH and (sa.nat_local or sa.nat_remote):
        what = f"{child.name}: AH protects addresses, and a NAT on the path changes them; take ESP"
        raise refused(NotifyType.NO_PROPOSAL_CHOSEN, what)


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
        protocol=agreed.child.protocol,
        mode=agreed.mode,
        encapsulation=_encapsulation(sa.remote, inbound) if udp else None,
        replay_window_packets=peer.replay_window_packets,
        selectors=selectors,
        lifetimes=Lifetimes(hard_s=agreed.child.rekey.hard_s),
        esn=agreed.suite.esn,
        tfc_padding_octets=0 if inbound else agreed.tfc_octets,
        legacy=peer.legacy,
    )


def _encapsulation(remote: SocketAddress, inbound: bool) -> Encapsulation:
    return nat.inbound_encapsulation(remote) if inbound else nat.outbound_encapsulation(remote)


def install(ctx: Context, lineage: Lineage, child: ChildSa, *, wait_ns: int = 0) -> None:
    """Put a child into the data plane, inbound first. The outbound one follows by `switch`, after `wait_ns` by itself;
    a redundant child's never.
    """
    peer = lineage.peer.name if lineage.peer else ""
    _make_room(ctx, lineage, child)
    lineage.children[child.spi_in] = child
    ctx.child_owners[child.spi_in] = lineage.number
    ctx.emit(InstallAssociation(child.inbound, peer, child.child.name))
    child.waiting = True
    if not wait_ns:
        switch(ctx, lineage, child)
    elif not child.redundant:
        ctx.timers.set(Timer.OUTBOUND_SWITCH, child.spi_in, ctx.now + wait_ns)
    _arm(ctx, child)
    ctx.outcomes.append(ChildUp(peer, child.child.name, child.initiator))
    ctx.changed(peer)


def _make_room(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    """A peer that gives an SPI to a child has lost what had it before: nothing is sent on that any more."""
    for other in ctx.lineages_of_peer(lineage.peer.name) if lineage.peer else ():
        for one in other.children.values():
            if one.outbound.id == child.outbound.id:
                silence(ctx, other, one)


def report_narrowed(ctx: Context, lineage: Lineage, offer: ChildOffer, child: ChildSa) -> None:
    """Tell where the peer gave less than we asked for."""
    asked = narrowing.tidy(offer.local), narrowing.tidy(offer.remote)
    if lineage.peer is not None and child.sides != asked:
        ctx.outcomes.append(ChildNarrowed(lineage.peer.name, child.child.name, asked, child.sides))


def install_answered(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    """Put a new child into the data plane that the peer asked for. Where both ends begin at once, or another lineage
    has this child already, we send on it only when the peer shows that it has our answer, or after a moment.
    """
    old = predecessor(ctx, lineage, child)
    child.replaces = old.spi_in if old else None
    wait_ns = 0 if _alone(ctx, lineage, child) else TAKEOVER_SWITCH_NS
    install(ctx, lineage, child, wait_ns=wait_ns)


def _alone(ctx: Context, lineage: Lineage, child: ChildSa) -> bool:
    """Tell whether only this exchange makes a child for this traffic: no other one of the same IKE SA, and no other IKE
    SA that the peer may have, since we sent our proof there or have its.
    """
    current = ctx.current(lineage)
    under_way = current.window.outstanding if current else None
    offer = under_way.offer if under_way else None
    asked = isinstance(offer, ChildOffer) and offer.child.name == child.child.name
    if asked or any(carrying.overlap(one, child) for one in carrying.carriers(lineage, child.child.name)):
        return False
    others = (one for one in ctx.lineages_of_peer(lineage.peer.name) if one is not lineage) if lineage.peer else ()
    return not any(one.established or _proof_sent(ctx, one) for one in others)


def _proof_sent(ctx: Context, lineage: Lineage) -> bool:
    current = ctx.current(lineage)
    return current is not None and current.state is IkeState.AUTH_SENT


def switch(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    """Begin to send on a child, if that did not happen yet."""
    ctx.timers.clear(Timer.OUTBOUND_SWITCH, child.spi_in)
    if child.waiting:
        child.waiting = False
        peer = lineage.peer.name if lineage.peer else ""
        ctx.emit(InstallAssociation(child.outbound, peer, child.child.name))
        ctx.sending[child.outbound.id] = peer
        lineage.sends_since = ctx.now
        _succeed_inherited(ctx, child.child.reqid)
        ctx.outcomes.append(Confirmed(peer, lineage.number))
        settle(ctx, lineage, child)


def _succeed_inherited(ctx: Context, reqid: int) -> None:
    """What a former process left has a successor now; the outbound one is the last that we install."""
    if reqid in ctx.inherited and ctx.timers.at(Timer.RETIRE, reqid) is None:
        ctx.timers.set(Timer.RETIRE, reqid, ctx.now + RETIRE_NS)


def _arm(ctx: Context, child: ChildSa) -> None:
    rekey = child.child.rekey
    if rekey.after_s and not child.redundant:
        ctx.timers.set(Timer.CHILD_REKEY, child.spi_in, ctx.now + ctx.jittered(rekey.after_s * SECOND))
        ctx.timers.set(Timer.CHILD_HARD, child.spi_in, ctx.now + rekey.hard_s * SECOND)


def silence(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    """Send on a child no more, and go on taking what comes on it (RFC 7296 section 1.4.1); its successor is in use."""
    for heir in ctx.lineages_of_peer(lineage.peer.name) if lineage.peer else ():
        for other in heir.children.values():
            if other.replaces == child.spi_in and not other.redundant and not _in_use(heir, other):
                switch(ctx, heir, other)
    if not child.waiting:
        ctx.emit(RemoveAssociation(child.outbound.id))
        ctx.sending.pop(child.outbound.id, None)
    child.waiting = child.redundant = True
    ctx.timers.clear_all(child.spi_in)
    if lineage.peer:
        ctx.changed(lineage.peer.name)


def remove(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    """Take a child out of the data plane at once, both ways."""
    silence(ctx, lineage, child)
    lineage.children.pop(child.spi_in, None)
    _close_inbound(ctx, child.spi_in, child.inbound.id)


def release(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    """The same after a DELETE, of whichever end: what the peer sent before it is still taken for a moment."""
    silence(ctx, lineage, child)
    lineage.children.pop(child.spi_in, None)
    leave(ctx, child.inbound.id)


def leave(ctx: Context, inbound: AssociationId) -> None:
    """Take what comes on an inbound association for a moment still, then no more."""
    ctx.leaving[inbound.spi] = inbound
    ctx.timers.set(Timer.INBOUND_GRACE, inbound.spi, ctx.now + INBOUND_GRACE_NS)
    if len(ctx.leaving) > MAX_LEAVING:
        left(ctx, next(iter(ctx.leaving)))


def left(ctx: Context, spi_in: int) -> None:
    """The moment is over: take the inbound association of a child that is gone out of the data plane."""
    inbound = ctx.leaving.pop(spi_in, None)
    if inbound is not None:
        ctx.timers.clear(Timer.INBOUND_GRACE, spi_in)
        _close_inbound(ctx, spi_in, inbound)


def _close_inbound(ctx: Context, spi_in: int, inbound: AssociationId) -> None:
    ctx.emit(RemoveAssociation(inbound))
    ctx.child_owners.pop(spi_in, None)


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


def confirm(ctx: Context, lineage: Lineage, sa: IkeSa) -> None:
    """The peer began another exchange, so it has our answers to the ones before in this IKE SA (RFC 7296 section 2.3).

    Those in an older one may still be on their way, unless that is closed. Rekeyed children are switched when their
    predecessor goes; what replaces another lineage's child, now.
    """
    _confirm_lineage(ctx, lineage)
    for child in lineage.children.values():
        if child.answered_in == sa.spi or child.answered_in not in lineage.members:
            _confirm_child(ctx, lineage, child)


def answered(ctx: Context, lineage: Lineage) -> None:
    """The peer answers in this IKE SA, so it has our IKE_AUTH answer, and the child that came with it."""
    if lineage.confirmed:
        return
    _confirm_lineage(ctx, lineage)
    for child in lineage.children.values():
        if child.established_at == lineage.established_at:
            _confirm_child(ctx, lineage, child)


def _confirm_lineage(ctx: Context, lineage: Lineage) -> None:
    if lineage.established and not lineage.confirmed and lineage.peer is not None:
        lineage.confirmed = True
        ctx.outcomes.append(Confirmed(lineage.peer.name, lineage.number))


def _confirm_child(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    child.answered_in = b""
    if child.waiting and not child.redundant and child.replaces not in lineage.children:
        switch(ctx, lineage, child)


def predecessor(ctx: Context, lineage: Lineage, child: ChildSa) -> ChildSa | None:
    """Find the child of another lineage in whose place this one comes: the peer sets up anew what stands, or both
    began at once."""
    if lineage.peer is None:
        return None
    others = (one for one in ctx.live(lineage.peer.name) if one is not lineage)
    found = [old for one in others for old in carrying.carriers(one, child.child.name)]
    return next((old for old in reversed(found) if carrying.overlap(old, child)), None)


def overlap(one: Lineage, other: Lineage) -> bool:
    """Tell whether two set-ups met on the way: each began before the other one was established."""
    return one.began_at <= other.established_at and other.began_at <= one.established_at


def carries_all(one: Lineage, other: Lineage) -> bool:
    """Tell whether all of `one` is in use, and carries all that `other` does, so that the peer can do without that."""
    used = [child for child in one.children.values() if child.current and not child.waiting]
    wanted = [child for each in (one, other) for child in each.children.values() if child.current]
    return one.confirmed and all(carrying.carried_by(child, used) for child in wanted)


def _in_use(lineage: Lineage, child: ChildSa) -> bool:
    """Tell whether we send on some child for this traffic."""
    return any(carrying.overlap(one, child) for one in lineage.children.values() if one.current and not one.waiting)


def find_outbound(lineage: Lineage, spi_out: int, protocol: Protocol | None = None) -> ChildSa | None:
    """Find a child by the peer's inbound SPI, of either protocol where none is given."""
    found = (one for one in lineage.children.values() if one.spi_out == spi_out)
    return next((one for one in found if protocol in (None, one.protocol)), None)


def settle(ctx: Context, lineage: Lineage, new: ChildSa) -> None:
    """Where both ends made the same child at once, end the one with the lowest nonce, if it is ours to end; and what a
    wider child carries as well. Before the peer has our answer, it could send on that one only.
    """
    rivals = [one for one in carrying.carriers(lineage, new.child.name) if one is not new]
    losers = [one for one in rivals if _supersedes(new, one)]
    losers += [new] if any(_supersedes(one, new) for one in rivals) else []
    for child in losers:
        if child.initiator:
            child.deleting = True
            silence(ctx, lineage, child)
            lineage.queue.append(DeleteChild(child.spi_in, protocol=child.protocol))
            ctx.dirty[lineage.number] = None


def _supersedes(one: ChildSa, other: ChildSa) -> bool:
    """Tell whether `one` is in use and makes `other` superfluous; of two that are the same, the lowest nonce loses."""
    if one.waiting or not one.current or not carrying.covers(one, other):
        return False
    return not carrying.covers(other, one) or collisions.loses(other, one)
