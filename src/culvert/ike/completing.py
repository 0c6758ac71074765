"""Children that are wanted and not there, whole or in part: asked for, and asked for again (RFC 7296 section 2.9)."""

from __future__ import annotations

from culvert.clock import SECOND
from culvert.ike.parts import Gap, Parts
from culvert.ike.records import ChildDown, ChildNarrowed, ChildUp, PeerRecord
from culvert.ike.timers import Timer
from culvert.ike.v2 import carrying, lineages
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import CreateChild, Lineage, Liveness
from culvert.ipsec.coverage import pairs
from culvert.limits import MAX_PROBES
from culvert.reasons import Refusal

CHECK_NS = 5 * SECOND
"""When a responder makes the children that the initiator did not: it had the time."""
RETRY_NS = 30 * SECOND
"""When a child that was refused is asked for again."""
PART_RETRY_NS = 600 * SECOND
"""The same for a part of a child that is there: the configuration of one end must change first."""
OF_A_PART = (Refusal.TS_UNACCEPTABLE, Refusal.SINGLE_PAIR_REQUIRED, Refusal.PEER_DELETED)
"""Refusals that say nothing of a child's other parts."""


def ensure(ctx: Context, record: PeerRecord, lineage: Lineage, apart_from: str | None = None) -> None:
    """Ask for what of the wanted children is not there. `apart_from` came with IKE_AUTH, or was refused there."""
    for child in record.wanted():
        if child.name == apart_from or _under_way(ctx, lineage, child.name):
            continue
        if carrying.next_wish(lineage, child, record.parts_of(child.name), ctx.now) is not None:
            lineages.enqueue(ctx, lineage, CreateChild(child.name))


def left_to_peer(ctx: Context, record: PeerRecord, lineage: Lineage) -> bool:
    """Tell whether the peer, who began, is making what is missing, so that asking for it as well would make it twice.

    It has until the check that follows the set-up and each part that it asks for. A packet does not wait for that.
    """
    due = ctx.timers.at(Timer.CHILD_CHECK, record.peer.name)
    return not lineage.initiator and due is not None and due <= ctx.now + CHECK_NS


def _under_way(ctx: Context, lineage: Lineage, name: str) -> bool:
    current = ctx.current(lineage)
    outstanding = current.window.outstanding if current else None
    tasks = [*lineage.queue, *([outstanding.task] if outstanding else [])]
    return any(isinstance(task, CreateChild) and task.child == name for task in tasks)


def check(ctx: Context, record: PeerRecord) -> None:
    """The time for another try has come."""
    for parts in record.parts.values():
        parts.refused_in_a_row = 0
    later = [gap.until for parts in record.parts.values() for gap in parts.gaps if gap.until > ctx.now]
    if later:
        check_later(ctx, record, min(later) - ctx.now)
    _ensure_newest(ctx, record)


def check_later(ctx: Context, record: PeerRecord, wait_ns: int) -> None:
    """See to it that `check` comes then, or before."""
    at, set_at = ctx.now + wait_ns, ctx.timers.at(Timer.CHILD_CHECK, record.peer.name)
    if set_at is None or at < set_at:
        ctx.timers.set(Timer.CHILD_CHECK, record.peer.name, at)


def react(ctx: Context, record: PeerRecord, outcome: ChildUp | ChildNarrowed | ChildDown) -> None:
    """Go on after what an exchange reports about a child."""
    match outcome:
        case ChildUp():
            _up(ctx, record, outcome)
        case ChildNarrowed():
            _narrowed(ctx, record, outcome)
        case ChildDown():
            _down(ctx, record, outcome)
    ctx.changed(record.peer.name)


def _newest(ctx: Context, record: PeerRecord) -> Lineage | None:
    return next(reversed(ctx.live(record.peer.name)), None)


def _ensure_newest(ctx: Context, record: PeerRecord) -> None:
    lineage = _newest(ctx, record)
    if lineage is not None and not record.ended:
        ensure(ctx, record, lineage)


def _up(ctx: Context, record: PeerRecord, up: ChildUp) -> None:
    """Forget why it was missing. Whoever began goes on with the rest; the other end leaves it the time to do so."""
    record.refused.pop(up.child, None)
    record.refused.pop("", None)
    lineage, child = _newest(ctx, record), record.child(up.child)
    if lineage is None or child is None:
        return
    parts = record.parts_of(up.child)
    parts.refused_in_a_row = 0
    if parts.by_traffic:
        return
    if carrying.left_of(lineage, child).nothing:
        parts.forget_refusals()
        if up.began and _takes_over(ctx, record, lineage) and len(carrying.carriers(lineage, child.name)) > 1:
            # The peer goes over to a part when the next exchange shows that we have it; after the last there is none.
            lineages.enqueue(ctx, lineage, Liveness())
    elif up.began:
        ensure(ctx, record, lineage)
    else:
        check_later(ctx, record, ctx.jittered(CHECK_NS, 40))


def _takes_over(ctx: Context, record: PeerRecord, lineage: Lineage) -> bool:
    """Tell whether another IKE SA with the peer still stands, on whose children it may be sending."""
    return any(one is not lineage for one in ctx.live(record.peer.name))


def _narrowed(ctx: Context, record: PeerRecord, narrowed: ChildNarrowed) -> None:
    """Learn how the peer narrows."""
    parts = record.parts_of(narrowed.child)
    parts.given(narrowed.asked, narrowed.answered)
    _ensure_newest(ctx, record)


def _down(ctx: Context, record: PeerRecord, down: ChildDown) -> None:
    """Remember why it is missing, and ask for less at once, or for the next part, or later."""
    child = record.child(down.child)
    if child is None:
        record.refused[down.child] = down.reason, down.message
        check_later(ctx, record, ctx.jittered(RETRY_NS, 30))
        return
    parts, lineage = record.parts_of(child.name), _newest(ctx, record)
    carried = bool(lineage and carrying.carriers(lineage, child.name))
    _remember(record, parts, down)
    if not _divide(parts, down, carried):
        whole = down.reason not in OF_A_PART or (_refused_again(parts) and not carried)
        sides = None if whole else down.sides
        wait_ns = ctx.jittered(PART_RETRY_NS if carried and down.reason is not Refusal.PEER_DELETED else RETRY_NS, 30)
        parts.refuse(Gap(sides or (child.local, child.remote), down.reason, down.message, ctx.now + wait_ns))
        check_later(ctx, record, wait_ns)
    _ensure_newest(ctx, record)


def _remember(record: PeerRecord, parts: Parts, down: ChildDown) -> None:
    """Keep what was said of the whole child while its parts are tried one by one."""
    told = record.refused.get(down.child)
    if told is None or told[0] is not down.reason or parts.splitting is parts.began:
        record.refused[down.child] = down.reason, down.message


def _divide(parts: Parts, down: ChildDown, carried: bool) -> bool:
    """Ask for less at once where that may help. Peers that do not narrow say TS_UNACCEPTABLE to several pairs."""
    if down.reason is Refusal.TS_UNACCEPTABLE:
        may_help = not carried and down.sides is not None and len(pairs(*down.sides)) > 1
    else:
        may_help = down.reason is Refusal.SINGLE_PAIR_REQUIRED
    return may_help and down.sides is not None and parts.split_further(down.sides)


def _refused_again(parts: Parts) -> bool:
    """Count a refusal; after a few, with nothing of the child there, the whole of it counts as refused."""
    parts.refused_in_a_row += 1
    if parts.refused_in_a_row >= MAX_PROBES:
        parts.splitting = parts.began
    return parts.refused_in_a_row >= MAX_PROBES
