"""What hints that a peer may be gone: it is asked at once, or once more. Nothing else follows from a hint.

Hints are traffic without an answer, another way through the network, an error that nobody protected. Who can make any
of them come makes us send an empty request, at most one a second for each IKE SA, and a bounded number in all.
"""

from __future__ import annotations

from culvert.clock import SECOND
from culvert.config.model import Start
from culvert.ike.events import NothingReceived
from culvert.ike.records import Silent, start_of
from culvert.ike.timers import Timer
from culvert.ike.v2 import lineages, requests
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import IkeSa, IkeState, Lineage, Liveness

APART_NS = SECOND
"""How long what was heard of a peer or was sent to it counts as news."""

SHORTEST_CHANCE_NS, LONGEST_CHANCE_NS = SECOND // 10, SECOND
"""How long an IKE SA that was silent has to answer before another takes its place."""


def ask(ctx: Context, lineage: Lineage) -> None:
    """See now whether the peer of an established IKE SA is there."""
    sa = ctx.current(lineage)
    if sa is None or not _may_be_asked(lineage) or sa.state is not IkeState.ESTABLISHED:
        return
    if sa.window.outstanding is not None:
        requests.hasten(ctx, sa, APART_NS)
    elif ctx.now - sa.last_heard >= APART_NS and not lineage.queue:
        _ask_in_turn(ctx, lineage, sa)


def _may_be_asked(lineage: Lineage) -> bool:
    return lineage.established and not lineage.closing and lineage.peer is not None and lineage.peer.dpd_s > 0


def _ask_in_turn(ctx: Context, lineage: Lineage, sa: IkeSa) -> None:
    at = ctx.hints.slot(ctx.now)
    if at == ctx.now:
        lineages.enqueue(ctx, lineage, Liveness())
    elif at is not None:
        sa.ask_at = at
        ctx.timers.set(Timer.LIVENESS, sa.spi.hex(), at)


def last_chance(ctx: Context, beside: IkeSa, sent_at: int) -> int:
    """The first message of a set-up beside a silent IKE SA was answered, so that one may be, too: ask it at once.

    Give how long the set-up waits for that, in nanoseconds: twice the way there and back that it took.
    """
    silent = ctx.in_use(beside.peer)
    sa = ctx.current(silent) if silent is not None and silent.silent else None
    if sa is None or sa.window.outstanding is None or sa.local.ip != beside.local.ip:
        return 0
    requests.hasten(ctx, sa, 0)
    return min(max(2 * (ctx.now - sent_at), SHORTEST_CHANCE_NS), LONGEST_CHANCE_NS)


def nothing_received(ctx: Context, event: NothingReceived) -> None:
    """The data plane got nothing on a child for a while; with `sending`, packets leave on it, and want it back."""
    lineage = ctx.lineages.get(ctx.child_owners.get(event.id.spi, 0))
    child = lineage.children.get(event.id.spi) if lineage else None
    if lineage is None or child is None or lineage.peer is None or child.inbound.id != event.id:
        return
    record = ctx.peers.get(lineage.peer.name)
    if event.sending and record is not None and start_of(record.peer, child.child) is not Start.PASSIVE:
        record.demanded[child.child.name] = None
        if lineage.silent:
            ctx.outcomes.append(Silent(record.peer.name))
    ask(ctx, lineage)
