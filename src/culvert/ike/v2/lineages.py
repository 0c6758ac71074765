"""The life of IKE SAs and of their lineages: entered, succeeded, closed, forgotten."""

from __future__ import annotations

from collections.abc import Callable

from culvert.clock import SECOND
from culvert.config.model import Peer
from culvert.ike.logs import DEBUG, INFO, WARNING
from culvert.ike.records import Established, Lost, SetUpFailed
from culvert.ike.timers import Timer
from culvert.ike.v2 import children, silence
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import ChildSa, DeleteIke, IkeSa, IkeState, Lineage, Task
from culvert.limits import MAX_LINGERING, MAX_QUEUED_TASKS
from culvert.reasons import Refusal

LINGER_NS = 30 * SECOND
"""How long a closed IKE SA answers repeated requests."""
REPLACED_NS = 90 * SECOND
"""How long a replaced IKE SA waits for its DELETE: longer than an established peer repeats its request."""
KEEPALIVE_NS = 20 * SECOND
"""RFC 3948 section 4."""
Part = Callable[[Context, Lineage, ChildSa], None]
"""How a child goes: `children.remove`, `release` or `silence`."""


def begin(ctx: Context, sa: IkeSa, peer: Peer | None) -> Lineage:
    """Enter a new IKE SA as the first of a lineage."""
    ctx.lineages_made += 1
    lineage = Lineage(ctx.lineages_made, peer, sa.spi, sa.initiator, ctx.now)
    ctx.lineages[lineage.number] = lineage
    if peer is not None:
        ctx.by_peer.setdefault(peer.name, {})[lineage.number] = None
    enter(ctx, lineage, sa)
    return lineage


def enter(ctx: Context, lineage: Lineage, sa: IkeSa) -> None:
    """Enter an IKE SA as a member of a lineage."""
    sa.lineage = lineage.number
    lineage.members.append(sa.spi)
    ctx.sas[sa.spi] = sa


def enqueue(ctx: Context, lineage: Lineage, task: Task, *, first: bool = False) -> None:
    """Let an exchange wait for its turn; the same one does not wait twice."""
    if task in lineage.queue or len(lineage.queue) >= MAX_QUEUED_TASKS:
        return
    lineage.queue.insert(0 if first else len(lineage.queue), task)
    ctx.dirty[lineage.number] = None


def establish(ctx: Context, lineage: Lineage, sa: IkeSa, peer: Peer) -> None:
    """Enter that the first IKE SA of a lineage is authenticated."""
    sa.state, sa.peer, sa.established_at = IkeState.ESTABLISHED, peer.name, ctx.now
    lineage.peer, lineage.established, lineage.lowest_nonce = peer, True, sa.lowest_nonce
    lineage.established_at, lineage.confirmed = ctx.now, lineage.initiator
    ctx.by_peer.setdefault(peer.name, {})[lineage.number] = None
    ctx.half_open.leave(sa.spi)
    # The key exchange is over; what it was authenticated with need not stay in memory.
    sa.init_request = sa.init_response = b""
    arm(ctx, sa, peer)
    ctx.log(peer.name, f"IKE SA established with {sa.identity} at {sa.remote}")
    ctx.outcomes.append(Established(peer.name, lineage.number))
    ctx.dirty[lineage.number] = None
    ctx.changed(peer.name)


def arm(ctx: Context, sa: IkeSa, peer: Peer) -> None:
    """Set the timers of an established IKE SA."""
    owner = sa.spi.hex()
    sa.last_heard = ctx.now
    ctx.timers.clear(Timer.HALF_OPEN, owner)
    if peer.rekey.after_s:
        ctx.timers.set(Timer.IKE_REKEY, owner, ctx.now + ctx.jittered(peer.rekey.after_s * SECOND))
        ctx.timers.set(Timer.IKE_HARD, owner, ctx.now + peer.rekey.hard_s * SECOND)
    if peer.dpd_s:
        ctx.timers.set(Timer.LIVENESS, owner, ctx.now + peer.dpd_s * SECOND)
    if sa.nat_local:
        ctx.timers.set(Timer.KEEPALIVE, owner, ctx.now + KEEPALIVE_NS)


def succeed(ctx: Context, lineage: Lineage, old: IkeSa, new: IkeSa) -> None:
    """Make `new` the current IKE SA of the lineage; `old` waits for its DELETE."""
    new.state, new.established_at = IkeState.ESTABLISHED, ctx.now
    lineage.current, lineage.rival, lineage.retries, lineage.retry_at = new.spi, None, 0, None
    retire(ctx, old)
    if lineage.peer:
        arm(ctx, new, lineage.peer)
        ctx.log(lineage.peer.name, "IKE SA rekeyed")
        ctx.changed(lineage.peer.name)
    ctx.dirty[lineage.number] = None


def retire(ctx: Context, sa: IkeSa) -> None:
    """Keep an IKE SA only until its DELETE comes."""
    sa.state = IkeState.REPLACED
    owner = sa.spi.hex()
    for timer in (Timer.IKE_REKEY, Timer.IKE_HARD, Timer.LIVENESS, Timer.KEEPALIVE):
        ctx.timers.clear(timer, owner)
    ctx.timers.set(Timer.IKE_LINGER, owner, ctx.now + REPLACED_NS)


def close(ctx: Context, sa: IkeSa) -> None:
    """End one IKE SA. It still answers requests that are repeated, so that a lost answer is no lost peer."""
    sa.state = IkeState.CLOSED
    sa.window.outstanding = None
    sa.keys = None
    ctx.fragments.forget(sa.spi)
    ctx.timers.clear_all(sa.spi.hex())
    ctx.timers.set(Timer.IKE_LINGER, sa.spi.hex(), ctx.now + LINGER_NS)
    lineage = ctx.lineages.get(sa.lineage)
    if lineage is not None:
        ctx.touch(lineage.number)
        lineage.members = [spi for spi in lineage.members if spi != sa.spi]
        _linger(ctx, lineage, sa)
        _end_rival(ctx, lineage, sa)
        _bury(ctx, lineage)
        successor = ctx.sas.get(lineage.current)
        if successor is not None and successor is not sa:
            silence.confirm(ctx, successor)


def _linger(ctx: Context, lineage: Lineage, sa: IkeSa) -> None:
    if sa.spi in lineage.lingering:
        return
    lineage.lingering.append(sa.spi)
    if len(lineage.lingering) > MAX_LINGERING:
        forget(ctx, ctx.sas[lineage.lingering[0]])


def _end_rival(ctx: Context, lineage: Lineage, gone: IkeSa) -> None:
    """Where a lineage ends while a rekey collision is open, the peer may have gone over to its successor: end that."""
    rival = ctx.sas.get(lineage.rival) if lineage.rival else None
    if lineage.closing and gone.spi == lineage.current and rival is not None and rival.state is IkeState.UNDECIDED:
        rival.state, lineage.current, lineage.rival = IkeState.ESTABLISHED, rival.spi, None
        lineage.queue = [DeleteIke()]
        ctx.dirty[lineage.number] = None


def forget(ctx: Context, sa: IkeSa) -> None:
    """Let an IKE SA go without a trace."""
    close(ctx, sa)
    ctx.timers.clear_all(sa.spi.hex())
    ctx.sas.pop(sa.spi, None)
    lineage = ctx.lineages.get(sa.lineage)
    if lineage is not None:
        lineage.lingering.remove(sa.spi)
    ctx.half_open.leave(sa.spi)
    if sa.first_source is not None and ctx.first_messages.get((sa.spi_i, sa.first_source)) == sa.spi:
        del ctx.first_messages[sa.spi_i, sa.first_source]


def _bury(ctx: Context, lineage: Lineage) -> None:
    if not lineage.members:
        for child in list(lineage.children.values()):
            children.release(ctx, lineage, child)
        if lineage.peer is not None:
            known = ctx.by_peer.get(lineage.peer.name, {})
            known.pop(lineage.number, None)
            if not known:
                ctx.by_peer.pop(lineage.peer.name, None)
        ctx.timers.clear(Timer.TASK_RETRY, lineage.number)
        ctx.timers.clear(Timer.CERTIFICATE, lineage.number)
        ctx.touch(lineage.number)
        ctx.lineages.pop(lineage.number, None)


def drop(ctx: Context, lineage: Lineage, reason: Refusal, message: str) -> None:
    """End a lineage without a word to the peer."""
    detach(ctx, lineage, reason, message, children.remove)
    _close_all(ctx, lineage)


def deleted(ctx: Context, lineage: Lineage, reason: Refusal, message: str) -> None:
    """The peer ended a lineage: the same, but that packets of its may still be on their way."""
    detach(ctx, lineage, reason, message, children.release)
    _close_all(ctx, lineage)


def _close_all(ctx: Context, lineage: Lineage) -> None:
    for spi in list(lineage.members):
        close(ctx, ctx.sas[spi])


def end(ctx: Context, lineage: Lineage, reason: Refusal, message: str) -> None:
    """End a lineage and tell the peer; where nothing is established there is nobody to tell."""
    _end(ctx, lineage, reason, message, children.remove)


def end_redundant(ctx: Context, lineage: Lineage, reason: Refusal, message: str) -> None:
    """End a lineage in whose place another one stands. Until the peer answers, it may still send on the children."""
    _end(ctx, lineage, reason, message, children.silence)


def _end(ctx: Context, lineage: Lineage, reason: Refusal, message: str, part: Part) -> None:
    established = lineage.established
    detach(ctx, lineage, reason, message, part)
    if not established:
        drop(ctx, lineage, reason, message)
    else:
        lineage.queue = [DeleteIke()]
        ctx.dirty[lineage.number] = None


def detach(ctx: Context, lineage: Lineage, reason: Refusal, message: str, part: Part) -> None:
    """Part with a lineage's children and report it as gone, once."""
    for child in list(lineage.children.values()):
        part(ctx, lineage, child)
    if lineage.closing:
        return
    lineage.closing = True
    lineage.queue.clear()
    if lineage.peer is not None:
        outcome = Lost if lineage.established else SetUpFailed
        if lineage.established or lineage.initiator:
            ctx.outcomes.append(outcome(lineage.peer.name, reason, message))
        ctx.log(lineage.peer.name, message, reason, _level(ctx, lineage, reason))
        ctx.changed(lineage.peer.name)


def _level(ctx: Context, lineage: Lineage, reason: Refusal) -> int:
    """Give how loudly an end is told. That a peer still does not answer is no news each time that it is called."""
    if reason in (Refusal.DISCONNECTED, Refusal.PEER_DELETED):
        return INFO
    record = ctx.peers.get(lineage.peer.name) if lineage.peer else None
    known = reason is Refusal.NO_RESPONSE and record is not None and record.reason is reason
    return DEBUG if known else WARNING
