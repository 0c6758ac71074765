"""The bounds of `limits.py`, as far as a peer can make a core hold more: counted after every event."""

from __future__ import annotations

from collections.abc import Iterator

from culvert import limits
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import Lineage

Count = tuple[str, int, int]
"""What is counted, how many there are, and how many there may be."""


def exceeded(ctx: Context) -> Iterator[str]:
    """Say of what there is more than there may be."""
    for what, count, most in _counts(ctx):
        if count > most:
            yield f"{count} {what}, where {most} may be"


def _counts(ctx: Context) -> Iterator[Count]:
    yield "half-open IKE SAs", len(ctx.half_open), limits.MAX_HALF_OPEN
    yield "inbound associations that are leaving", len(ctx.leaving), limits.MAX_LEAVING
    yield "incomplete messages", len(ctx.fragments), 2 * len(ctx.sas)
    yield "octets of incomplete messages", ctx.fragments.octets(), 2 * len(ctx.sas) * limits.MAX_FRAGMENTED_OCTETS
    for peer in ctx.by_peer:
        yield f"lineages of {peer}", len(ctx.live(peer)), limits.MAX_IKE_SAS_PER_PEER
    for lineage in ctx.lineages.values():
        yield from _of_lineage(lineage)
    for sa in ctx.sas.values():
        yield "first messages sent anew", sa.restarts, limits.MAX_SET_UP_RESTARTS


def _of_lineage(lineage: Lineage) -> Iterator[Count]:
    selectors = sum(len(child.inbound.selectors) for child in lineage.children.values())
    yield "children of a lineage", len(lineage.children), limits.MAX_CHILDREN
    yield "selectors of a lineage", selectors, limits.MAX_SELECTORS_HELD
    yield "waiting exchanges of a lineage", len(lineage.queue), limits.MAX_QUEUED_TASKS
    yield "IKE SAs of a lineage", len(lineage.members), limits.MAX_IKE_SAS_PER_PEER + 1
    yield "closed IKE SAs of a lineage", len(lineage.lingering), limits.MAX_LINGERING
