"""When peers are called: at start, on traffic, when asked, and again after a failure."""

from __future__ import annotations

from dataclasses import replace

from culvert.clock import SECOND
from culvert.config.model import Origin, Peer, Start
from culvert.entropy import below
from culvert.ike.actions import ResolvePath
from culvert.ike.events import Acquired, Configured, PathFailed, PathResolved
from culvert.ike.logs import WARNING
from culvert.ike.records import (
    CallRefused,
    ChildDown,
    ChildUp,
    Established,
    Lost,
    Outcome,
    PeerRecord,
    SetUpFailed,
    start_of,
)
from culvert.ike.timers import Timer
from culvert.ike.v2 import children, lineages
from culvert.ike.v2.context import Context
from culvert.ike.v2.exchanges import ike_sa_init
from culvert.ike.v2.sa import CreateChild, IkeState, Lineage, Liveness
from culvert.reasons import Refusal

V2 = 2
"""The version of IKE that is spoken here."""
MAX_BACK_OFF_S = 60
CHILD_CHECK_NS = 5 * SECOND
"""When a responder makes the children that the initiator did not: it had the time."""
CHILD_RETRY_NS = 30 * SECOND
"""When a child that was refused is asked for again."""
COLLISION_NS = 60 * SECOND
"""IKE SAs of both ends that began so close to each other are a simultaneous set-up."""
SETTLE_NS = 20 * SECOND
"""When the loser of a simultaneous set-up is ended by the end that did not begin it."""


def configure(ctx: Context, event: Configured) -> None:
    """Take over a list of peers; what did not change is not touched."""
    names = [peer.name for peer in event.peers]
    for name in [name for name in ctx.peers if name not in names]:
        _remove(ctx, name)
    for peer in event.peers:
        record = ctx.peers.get(peer.name)
        if record is None or not _same(record, peer, event):
            _renew(ctx, peer, event)
        elif record.ended:
            record.ended, record.reason, record.message = False, None, ""
            begin(ctx, record)


def _same(record: PeerRecord, peer: Peer, event: Configured) -> bool:
    """Compare without the place in the file, and with the gateway's identity only where it is used."""
    if peer.local_identity is None and record.own_identity != event.identity:
        return False
    return replace(record.peer, origin=Origin()) == replace(peer, origin=Origin())


def _remove(ctx: Context, name: str) -> None:
    _end_all(ctx, name, "no longer configured")
    ctx.timers.clear_all(name)
    del ctx.peers[name]


def _renew(ctx: Context, peer: Peer, event: Configured) -> None:
    if peer.name in ctx.peers:
        _end_all(ctx, peer.name, "the configuration changed")
        ctx.timers.clear_all(peer.name)
    record = ctx.peers[peer.name] = PeerRecord(peer, event.identity)
    ctx.changed(peer.name)
    if peer.ike != V2:
        record.reason, record.message = Refusal.INVALID_MAJOR_VERSION, f"IKEv{peer.ike} is not spoken here yet"
    elif peer.addresses:
        _resolve(ctx, record)


def _end_all(ctx: Context, name: str, message: str) -> None:
    for lineage in ctx.lineages_of_peer(name):
        lineages.end(ctx, lineage, Refusal.DISCONNECTED, message)
    # It is we who ended it: nothing of that is news about the peer as it is configured from now on.
    ctx.outcomes = [one for one in ctx.outcomes if one.peer != name]


def connect(ctx: Context, record: PeerRecord) -> None:
    """Bring a peer up whatever its `start`."""
    record.ended = False
    record.demanded = dict.fromkeys(child.name for child in record.peer.children)
    begin(ctx, record)


def disconnect(ctx: Context, record: PeerRecord) -> None:
    """End a peer until somebody asks for it again."""
    record.ended, record.demanded = True, {}
    record.reason, record.message, record.attempt = Refusal.DISCONNECTED, "ended by hand", None
    ctx.timers.clear_all(record.peer.name)
    _end_all(ctx, record.peer.name, "ended by hand")
    ctx.changed(record.peer.name)


def acquired(ctx: Context, event: Acquired) -> None:
    """Traffic asks for a child; one of a passive peer or of an ended one does not come by that.

    Packets come faster than a peer that refuses us should be called: after a failure they wait like everything else.
    """
    for record in ctx.peers.values():
        if ctx.now < record.not_before:
            continue
        for child in record.peer.children:
            if child.reqid == event.reqid and not record.ended and start_of(record.peer, child) is not Start.PASSIVE:
                record.demanded[child.name] = None
                begin(ctx, record)


def begin(ctx: Context, record: PeerRecord) -> None:
    """Set up what is wanted and not there or under way."""
    peer = record.peer
    live = ctx.live(peer.name)
    if live:
        ensure_children(ctx, record, live[-1])
    elif record.wanted() and peer.addresses and record.attempt is None and peer.ike == V2:
        ctx.timers.clear(Timer.RECONNECT, peer.name)
        _resolve(ctx, record)


def _resolve(ctx: Context, record: PeerRecord) -> None:
    if not record.resolving:
        record.resolving = True
        ctx.emit(ResolvePath(record.peer.name, record.peer.addresses))
        ctx.changed(record.peer.name)


def path_resolved(ctx: Context, event: PathResolved) -> None:
    record = ctx.peers.get(event.peer)
    if record is None:
        return
    record.resolving, record.paths, record.untried = False, event.paths, list(event.paths)
    _next_path(ctx, record)


def path_failed(ctx: Context, event: PathFailed) -> None:
    record = ctx.peers.get(event.peer)
    if record is None:
        return
    record.resolving = False
    ctx.log(event.peer, event.message, event.reason, WARNING)
    _failed(ctx, record, event.reason, event.message)


def _next_path(ctx: Context, record: PeerRecord) -> None:
    """Call over the next address that was not tried; after the last one, wait and begin again."""
    peer = record.peer
    wanted = record.wanted()
    if not wanted or record.attempt is not None or ctx.live(peer.name):
        return
    if not record.untried:
        _failed(ctx, record, record.reason or Refusal.NO_ROUTE, record.message or "no address to call")
        return
    sa = ike_sa_init.initiate(ctx, record, record.untried.pop(0), wanted[0].name)
    record.attempt = sa.spi if sa else None
    ctx.changed(peer.name)


def _failed(ctx: Context, record: PeerRecord, reason: Refusal, message: str) -> None:
    """Remember why, and call again later where the tunnel is always to be there."""
    peer = record.peer
    record.reason, record.message = reason, message
    record.failures += 1
    record.not_before = ctx.now + _back_off(ctx, record.failures)
    always = any(start_of(peer, child) is Start.ALWAYS for child in peer.children)
    if not always:
        record.demanded = {}
    elif not record.ended and peer.addresses:
        ctx.timers.set(Timer.RECONNECT, peer.name, record.not_before)
    ctx.changed(peer.name)


def _back_off(ctx: Context, failures: int) -> int:
    """Give 1, 2, 4 ... 60 seconds, and up to half less, so that a hundred peers do not come back at once."""
    whole = min(1 << min(failures - 1, 6), MAX_BACK_OFF_S) * SECOND
    return whole - below(ctx.entropy, whole // 2)


def expired(ctx: Context, timer: Timer, name: str) -> None:
    """Do what a deadline of a peer is for."""
    record = ctx.peers.get(name)
    if record is None or record.ended:
        return
    if timer is Timer.RECONNECT:
        begin(ctx, record)
    elif timer is Timer.CHILD_CHECK:
        for lineage in ctx.live(name)[-1:]:
            ensure_children(ctx, record, lineage)
    elif timer is Timer.SETTLE:
        _settle(ctx, record, patient=False)


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
            _set_up_failed(ctx, record, reason, message)
        case CallRefused(name, reason, message) if record.attempt is None and not ctx.live(name):
            record.reason, record.message = reason, message
            ctx.changed(name)
        case Established(_, number):
            _established(ctx, record, ctx.lineages.get(number))
        case Lost(_, reason, message):
            _lost(ctx, record, reason, message)
        case ChildUp(name, child):
            record.refused.pop(child, None)
            ctx.changed(name)
        case ChildDown(name, child, reason, message):
            record.refused[child] = (reason, message)
            ctx.timers.set(Timer.CHILD_CHECK, name, ctx.now + ctx.jittered(CHILD_RETRY_NS, 30))
            ctx.changed(name)


def _set_up_failed(ctx: Context, record: PeerRecord, reason: Refusal, message: str) -> None:
    record.attempt = None
    if record.ended or ctx.live(record.peer.name):
        return
    record.reason, record.message = reason, message
    if record.untried:
        _next_path(ctx, record)
    else:
        _failed(ctx, record, reason, message)


def _established(ctx: Context, record: PeerRecord, lineage: Lineage | None) -> None:
    if lineage is None:
        return
    record.failures, record.not_before, record.reason, record.message, record.refused = 0, 0, None, "", {}
    ctx.timers.clear(Timer.RECONNECT, record.peer.name)
    if lineage.initiator:
        record.attempt = None
        current = ctx.current(lineage)
        ensure_children(ctx, record, lineage, apart_from=current.first_child if current else None)
    else:
        _abandon_attempt(ctx, record)
        ctx.timers.set(Timer.CHILD_CHECK, record.peer.name, ctx.now + ctx.jittered(CHILD_CHECK_NS, 40))
    _settle(ctx, record, patient=True)


def _abandon_attempt(ctx: Context, record: PeerRecord) -> None:
    """The peer was faster. Where our own set-up has not come to IKE_AUTH, nobody misses it."""
    sa = ctx.sas.get(record.attempt) if record.attempt else None
    if sa is not None and sa.state is IkeState.INIT_SENT:
        record.attempt = None
        lineage = ctx.lineage_of(sa)
        lineage.closing = True
        lineages.forget(ctx, sa)


def _settle(ctx: Context, record: PeerRecord, *, patient: bool) -> None:
    """Where both ends began at once, keep one IKE SA: the one with the lowest nonce is ended by its initiator.

    Where that end does not do it (RFC 7296 does not ask it to), this one does after a while. IKE SAs that began long
    after each other are no collision: then the older ones are asked whether they still live.
    """
    live = ctx.live(record.peer.name)
    if len(live) < 2:
        return
    winner = max(live, key=lambda one: one.lowest_nonce)
    for lineage in live:
        if abs(lineage.began_at - winner.began_at) > COLLISION_NS:
            lineages.enqueue(ctx, min(lineage, winner, key=lambda one: one.began_at), Liveness())
        elif lineage is not winner and (lineage.initiator or not patient):
            lineages.end(ctx, lineage, Refusal.DISCONNECTED, "both ends began at once; the other IKE SA stays")
    if patient:
        ctx.timers.set(Timer.SETTLE, record.peer.name, ctx.now + SETTLE_NS)


def _lost(ctx: Context, record: PeerRecord, reason: Refusal, message: str) -> None:
    live = ctx.live(record.peer.name)
    if record.ended:
        return
    if live:
        ensure_children(ctx, record, live[-1])
        return
    record.demanded = {}
    record.untried = []
    if record.attempt is None and not record.resolving:
        _failed(ctx, record, reason, message)
