"""Which of several IKE SAs with one peer stays: after a simultaneous set-up, and after the peer set up anew."""

from __future__ import annotations

from culvert.clock import SECOND
from culvert.ike.records import PeerRecord
from culvert.ike.timers import Timer
from culvert.ike.v2 import carrying, children, lineages
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import Lineage, Liveness
from culvert.reasons import Refusal

SETTLE_NS = 20 * SECOND
"""When the loser of a simultaneous set-up is ended by the end that did not begin it, and what a newer IKE SA of the
same peer has replaced by us."""


def begin(ctx: Context, record: PeerRecord) -> None:
    """A new IKE SA stands: settle as far as that is possible now, and the rest after a while."""
    if len(ctx.live(record.peer.name)) > 1:
        settle(ctx, record, patient=True)
        ctx.timers.set(Timer.SETTLE, record.peer.name, ctx.now + SETTLE_NS)


def resume(ctx: Context, record: PeerRecord) -> None:
    """The newest IKE SA was silent and is not, or is gone: settle what had to wait."""
    if ctx.timers.at(Timer.SETTLE, record.peer.name) is None:
        begin(ctx, record)


def settle(ctx: Context, record: PeerRecord, *, patient: bool) -> None:
    """Keep one IKE SA of a peer. Of those that both ends began at once, the one with the lowest nonce is ended by its
    initiator; where that end does not do it (RFC 7296 does not ask it to), this one does after a while.

    An IKE SA that stood when the peer began another one is a remnant: the peer restarted, or moved over.
    """
    live = ctx.live(record.peer.name)
    if len(live) < 2:
        return
    if not patient:
        # What must not end yet, because the other one lacks a child, is looked at again.
        ctx.timers.set(Timer.SETTLE, record.peer.name, ctx.now + SETTLE_NS)
    rivals = [one for one in live if children.overlap(one, live[-1])]
    winner = max(_eligible(rivals, patient), key=lambda one: one.lowest_nonce)
    if winner.silent:
        return  # another one is being set up; until then nobody is ended that may still answer
    for lineage in live:
        if lineage not in rivals:
            if not patient:
                _retire(ctx, lineage, winner)
        elif lineage is not winner and (lineage.initiator or not patient):
            _yield(ctx, lineage, winner, patient)


def _eligible(rivals: list[Lineage], patient: bool) -> list[Lineage]:
    """Leave out, in the end, those on which the peer does not answer: its process may have lost them meanwhile."""
    answering = [one for one in rivals if not one.silent]
    return rivals if patient else answering or rivals


def _yield(ctx: Context, loser: Lineage, winner: Lineage, patient: bool) -> None:
    """End the loser, but not before the peer can send on the winner; where it began that, ask whether it has it."""
    if not patient or children.carries_all(winner, loser):
        lineages.end_redundant(ctx, loser, Refusal.DISCONNECTED, "both ends began at once; the other IKE SA stays")
    elif not winner.confirmed and not _asks(ctx, winner):
        lineages.enqueue(ctx, winner, Liveness())


def _asks(ctx: Context, lineage: Lineage) -> bool:
    current = ctx.current(lineage)
    return current is not None and current.window.outstanding is not None


def _retire(ctx: Context, old: Lineage, new: Lineage) -> None:
    """End what a newer IKE SA has replaced. Where that one lacks a child, ask whether the peer has the old one."""
    names = [child.child.name for child in old.children.values() if child.current]
    if all(carrying.carriers(new, name) for name in names):
        lineages.end_redundant(ctx, old, Refusal.DISCONNECTED, "the peer set up another IKE SA; that one stays")
    else:
        lineages.enqueue(ctx, old, Liveness())
