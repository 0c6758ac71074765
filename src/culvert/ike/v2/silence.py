"""Peers that do not answer: suspected soon and called beside the IKE SA that stands, given up late.

RFC 7296 section 2.4 forbids to conclude from anything unprotected that a peer is dead, and wants repeated requests to
go unanswered first. So a suspicion, whatever raises it, ends nothing: it only begins a set-up in parallel. An answer
takes the suspicion back; an IKE SA that the same peer authenticates anew takes the old one's place.
"""

from __future__ import annotations

from culvert.ike.records import Answered, Silent
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import IkeSa, IkeState


def suspect(ctx: Context, sa: IkeSa) -> None:
    """A request of an IKE SA goes unanswered, or somebody says that the peer does not know it."""
    lineage = ctx.lineage_of(sa)
    if lineage.closing or lineage.silent:
        return
    if lineage.established and lineage.peer is not None:
        lineage.silent = True
        ctx.changed(lineage.peer.name)
        ctx.outcomes.append(Silent(lineage.peer.name))
    elif sa.state is IkeState.AUTH_SENT:
        lineage.silent = True
        ctx.outcomes.append(Silent(sa.peer))


def heard(ctx: Context, sa: IkeSa) -> None:
    """An authentic message of the peer came."""
    sa.last_heard = ctx.now
    lineage = ctx.lineage_of(sa)
    confirm(ctx, sa)
    if lineage.silent:
        lineage.silent = False
        if lineage.established and not lineage.closing and lineage.peer is not None:
            ctx.changed(lineage.peer.name)
            ctx.outcomes.append(Answered(lineage.peer.name))


def confirm(ctx: Context, sa: IkeSa) -> None:
    """The peer has our answer that made this IKE SA: from now on we may begin exchanges there."""
    if sa.unconfirmed:
        sa.unconfirmed = False
        ctx.dirty[sa.lineage] = None
