"""Successors for children that the data plane lost. Old keys never come back: their counters would, too.

They are asked for a few at a time, so that a gateway with very many keeps answering meanwhile; but what packets wait
for comes at once.
"""

from __future__ import annotations

from culvert.clock import SECOND
from culvert.ike.timers import Timer
from culvert.ike.v2 import inheritance, keeping, lineages
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import ChildSa, Lineage, RekeyChild

AT_ONCE = 32
APART_NS = SECOND // 20
"""So many are asked for at once, and again after this time: 640 in a second, about what two processors can do."""


def all_lost(ctx: Context) -> None:
    """The data plane came back empty."""
    keeping.write_all_again(ctx)
    inheritance.lost(ctx)
    for record in ctx.peers.values():
        record.inherited = False
    for lineage in list(ctx.lineages.values()):
        for child in lineage.children.values():
            lost(ctx, child)


def lost(ctx: Context, child: ChildSa) -> None:
    """Have a child made anew, now or when its turn comes."""
    if not child.current:
        return
    # What waited for its outbound association no longer has an inbound one either.
    child.waiting = False
    turn = ctx.timers.count(Timer.ANEW) // AT_ONCE
    ctx.timers.set(Timer.ANEW, child.spi_in, ctx.now + turn * APART_NS)


def begin(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    """Its turn has come."""
    ctx.timers.clear(Timer.ANEW, child.spi_in)
    if child.current:
        lineages.enqueue(ctx, lineage, RekeyChild(child.spi_in))


def hasten(ctx: Context, peer: str, reqid: int) -> None:
    """A packet waits for it."""
    for lineage in ctx.live(peer):
        for child in list(lineage.children.values()):
            if child.child.reqid == reqid and ctx.timers.at(Timer.ANEW, child.spi_in) is not None:
                begin(ctx, lineage, child)
