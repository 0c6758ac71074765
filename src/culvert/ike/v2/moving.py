"""Following a peer whose NAT has chosen another address or port for it (RFC 7296 section 2.23).

Any authentic message of the IKE SA, and any authentic packet of a child, shows where the peer is now. Whoever is behind
a NAT itself follows nobody: then an attacker who repeats a packet from elsewhere could lead its traffic away.
"""

from __future__ import annotations

from dataclasses import replace

from culvert.addresses import SocketAddress
from culvert.ike import nat
from culvert.ike.actions import MoveAssociation
from culvert.ike.v2 import crash_detection, lineages
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import ChildSa, IkeSa, IkeState, RekeyChild
from culvert.ipsec.associations import AssociationId, SecurityAssociation


def may_move(sa: IkeSa) -> bool:
    """Tell whether the peer is followed to where its messages come from."""
    return sa.nat_remote and not sa.nat_local and sa.state is IkeState.ESTABLISHED


def mapped(ctx: Context, id_: AssociationId, remote: SocketAddress) -> None:
    """The data plane says that authentic packets of an inbound association come from `remote` now."""
    lineage = ctx.lineages.get(ctx.child_owners.get(id_.spi, 0))
    child = lineage.children.get(id_.spi) if lineage else None
    sa = ctx.current(lineage) if lineage else None
    if child is None or sa is None or child.inbound.id != id_ or not may_move(sa):
        return
    if child.inbound.encapsulation is not None and sa.remote != remote:
        follow(ctx, sa, sa.local, remote)


def follow(ctx: Context, sa: IkeSa, local: SocketAddress, remote: SocketAddress) -> None:
    """Lead an IKE SA and its children to where the peer is. Where our own address is another too, which names our
    inbound associations, the children get successors instead.
    """
    ctx.log(sa.peer, f"the peer moved from {sa.remote} to {remote}")
    lineage = ctx.lineage_of(sa)
    elsewhere = (sa.local.ip, sa.remote.ip) != (local.ip, remote.ip)
    sa.local, sa.remote = local, remote
    if elsewhere:
        crash_detection.renew(ctx, sa)
    for child in lineage.children.values():
        if child.inbound.destination == local.ip:
            _move(ctx, child, remote)
        elif child.current:
            lineages.enqueue(ctx, lineage, RekeyChild(child.spi_in))
    ctx.changed(sa.peer)


def _move(ctx: Context, child: ChildSa, remote: SocketAddress) -> None:
    """Outbound first: the peer hears nothing from us until it is led right."""
    inbound, outbound = child.inbound, child.outbound
    child.inbound = replace(
        inbound, source=remote.ip, encapsulation=inbound.encapsulation and nat.inbound_encapsulation(remote)
    )
    child.outbound = replace(
        outbound, destination=remote.ip, encapsulation=outbound.encapsulation and nat.outbound_encapsulation(remote)
    )
    if not child.waiting:
        _emit(ctx, outbound, child.outbound)
        if (peer := ctx.sending.pop(outbound.id, None)) is not None:
            ctx.sending[child.outbound.id] = peer
    _emit(ctx, inbound, child.inbound)


def _emit(ctx: Context, before: SecurityAssociation, after: SecurityAssociation) -> None:
    if after != before:
        ctx.emit(MoveAssociation(before, after))
