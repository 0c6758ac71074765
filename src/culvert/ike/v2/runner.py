"""Beginning exchanges: what waits, one at a time for each IKE SA; and what timers ask for."""

from __future__ import annotations

from culvert.addresses import NAT_PORT
from culvert.clock import SECOND
from culvert.ike.actions import Transmit
from culvert.ike.timers import Owner, Timer
from culvert.ike.v2 import anew, children, inheritance, lineages, requests, silence, standing, succession, window
from culvert.ike.v2.context import Context
from culvert.ike.v2.exchanges import create_child_sa, ike_sa_init, informational
from culvert.ike.v2.sa import (
    ChildSa,
    CreateChild,
    DeleteChild,
    DeleteIke,
    IkeSa,
    IkeState,
    InvalidSpi,
    Lineage,
    Liveness,
    Refuse,
    RekeyChild,
    RekeyIke,
    Task,
)
from culvert.reasons import Refusal

KEEPALIVE = b"\xff"


def run(ctx: Context) -> None:
    """Begin what can be begun on every lineage that something happened to."""
    while ctx.dirty:
        number = next(iter(ctx.dirty))
        del ctx.dirty[number]
        lineage = ctx.lineages.get(number)
        if lineage is not None:
            _run(ctx, lineage)


def _run(ctx: Context, lineage: Lineage) -> None:
    sa = ctx.current(lineage)
    if sa is not None and window.runs_out(sa.window) and not lineage.closing:
        lineages.enqueue(ctx, lineage, RekeyIke(), first=True)
    while sa is not None and _idle(sa) and (lineage.closing or not sa.unconfirmed):
        if window.spent(sa.window):
            lineages.drop(ctx, lineage, Refusal.LIFETIME_ENDED, "the message IDs of the IKE SA are used up")
            return
        task = _next(ctx, lineage)
        if task is None:
            return
        lineage.queue.remove(task)
        initiate(ctx, sa, task)


def _idle(sa: IkeSa) -> bool:
    return sa.state in (IkeState.ESTABLISHED, IkeState.DELETING) and sa.window.outstanding is None


def _next(ctx: Context, lineage: Lineage) -> Task | None:
    """Give the first task that may begin: while the peer is busy, only what it must always take."""
    waiting = lineage.retry_at is not None and lineage.retry_at > ctx.now
    ready = (one for one in lineage.queue if not waiting or not isinstance(one, CreateChild | RekeyChild | RekeyIke))
    return next(ready, None)


def initiate(ctx: Context, sa: IkeSa, task: Task) -> bool:
    """Begin the exchange of a task; False where it is moot by now."""
    match task:
        case CreateChild() | RekeyChild():
            return create_child_sa.initiate(ctx, sa, task)
        case RekeyIke():
            return succession.initiate(ctx, sa, task)
        case DeleteChild() | DeleteIke() | Refuse() | Liveness() | InvalidSpi():
            return informational.initiate(ctx, sa, task)
    return False


def expired(ctx: Context, timer: Timer, owner: Owner) -> None:
    """Do what a deadline of the IKEv2 core is for."""
    if timer is Timer.TASK_RETRY:
        lineage = ctx.lineages.get(int(owner))
        if lineage is not None:
            ctx.touch(lineage.number)
            lineage.retry_at = None
            ctx.dirty[lineage.number] = None
    elif timer is Timer.CERTIFICATE and int(owner) in ctx.lineages:
        standing.review(ctx, ctx.lineages[int(owner)])
    elif timer is Timer.INBOUND_GRACE:
        children.left(ctx, int(owner))
    elif timer is Timer.RETIRE:
        inheritance.let_go(ctx, (int(owner),))
    elif isinstance(owner, int):
        _child_expired(ctx, timer, owner)
    else:
        sa = ctx.sas.get(bytes.fromhex(owner))
        if sa is not None:
            _ike_expired(ctx, timer, sa)


def _child_expired(ctx: Context, timer: Timer, spi_in: int) -> None:
    lineage = ctx.lineages.get(ctx.child_owners.get(spi_in, 0))
    child = lineage.children.get(spi_in) if lineage else None
    if lineage is None or child is None:
        return
    ctx.touch(lineage.number)
    if timer is Timer.CHILD_REKEY:
        rekey_child(ctx, lineage, child)
    elif timer is Timer.ANEW:
        anew.begin(ctx, lineage, child)
    elif timer is Timer.PFS_TRIAL:
        rekey_child(ctx, lineage, child, trial=True)
    elif timer is Timer.OUTBOUND_SWITCH:
        children.switch(ctx, lineage, child)
    elif timer is Timer.CHILD_HARD:
        end_child(ctx, lineage, child)


def rekey_child(ctx: Context, lineage: Lineage, child: ChildSa, *, trial: bool = False) -> None:
    """Let a child have a successor; a `trial` only shows whether it can, while there is time."""
    waiting = any(isinstance(one, RekeyChild) and one.spi_in == child.spi_in for one in lineage.queue)
    if child.current and not waiting:
        lineages.enqueue(ctx, lineage, RekeyChild(child.spi_in, trial=trial))


def end_child(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    """A child reached its hard limit: it goes at once, and another one comes where it had no successor."""
    current = child.current
    children.remove(ctx, lineage, child)
    lineages.enqueue(ctx, lineage, DeleteChild(child.spi_in, orphan=True, protocol=child.protocol))
    if current:
        ctx.log(lineage.peer.name if lineage.peer else "", f"{child.child.name} reached its hard limit")
        lineages.enqueue(ctx, lineage, CreateChild(child.child.name))


def _ike_expired(ctx: Context, timer: Timer, sa: IkeSa) -> None:
    lineage = ctx.lineages.get(sa.lineage)
    ctx.touch(sa.lineage)
    if timer is Timer.IKE_LINGER:
        lineages.forget(ctx, sa)
    elif timer is Timer.REASSEMBLY:
        ctx.fragments.forget(sa.spi)
    elif lineage is None:
        return
    elif timer is Timer.RETRANSMIT:
        requests.repeat(ctx, sa)
    elif timer is Timer.HALF_OPEN:
        _half_open_expired(ctx, sa, lineage)
    elif timer is Timer.LAST_CHANCE:
        ike_sa_init.waited(ctx, sa)
    elif timer is Timer.LIVENESS:
        _liveness(ctx, sa, lineage)
    elif timer is Timer.KEEPALIVE:
        _keepalive(ctx, sa)
    elif timer is Timer.IKE_REKEY and sa.spi == lineage.current:
        lineages.enqueue(ctx, lineage, RekeyIke())
    elif timer is Timer.IKE_HARD and sa.spi == lineage.current:
        lineages.end(ctx, lineage, Refusal.LIFETIME_ENDED, "the IKE SA reached its hard limit before it was rekeyed")


def _half_open_expired(ctx: Context, sa: IkeSa, lineage: Lineage) -> None:
    reason, message = sa.hint or (Refusal.NO_RESPONSE, f"{sa.remote} began and did not go on")
    lineages.drop(ctx, lineage, reason, message)
    lineages.forget(ctx, sa)


def _liveness(ctx: Context, sa: IkeSa, lineage: Lineage) -> None:
    """Ask whether the peer is there, unless it was heard from or is being asked something already."""
    if lineage.peer is None or not lineage.peer.dpd_s or sa.state is not IkeState.ESTABLISHED:
        return
    interval = lineage.peer.dpd_s * SECOND
    silent = ctx.now - sa.last_heard >= interval or 0 < sa.ask_at <= ctx.now
    sa.ask_at = 0
    silence.confirm(ctx, sa)  # the peer had the time to say the opposite
    if silent and sa.window.outstanding is None and not lineage.queue:
        lineages.enqueue(ctx, lineage, Liveness())
    ctx.timers.set(Timer.LIVENESS, sa.spi.hex(), ctx.now + interval if silent else sa.last_heard + interval)


def _keepalive(ctx: Context, sa: IkeSa) -> None:
    if sa.state is IkeState.ESTABLISHED:
        if sa.local.port == NAT_PORT:
            ctx.emit(Transmit(sa.local, sa.remote, KEEPALIVE))
        ctx.timers.set(Timer.KEEPALIVE, sa.spi.hex(), ctx.now + lineages.KEEPALIVE_NS)
