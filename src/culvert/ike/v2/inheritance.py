"""Associations that a former process left in the data plane, and that no lineage of ours owns.

Their keys are not ours to know. They serve until IKE has made successors, and a while longer: the peer may send on them
until it sees that we have the new ones.
"""

from __future__ import annotations

from collections.abc import Iterable

from culvert.ike.actions import RemoveAssociation
from culvert.ike.events import Held
from culvert.ike.timers import Timer
from culvert.ike.v2 import children
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import ChildSa
from culvert.ipsec.associations import AssociationId, Direction


def inherit(ctx: Context, held: Iterable[Held], there: dict[AssociationId, None]) -> None:
    """Enter what is `held` and nobody's. What a child of ours stands for already goes as after a DELETE."""
    ours = [child for lineage in ctx.lineages.values() for child in lineage.children.values()]
    owned = {id_: None for child in ours for id_ in (child.inbound.id, child.outbound.id)}
    served = {child.child.reqid: None for child in ours if _serves(child, there)}
    for one in held:
        if one.id in owned or one.id not in there:
            continue
        if one.reqid not in served:
            ctx.inherited.setdefault(one.reqid, []).append(one.id)
        elif one.direction is Direction.IN:
            children.leave(ctx, one.id)
        else:
            ctx.emit(RemoveAssociation(one.id))


def _serves(child: ChildSa, there: dict[AssociationId, None]) -> bool:
    return child.current and not child.waiting and child.inbound.id in there and child.outbound.id in there


def wanted(ctx: Context) -> None:
    """Let go of what belongs to no configured child any more."""
    known = {reqid: None for record in ctx.peers.values() for reqid in record.reqids}
    let_go(ctx, [reqid for reqid in ctx.inherited if reqid not in known])


def let_go(ctx: Context, reqids: Iterable[int]) -> None:
    """Take the associations of these out of the data plane."""
    for reqid in reqids:
        ctx.timers.clear(Timer.RETIRE, reqid)
        for id_ in ctx.inherited.pop(reqid, ()):
            ctx.emit(RemoveAssociation(id_))


def lost(ctx: Context) -> None:
    """The data plane has none of them any more."""
    for reqid in ctx.inherited:
        ctx.timers.clear(Timer.RETIRE, reqid)
    ctx.inherited.clear()
