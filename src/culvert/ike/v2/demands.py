"""What people and the data plane ask of established IKE SAs: other keys, new children, an end."""

from __future__ import annotations

from culvert.ike.actions import Action, RemoveAssociation, Transmit
from culvert.ike.v2 import lineages, runner
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import ChildSa, IkeState, Lineage, RekeyChild, RekeyIke
from culvert.ike.v2.sealing import seal
from culvert.ipsec.associations import AssociationId
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId


def rekey(ctx: Context, peer: str, child: str | None, ike: bool) -> None:
    """Make new keys of the IKE SA, of one child, or of all of a peer's children."""
    for lineage in ctx.live(peer):
        if ike:
            lineages.enqueue(ctx, lineage, RekeyIke())
            continue
        for one in lineage.children.values():
            if one.current and child in (None, one.child.name):
                lineages.enqueue(ctx, lineage, RekeyChild(one.spi_in))


def expired(ctx: Context, id_: AssociationId, hard: bool) -> None:
    """The data plane says that an association came to its soft limit, or ended."""
    found = _find(ctx, id_)
    if found is None:
        return
    lineage, child = found
    if hard:
        runner.end_child(ctx, lineage, child)
    else:
        runner.rekey_child(ctx, lineage, child)


def _find(ctx: Context, id_: AssociationId) -> tuple[Lineage, ChildSa] | None:
    owner = ctx.lineages.get(ctx.child_owners.get(id_.spi, 0))
    for lineage in (owner,) if owner else ctx.lineages.values():
        for child in lineage.children.values():
            if id_ in (child.inbound.id, child.outbound.id):
                ctx.touch(lineage.number)
                return lineage, child
    return None


def farewell(ctx: Context) -> list[Action]:
    """Remove every association and write DELETE for every established IKE SA, without waiting for its turn."""
    actions: list[Action] = []
    for lineage in ctx.lineages.values():
        for child in lineage.children.values():
            waiting = () if child.waiting else (child.outbound.id,)
            actions += [RemoveAssociation(one) for one in (*waiting, child.inbound.id)]
    actions += [RemoveAssociation(one) for one in ctx.leaving.values()]
    actions += [RemoveAssociation(one) for several in ctx.inherited.values() for one in several]
    for sa in ctx.sas.values():
        if sa.keys is not None and sa.state in (IkeState.ESTABLISHED, IkeState.UNDECIDED):
            delete = (Delete(ProtocolId.IKE),)
            data = seal(
                sa, ctx.entropy, ExchangeType.INFORMATIONAL, delete, message_id=sa.window.next_request, response=False
            )
            actions.append(Transmit(sa.local, sa.remote, data))
    return actions
