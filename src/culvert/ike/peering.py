"""When peers are called: at start, on traffic, when asked, and again after a failure."""

from __future__ import annotations

from dataclasses import replace

from culvert.clock import SECOND
from culvert.config.model import Origin, Peer, Start
from culvert.ike import calling, settling
from culvert.ike.events import Acquired, Configured
from culvert.ike.records import (
    Answered,
    CallRefused,
    ChildDown,
    ChildUp,
    Confirmed,
    Established,
    Lost,
    Outcome,
    PeerRecord,
    Reached,
    SetUpFailed,
    Silent,
    start_of,
)
from culvert.ike.timers import Timer
from culvert.ike.v2 import children, lineages
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import CreateChild, Lineage, Liveness
from culvert.reasons import Refusal

CHILD_CHECK_NS = 5 * SECOND
"""When a responder makes the children that the initiator did not: it had the time."""
CHILD_RETRY_NS = 30 * SECOND
"""When a child that was refused is asked for again."""


def configure(ctx: Context, event: Configured) -> None:
    """Take over a list of peers; what did not change is not touched."""
    names = {peer.name: None for peer in event.peers}
    for name in [name for name in ctx.peers if name not in names]:
        _remove(ctx, name)
    for peer in event.peers:
        record = ctx.peers.get(peer.name)
        if record is None or not _same(record, peer, event):
            _renew(ctx, peer, event)
        elif record.ended:
            record.ended = False
            record.forgive()
            begin(ctx, record)


def _same(record: PeerRecord, peer: Peer, event: Configured) -> bool:
    """Compare without the place in the file, and with the gateway's identity only where it is used."""
    if peer.local_identity is None and record.own_identity != event.identity:
        return False
    return replace(record.peer, origin=Origin()) == replace(peer, origin=Origin())


def _remove(ctx: Context, name: str) -> None:
    _end_all(ctx, name, "no longer configured")
    ctx.timers.clear_all(name)
    ctx.peers.remove(name)


def _renew(ctx: Context, peer: Peer, event: Configured) -> None:
    if peer.name in ctx.peers:
        _end_all(ctx, peer.name, "the configuration changed")
        ctx.timers.clear_all(peer.name)
    record = PeerRecord(peer, event.identity)
    ctx.peers.put(record)
    held = {child.name: None for reqid, child in record.reqids.items() if reqid in event.held}
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
    """Bring a peer up whatever its `start`."""
    if record.ended:
        record.ended = False
        record.forgive()
    record.demanded = dict.fromkeys(child.name for child in record.peer.children)
    begin(ctx, record)


def disconnect(ctx: Context, record: PeerRecord) -> None:
    """End a peer until somebody asks for it again."""
    record.ended, record.demanded, record.inherited = True, {}, False
    record.reason, record.message, record.attempts = Refusal.DISCONNECTED, "ended by hand", {}
    ctx.timers.clear_all(record.peer.name)
    _end_all(ctx, record.peer.name, "ended by hand")
    ctx.changed(record.peer.name)


def acquired(ctx: Context, event: Acquired) -> None:
    """Traffic asks for a child; one of a passive peer or of an ended one does not come by that.

    Packets come faster than a peer that refuses us should be called: after a failure they wait like everything else.
    """
    for record in ctx.peers.having(event.reqid):
        if ctx.now < record.not_before:
            continue
        child = record.reqids[event.reqid]
        if not record.ended and start_of(record.peer, child) is not Start.PASSIVE:
            record.demanded[child.name] = None
            begin(ctx, record)


def begin(ctx: Context, record: PeerRecord) -> None:
    """Set up what is wanted and not there or under way. Beside an IKE SA on which nobody answers, another one is."""
    answering = [one for one in ctx.live(record.peer.name) if not one.silent]
    if answering:
        ensure_children(ctx, record, answering[-1])
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
        for lineage in ctx.live(name)[-1:]:
            ensure_children(ctx, record, lineage)
    elif timer is Timer.SETTLE:
        settling.settle(ctx, record, patient=False)


def ensure_children(ctx: Context, record: PeerRecord, lineage: Lineage, apart_from: str | None = None) -> None:
    """Ask for the wanted children that are not there. `apart_from` came with IKE_AUTH, or was refused there."""
    for child in record.wanted():
        if child.name == apart_from:
            continue
        if children.current_child(lineage, child.name) is None and not _under_way(ctx, lineage, child.name):
            lineages.enqueue(ctx, lineage, CreateChild(child.name))


def _under_way(ctx: Context, lineage: Lineage, name: str) -> bool:
    current = ctx.current(lineage)
    outstanding = current.window.outstanding if current else None
    tasks = [*lineage.queue, *([outstanding.task] if outstanding else [])]
    return any(isinstance(task, CreateChild) and task.child == name for task in tasks)


def react(ctx: Context, outcome: Outcome) -> None:
    """Go on after what an exchange reports."""
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
        case ChildUp(name, child):
            record.refused.pop(child, None)
            record.refused.pop("", None)
            ctx.changed(name)
        case ChildDown(name, child, reason, message):
            record.refused[child] = (reason, message)
            if ctx.timers.at(Timer.CHILD_CHECK, name) is None:
                ctx.timers.set(Timer.CHILD_CHECK, name, ctx.now + ctx.jittered(CHILD_RETRY_NS, 30))
            ctx.changed(name)


def _answered(ctx: Context, record: PeerRecord) -> None:
    """The peer was silent and lives: what was begun beside its IKE SA is not needed."""
    calling.withdraw(ctx, record)
    record.forgive()
    begin(ctx, record)


def _established(ctx: Context, record: PeerRecord, lineage: Lineage | None) -> None:
    if lineage is None:
        return
    record.refusals, record.not_before = 0, 0
    record.forgive()
    calling.withdraw(ctx, record)
    if record.inherited or any(one.silent for one in ctx.live(record.peer.name)):
        # The peer goes over to the new associations as soon as it sees that we have them.
        record.inherited = False
        lineages.enqueue(ctx, lineage, Liveness())
    if lineage.initiator:
        current = ctx.current(lineage)
        record.attempts.pop(current.spi if current else b"", None)
        ensure_children(ctx, record, lineage, apart_from=current.first_child if current else None)
    else:
        ctx.timers.set(Timer.CHILD_CHECK, record.peer.name, ctx.now + ctx.jittered(CHILD_CHECK_NS, 40))
    settling.begin(ctx, record)


def _lost(ctx: Context, record: PeerRecord, reason: Refusal, message: str) -> None:
    live = ctx.live(record.peer.name)
    if record.ended:
        return
    if live:
        ensure_children(ctx, record, live[-1])
        return
    if not record.attempts and not record.resolving:
        calling.failed(ctx, record, reason, message)
