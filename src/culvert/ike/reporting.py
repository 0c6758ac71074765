"""The state of peers in the form that people see."""

from __future__ import annotations

from collections import Counter

from culvert.config.model import Start
from culvert.ike import nat
from culvert.ike.records import PeerRecord, start_of
from culvert.ike.status import Census, ChildStatus, IkeStatus, PeerState, PeerStatus
from culvert.ike.timers import Timer
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import ChildSa, IkeSa, IkeState, Lineage
from culvert.reasons import Refusal


def status(ctx: Context, record: PeerRecord) -> PeerStatus:
    """Describe a peer by its newest established IKE SA, or by what is under way or went wrong."""
    peer = record.peer
    live = ctx.live(peer.name)
    lineage = next((one for one in reversed(live) if not one.silent), live[-1] if live else None)
    sa = ctx.current(lineage) if lineage else None
    present = [child for child in lineage.children.values() if child.current] if lineage else []
    state, reason, message = _state(ctx, record, lineage, [child.child.name for child in present])
    return PeerStatus(
        peer.name,
        state,
        reason,
        message,
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


def _state(
    ctx: Context, record: PeerRecord, lineage: Lineage | None, present: list[str]
) -> tuple[PeerState, Refusal | None, str]:
    if record.ended or record.reason is Refusal.INVALID_MAJOR_VERSION:
        return PeerState.DOWN, record.reason, record.message
    if lineage is not None and lineage.silent:
        return PeerState.CONNECTING, Refusal.NO_RESPONSE, "it does not answer and is asked again"
    if lineage is not None:
        return _up_or_not(record, present)
    if record.attempts or (record.resolving and record.wanted()):
        return PeerState.CONNECTING, record.reason, record.message
    if ctx.timers.at(Timer.RECONNECT, record.peer.name) is not None:
        return PeerState.DOWN, record.reason, record.message
    always = any(start_of(record.peer, child) is Start.ALWAYS for child in record.peer.children)
    waits = not always or not record.peer.addresses
    return (PeerState.IDLE if waits else PeerState.CONNECTING), record.reason, record.message


def _up_or_not(record: PeerRecord, present: list[str]) -> tuple[PeerState, Refusal | None, str]:
    """Judge an established peer: up with every child, but for those that wait for traffic while others are there."""
    missing = [child for child in record.peer.children if child.name not in present]
    if present and all(start_of(record.peer, child) is Start.TRAFFIC for child in missing):
        return PeerState.UP, None, ""
    refused = [record.refused[key] for key in (*(child.name for child in missing), "") if key in record.refused]
    if refused:
        return PeerState.DOWN, *_most_telling(record, refused[0])
    return (PeerState.CONNECTING if record.wanted() else PeerState.IDLE), None, ""


def _most_telling(record: PeerRecord, refused: tuple[Refusal, str]) -> tuple[Refusal, str]:
    """Where both ends refused for the same reason, what we refused tells both sides' wishes; the peer told us none."""
    ours = record.refused.get("")
    return ours if ours is not None and ours[0] is refused[0] else refused


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
    )


def _child(ctx: Context, child: ChildSa) -> ChildStatus:
    return ChildStatus(
        child.child.name,
        child.inbound.id,
        child.outbound.id,
        tuple(str(one) for one in child.local),
        tuple(str(one) for one in child.remote),
        child.suite.encryption.name + (f"-{child.suite.integrity.name}" if child.suite.integrity else ""),
        "udp" if child.outbound.encapsulation else "esp",
        child.established_at,
        ctx.timers.at(Timer.CHILD_REKEY, child.spi_in),
    )
