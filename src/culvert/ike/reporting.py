"""The state of peers in the form that people see."""

from __future__ import annotations

from collections import Counter

from culvert.config.model import Child, Start
from culvert.ike import nat
from culvert.ike.logs import printable
from culvert.ike.parts import Parts
from culvert.ike.records import PeerRecord, start_of
from culvert.ike.status import Census, ChildStatus, IkeStatus, PeerState, PeerStatus
from culvert.ike.timers import Timer
from culvert.ike.v2 import carrying
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import ChildSa, IkeSa, IkeState, Lineage
from culvert.ipsec.coverage import Missing, pairs
from culvert.limits import MAX_CARRIERS
from culvert.reasons import Refusal

OF_ALGORITHMS = {Refusal.NO_PROPOSAL_CHOSEN, Refusal.PFS_MISMATCH}
"""What the end that was refused calls it, and what the other one knows it to be."""
SHOWN = 3
"""How many pairs or children a sentence names; people look at the list of what is there for the rest."""


def status(ctx: Context, record: PeerRecord) -> PeerStatus:
    """Describe a peer by an established IKE SA that is in use, or by what is under way or went wrong."""
    peer = record.peer
    lineage = _shown(ctx, record)
    sa = ctx.current(lineage) if lineage else None
    present = [child for child in lineage.children.values() if child.current] if lineage else []
    state, reason, message = _state(ctx, record, lineage)
    return PeerStatus(
        peer.name,
        state,
        reason,
        printable(message),
        _ike(ctx, sa) if sa else None,
        tuple(_child(ctx, child) for child in present),
        silent_since=sa.last_heard if sa and lineage and lineage.silent else None,
    )


def census(ctx: Context) -> Census:
    """Count IKE SAs and children. A closed IKE SA that only answers repeated requests is not counted."""
    states = Counter(sa.state for sa in ctx.sas.values())
    return Census(
        established=states[IkeState.ESTABLISHED],
        setting_up=states[IkeState.INIT_SENT] + states[IkeState.AUTH_SENT] + states[IkeState.HALF_OPEN],
        ending=states[IkeState.UNDECIDED] + states[IkeState.REPLACED] + states[IkeState.DELETING],
        children=sum(len(lineage.children) for lineage in ctx.lineages.values()),
        asking=sum(sa.window.outstanding is not None for sa in ctx.sas.values()),
    )


def _shown(ctx: Context, record: PeerRecord) -> Lineage | None:
    """Give the IKE SA that the peer is judged by. Where another one is being filled beside one that carries all, part
    by part, packets leave on both: then it is the one that has all.
    """
    in_use = ctx.in_use(record.peer.name)
    whole = (one for one in ctx.live(record.peer.name) if not one.silent and _carries_all(record, one))
    return in_use if in_use is None or _carries_all(record, in_use) else next(whole, in_use)


def _carries_all(record: PeerRecord, lineage: Lineage) -> bool:
    return all(carrying.left_of(lineage, child).nothing for child in record.peer.children)


def _state(ctx: Context, record: PeerRecord, lineage: Lineage | None) -> tuple[PeerState, Refusal | None, str]:
    if record.ended or record.reason is Refusal.INVALID_MAJOR_VERSION:
        return PeerState.DOWN, record.reason, record.message
    if lineage is not None and lineage.silent:
        return PeerState.CONNECTING, Refusal.NO_RESPONSE, "it does not answer and is asked again"
    if lineage is not None:
        return _up_or_not(record, lineage)
    if record.attempts or (record.resolving and record.wanted()):
        return PeerState.CONNECTING, record.reason, record.message
    if ctx.timers.at(Timer.RECONNECT, record.peer.name) is not None:
        return (PeerState.DOWN if record.reason else PeerState.CONNECTING), record.reason, record.message
    always = any(start_of(record.peer, child) is Start.ALWAYS for child in record.peer.children)
    waits = not always or not record.peer.addresses
    return (PeerState.IDLE if waits else PeerState.CONNECTING), record.reason, record.message


def _up_or_not(record: PeerRecord, lineage: Lineage) -> tuple[PeerState, Refusal | None, str]:
    """Judge an established peer: up with every child, but for those that wait for traffic while others are there."""
    missing = [child for child in record.peer.children if not carrying.carriers(lineage, child.name)]
    there = [child for child in record.peer.children if child not in missing]
    if there and all(start_of(record.peer, child) is Start.TRAFFIC for child in missing):
        return _whole_or_partial(record, lineage, there)
    refused = [record.refused[key] for key in (*(child.name for child in missing), "") if key in record.refused]
    if refused:
        return PeerState.DOWN, *_most_telling(record, refused[0])
    return (PeerState.CONNECTING if record.wanted() else PeerState.IDLE), None, ""


def _whole_or_partial(
    record: PeerRecord, lineage: Lineage, there: list[Child]
) -> tuple[PeerState, Refusal | None, str]:
    """Judge children that are there: what of them is still being asked for, and what is not carried and why."""
    told = []
    for child in there:
        parts = record.parts_of(child.name)
        if parts.by_traffic:
            told.append(
                f"{child.name} is carried for a few hosts at a time: that is what the peer gives, as traffic asks"
            )
            continue
        left = carrying.left_of(lineage, child)
        if left.nothing:
            continue
        if record.wants(child) and carrying.may_go_on(lineage, child, parts):
            return PeerState.CONNECTING, None, ""
        told.append(f"{child.name} does not carry {_listed(left)}: {_why(record, child, parts, left)}")
    if told:
        return PeerState.UP, Refusal.PARTIAL, "; ".join(told[:SHOWN])
    doomed = [record.unrekeyed[child.name] for child in there if child.name in record.unrekeyed]
    return PeerState.UP, doomed[0][0] if doomed else None, "; ".join(message for _, message in doomed[:SHOWN])


def _listed(left: Missing) -> str:
    """Name the pairs; of some, one protocol or a few ports are carried."""
    found = [*map(str, left.pieces), *(f"all of {pair}" for pair in left.partial)]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more


def _why(record: PeerRecord, child: Child, parts: Parts, left: Missing) -> str:
    missing = (*left.pieces, *left.partial)
    gaps = (gap for gap in parts.gaps if any(one.intersect(pair) for one in pairs(*gap.sides) for pair in missing))
    if (gap := next(gaps, None)) is not None:
        return f"{gap.message} ({gap.reason})"
    return f"{MAX_CARRIERS} associations are the most" if record.wants(child) else "the peer asked for no more"


def _most_telling(record: PeerRecord, refused: tuple[Refusal, str]) -> tuple[Refusal, str]:
    """Where both ends refused for the same reason, what we refused tells both sides' wishes; the peer told us none."""
    ours = record.refused.get("")
    same = ours is not None and (ours[0] is refused[0] or {ours[0], refused[0]} == OF_ALGORITHMS)
    return ours if ours is not None and same else refused


def _ike(ctx: Context, sa: IkeSa) -> IkeStatus:
    return IkeStatus(
        2,
        sa.spi_i,
        sa.spi_r,
        str(sa.suite),
        nat.describe(sa.nat_local, sa.nat_remote),
        sa.local,
        sa.remote,
        sa.established_at,
        ctx.timers.at(Timer.IKE_REKEY, sa.spi.hex()),
        str(sa.identity or ""),
        "certificate" if ctx.lineage_of(sa).certificates else "secret",
        ctx.timers.at(Timer.CERTIFICATE, sa.lineage),
    )


def _child(ctx: Context, child: ChildSa) -> ChildStatus:
    return ChildStatus(
        child.child.name,
        child.inbound.id,
        child.outbound.id,
        tuple(str(one) for one in child.local),
        tuple(str(one) for one in child.remote),
        child.suite.protection,
        "udp" if child.outbound.encapsulation else child.protocol.value,
        child.established_at,
        ctx.timers.at(Timer.CHILD_REKEY, child.spi_in),
        child.inbound.mode,
    )
