"""When peers are called: at start, on traffic, when asked, and again after a failure."""

from __future__ import annotations

from dataclasses import replace

from culvert.config.model import Origin, Peer, Start
from culvert.ike import calling, completing, settling
from culvert.ike.events import Acquired, Configured
from culvert.ike.records import (
    Answered,
    CallRefused,
    ChildDown,
    ChildNarrowed,
    ChildUp,
    Confirmed,
    Established,
    Lost,
    Outcome,
    PeerRecord,
    Reached,
    Rekeyed,
    SetUpFailed,
    Silent,
    StrangerCalled,
    start_of,
)
from culvert.ike.timers import Timer
from culvert.ike.v2 import anew, inheritance, lineages, pfs, restoration, standing
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import Lineage, Liveness
from culvert.ipsec.coverage import SelectorPair
from culvert.ipsec.selectors import ICMP, ICMPV6, PortRange, TrafficSelector
from culvert.reasons import Refusal


def configure(ctx: Context, event: Configured) -> None:
    """Take over a list of peers; what did not change is not touched."""
    ctx.token_secret = event.token_secret
    taken_up = {} if ctx.lineages else restoration.take_up(ctx, event)
    names = {peer.name: None for peer in event.peers}
    for name in [name for name in ctx.peers if name not in names]:
        _remove(ctx, name)
    for peer in event.peers:
        record = ctx.peers.get(peer.name)
        if record is None or not _same(record, peer, event):
            _renew(ctx, peer, event)
            continue
        _revise(ctx, record, peer)
        if record.ended:
            record.ended = False
            record.forgive()
            begin(ctx, record)
    inheritance.wanted(ctx)
    for name, record in taken_up.items():
        if ctx.peers.get(name) is record:
            _resume(ctx, record)


def _resume(ctx: Context, record: PeerRecord) -> None:
    """Go on with a peer whose lineages a former process made: its deadlines, and where it is, are found anew."""
    name, live = record.peer.name, ctx.live(record.peer.name)
    record.demanded = {child.child.name: None for one in live for child in one.children.values() if child.current}
    record.inherited = any(reqid in ctx.inherited for reqid in record.reqids)
    for lineage in live:
        standing.review(ctx, lineage)
    if live:
        completing.check_later(ctx, record, ctx.jittered(completing.CHECK_NS, 40))
        settling.begin(ctx, record)
    ctx.changed(name)
    if record.peer.addresses:
        calling.resolve(ctx, record)


def _same(record: PeerRecord, peer: Peer, event: Configured) -> bool:
    """Compare without the place in the file, and with the gateway's identity only where it is used.

    Certificates are not compared: ours was accepted, and whether theirs still is, is seen without ending anything.
    """
    if peer.local_identity is None and record.own_identity != event.identity:
        return False
    before, after = (replace(one, origin=Origin(), credential=None, trust=None) for one in (record.peer, peer))
    return before == after


def _revise(ctx: Context, record: PeerRecord, peer: Peer) -> None:
    """Take over another certificate of ours, or other authorities and lists: whom they revoke is let go."""
    if (record.peer.credential, record.peer.trust) == (peer.credential, peer.trust):
        return
    ctx.peers.renew(record, peer)
    for lineage in ctx.lineages_of_peer(peer.name):
        lineage.peer = peer
        ctx.touch(lineage.number)
        if lineage.established:
            standing.review(ctx, lineage)
    if not ctx.live(peer.name) and not record.ended:
        record.forgive()
        record.not_before = 0
        begin(ctx, record)


def _remove(ctx: Context, name: str) -> None:
    _end_all(ctx, name, "no longer configured")
    ctx.timers.clear_all(name)
    ctx.peers.remove(name)
    ctx.known.pop(name, None)


def _renew(ctx: Context, peer: Peer, event: Configured) -> None:
    if peer.name in ctx.peers:
        _end_all(ctx, peer.name, "the configuration changed")
        ctx.timers.clear_all(peer.name)
    record = PeerRecord(peer, event.identity)
    ctx.peers.put(record)
    held = {child.name: None for reqid, child in record.reqids.items() if reqid in ctx.inherited}
    record.inherited = bool(held)
    if peer.addresses:
        # Traffic uses what is held and so asks for nothing; but without IKE the peer will give its end up.
        record.demanded = held
    ctx.changed(peer.name)
    if peer.ike != calling.V2:
        record.reason, record.message = Refusal.INVALID_MAJOR_VERSION, f"IKEv{peer.ike} is not spoken here yet"
    elif peer.addresses:
        calling.resolve(ctx, record)


def _end_all(ctx: Context, name: str, message: str) -> None:
    for lineage in ctx.lineages_of_peer(name):
        lineages.end(ctx, lineage, Refusal.DISCONNECTED, message)
    # It is we who ended it: nothing of that is news about the peer as it is configured from now on.
    ctx.outcomes = [one for one in ctx.outcomes if one.peer != name]


def connect(ctx: Context, record: PeerRecord) -> None:
    """Bring a peer up whatever its `start`. What it came to before is no answer to who asks now."""
    if record.ended or not ctx.answers(record.peer.name):
        record.forgive()
    record.ended = False
    record.demanded = dict.fromkeys(child.name for child in record.peer.children)
    in_use = ctx.in_use(record.peer.name)
    if in_use is None or in_use.silent or not completing.left_to_peer(ctx, record, in_use):
        begin(ctx, record)


def disconnect(ctx: Context, record: PeerRecord) -> None:
    """End a peer until somebody asks for it again."""
    record.ended, record.demanded, record.inherited = True, {}, False
    record.reason, record.message, record.attempts = Refusal.DISCONNECTED, "ended by hand", {}
    ctx.timers.clear_all(record.peer.name)
    inheritance.let_go(ctx, record.reqids)
    _end_all(ctx, record.peer.name, "ended by hand")
    ctx.changed(record.peer.name)


def acquired(ctx: Context, event: Acquired) -> None:
    """Traffic asks for a child; one of a passive peer or of an ended one does not come by that.

    Packets come faster than a peer that refuses us should be called: after a failure they wait like everything else.
    """
    for record in ctx.peers.having(event.reqid):
        anew.hasten(ctx, record.peer.name, event.reqid)
        if ctx.now < record.not_before:
            continue
        child = record.reqids[event.reqid]
        if not record.ended and start_of(record.peer, child) is not Start.PASSIVE:
            record.demanded[child.name] = None
            record.parts_of(child.name).packet = _packet(event)
            begin(ctx, record)


def _packet(event: Acquired) -> SelectorPair:
    """Give the packet that asked as selectors: its addresses, protocol and ports (RFC 7296 section 2.9)."""
    ports = event.source_port, event.destination_port
    if event.protocol in (ICMP, ICMPV6) and None not in ports:
        both = ((event.source_port or 0) << 8) | (event.destination_port or 0)
        ports = both, both
    local, remote = (PortRange() if port is None else PortRange(port, port) for port in ports)
    return SelectorPair(
        TrafficSelector(event.source, event.source, event.protocol, local),
        TrafficSelector(event.destination, event.destination, event.protocol, remote),
    )


def begin(ctx: Context, record: PeerRecord) -> None:
    """Set up what is wanted and not there or under way. Beside an IKE SA on which nobody answers, another one is."""
    in_use = ctx.in_use(record.peer.name)
    if in_use is not None and not in_use.silent:
        completing.ensure(ctx, record, in_use)
    else:
        calling.call(ctx, record)


def expired(ctx: Context, timer: Timer, name: str) -> None:
    """Do what a deadline of a peer is for."""
    record = ctx.peers.get(name)
    if record is None or record.ended:
        return
    if timer is Timer.RECONNECT:
        begin(ctx, record)
    elif timer is Timer.NEXT_PATH:
        calling.next_path(ctx, record)
    elif timer is Timer.CHILD_CHECK:
        completing.check(ctx, record)
    elif timer is Timer.SETTLE:
        settling.settle(ctx, record, patient=False)


def react(ctx: Context, outcome: Outcome) -> None:
    """Go on after what an exchange reports."""
    if isinstance(outcome, StrangerCalled):
        calling.seek(ctx)
        return
    record = ctx.peers.get(outcome.peer)
    if record is None:
        return
    match outcome:
        case SetUpFailed(_, reason, message):
            calling.set_up_failed(ctx, record, reason, message)
        case Reached():
            calling.reached(ctx, record)
        case Silent():
            begin(ctx, record)
        case Answered():
            _answered(ctx, record)
        case CallRefused(name, reason, message) if not record.ended and not ctx.live(name):
            record.turned_away = reason, message
            record.fail(reason, message)
            ctx.changed(name)
        case Established(_, number):
            _established(ctx, record, ctx.lineages.get(number))
        case Confirmed():
            settling.settle(ctx, record, patient=True)
        case Lost(_, reason, message):
            _lost(ctx, record, reason, message)
        case Rekeyed(name):
            pfs.learn(record, outcome)
            ctx.changed(name)
        case ChildUp() | ChildNarrowed() | ChildDown():
            completing.react(ctx, record, outcome)


def _answered(ctx: Context, record: PeerRecord) -> None:
    """The peer was silent and lives: what was begun beside its IKE SA is not needed."""
    if ctx.answers(record.peer.name):
        calling.withdraw(ctx, record)
        record.forgive()
        settling.resume(ctx, record)
    begin(ctx, record)


def _established(ctx: Context, record: PeerRecord, lineage: Lineage | None) -> None:
    if lineage is None:
        return
    record.refusals, record.not_before = 0, 0
    record.forgive()
    calling.withdraw(ctx, record)
    if lineage.initiator:
        current = ctx.current(lineage)
        record.attempts.pop(current.spi if current else b"", None)
        completing.ensure(ctx, record, lineage, apart_from=current.first_child if current else None)
    else:
        completing.check_later(ctx, record, ctx.jittered(completing.CHECK_NS, 40))
    if record.inherited or any(one.silent for one in ctx.live(record.peer.name)):
        # The peer goes over to the new associations as soon as another exchange shows that we have them.
        record.inherited = False
        lineages.enqueue(ctx, lineage, Liveness())
    settling.begin(ctx, record)


def _lost(ctx: Context, record: PeerRecord, reason: Refusal, message: str) -> None:
    live = ctx.live(record.peer.name)
    if record.ended:
        return
    if live:
        completing.ensure(ctx, record, live[-1])
        settling.resume(ctx, record)
        return
    if not record.attempts and not record.resolving:
        calling.failed(ctx, record, reason, message)
