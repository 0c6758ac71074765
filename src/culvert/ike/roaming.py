"""Addresses and routes of this host changed: IKE SAs without our address are set up anew, the others' peers are asked.

MOBIKE (RFC 4555) has its place here: an IKE SA whose peer knows it would be moved to the new address as it is.
"""

from __future__ import annotations

from culvert.addresses import IPAddress
from culvert.ike import calling
from culvert.ike.events import PathsChanged
from culvert.ike.records import PeerRecord
from culvert.ike.v2 import hints, silence
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import Lineage


def paths_changed(ctx: Context, event: PathsChanged) -> None:
    """Look at every peer whose way is another, and at every IKE SA whose address is gone."""
    others = dict.fromkeys(event.peers)
    for record in list(ctx.peers.values()):
        stranded = _stranded(ctx, record, event.addresses)
        for lineage in stranded:
            _strand(ctx, lineage)
        if record.peer.name in others or stranded:
            calling.call_anew(ctx, record)
        if record.peer.name in others:
            for lineage in ctx.live(record.peer.name):
                hints.ask(ctx, lineage)


def _stranded(ctx: Context, record: PeerRecord, addresses: tuple[IPAddress, ...]) -> list[Lineage]:
    """Give the IKE SAs of a peer, those being set up too, whose address of ours is not there any more."""
    known = ((one, ctx.current(one)) for one in ctx.lineages_of_peer(record.peer.name) if not one.closing)
    return [one for one, sa in known if sa is not None and sa.local.ip not in addresses]


def _strand(ctx: Context, lineage: Lineage) -> None:
    sa = ctx.current(lineage)
    if sa is not None and lineage.established and not lineage.silent:
        ctx.log(sa.peer, f"our address {sa.local.ip} is gone; setting up from another one")
        silence.suspect(ctx, sa)
