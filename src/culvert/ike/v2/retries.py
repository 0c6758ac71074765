"""Trying again what the peer could not do at the moment (RFC 7296 section 2.25)."""

from __future__ import annotations

from culvert.clock import SECOND
from culvert.ike.logs import WARNING
from culvert.ike.records import ChildDown
from culvert.ike.timers import Timer
from culvert.ike.v2 import lineages
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import ChildOffer, CreateChild, Lineage, RekeyChild, RekeyIke
from culvert.reasons import Refusal

FIRST_NS = SECOND
MAX_NS = 30 * SECOND
MAX_RETRIES = 10
"""Some two minutes in all; whoever is busy for longer is not busy."""


def soon(ctx: Context, lineage: Lineage, task: CreateChild | RekeyChild | RekeyIke, offer: ChildOffer | None) -> None:
    """Put a task back after TEMPORARY_FAILURE. The wait doubles, less up to half: two ends must not meet again."""
    lineage.retries += 1
    if lineage.retries > MAX_RETRIES:
        lineage.retries = 0
        _abandon(ctx, lineage, offer)
        return
    wait = ctx.jittered(min(FIRST_NS << lineage.retries, MAX_NS), 50)
    lineage.retry_at = ctx.now + wait
    ctx.timers.set(Timer.TASK_RETRY, lineage.number, lineage.retry_at)
    lineages.enqueue(ctx, lineage, task)


def _abandon(ctx: Context, lineage: Lineage, offer: ChildOffer | None) -> None:
    name, message = lineage.peer.name if lineage.peer else "", "the peer stays busy"
    ctx.log(name, message, Refusal.TEMPORARY_FAILURE, WARNING)
    if offer is not None and offer.rekeys is None:
        ctx.outcomes.append(ChildDown(name, offer.child.name, Refusal.TEMPORARY_FAILURE, message, offer.sides))
