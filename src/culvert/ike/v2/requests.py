"""Sending requests and repeating them, and sending responses."""

from __future__ import annotations

from culvert.addresses import SocketAddress
from culvert.ike.actions import Transmit
from culvert.ike.logs import DEBUG
from culvert.ike.retransmission import (
    AUTH_SUSPECT_AT,
    ESTABLISHED,
    JITTER_PERCENT,
    SET_UP,
    SUSPECT_AT,
    Schedule,
    stretched,
)
from culvert.ike.timers import Timer
from culvert.ike.v2 import fragmentation, lineages, silence, trace, window
from culvert.ike.v2.context import Context
from culvert.ike.v2.opening import Opened
from culvert.ike.v2.sa import ChildOffer, DeleteIke, IkeOffer, IkeSa, IkeState, Refuse, Task
from culvert.ike.v2.sealing import Payloads, seal_within
from culvert.limits import MAX_ANSWERS_ASTRAY
from culvert.reasons import Refusal
from culvert.wire.isakmp.message import Message, emit_message
from culvert.wire.isakmp.numbers import ExchangeType

Path = tuple[SocketAddress, SocketAddress]
"""Our end and the peer's."""


def send(
    ctx: Context,
    sa: IkeSa,
    exchange: ExchangeType,
    payloads: Payloads,
    *,
    task: Task,
    offer: ChildOffer | IkeOffer | None = None,
) -> None:
    """Send a request of ours; it is repeated until it is answered or the peer counts as dead."""
    message_id = sa.window.next_request
    if exchange is ExchangeType.IKE_SA_INIT:
        datagrams: tuple[bytes, ...] = (
            emit_message(Message(sa.spi_i, sa.spi_r, exchange, True, False, message_id, payloads)),
        )
    else:
        datagrams = seal_within(
            sa,
            ctx.entropy,
            exchange,
            payloads,
            message_id=message_id,
            response=False,
            room=fragmentation.room(sa),
        )
    window.sent(sa.window, datagrams, task, offer)
    transmit(ctx, datagrams, (sa.local, sa.remote))
    if exchange is not ExchangeType.IKE_SA_INIT:
        trace.contents(ctx, sa, payloads)
    _arm(ctx, sa, 1)


def answer(ctx: Context, sa: IkeSa, request: Opened, payloads: Payloads, path: Path) -> None:
    """Answer the request that is expected next; `path` is our end and theirs as the request came."""
    datagrams = seal_within(
        sa,
        ctx.entropy,
        request.header.exchange,
        payloads,
        message_id=request.header.message_id,
        response=True,
        room=fragmentation.room_for_answer(sa, request.fragment_octets),
    )
    window.answered(sa.window, request.request, datagrams)
    transmit(ctx, datagrams, path)
    trace.contents(ctx, sa, payloads)


def hasten(ctx: Context, sa: IkeSa, apart_ns: int) -> None:
    """Send the request under way once more, besides its turn, where it was not sent within `apart_ns`."""
    outstanding = sa.window.outstanding
    if outstanding is not None and ctx.now - outstanding.sent_at >= apart_ns:
        outstanding.sent_at = ctx.now
        transmit(ctx, outstanding.datagrams, (sa.local, sa.remote))


def transmit(ctx: Context, datagrams: tuple[bytes, ...], path: Path) -> None:
    """Send a message of ours, for the first time or again."""
    for data in datagrams:
        ctx.emit(Transmit(path[0], path[1], data))


def answer_again(ctx: Context, sa: IkeSa, path: Path) -> None:
    """Repeat our last answer. It goes to where the request came from, since a NAT may have moved the peer meanwhile.

    But not often: else somebody who recorded a request could lead ever longer answers to whom it likes.
    """
    if path[1] != sa.remote:
        sa.window.astray += 1
        ctx.touch(sa.lineage)
        if sa.window.astray > MAX_ANSWERS_ASTRAY:
            ctx.note(f"a repeated request from {path[1]} was dropped", Refusal.UNEXPECTED_MESSAGE, DEBUG, sa.peer)
            return
    transmit(ctx, sa.window.last_response, path)


def repeat(ctx: Context, sa: IkeSa) -> None:
    """Send the request under way once more, or give the peer up."""
    outstanding = sa.window.outstanding
    if outstanding is None:
        return
    outstanding.transmissions += 1
    if not _arm(ctx, sa, outstanding.transmissions):
        give_up(ctx, sa, outstanding.task)
        return
    transmit(ctx, fragmentation.again(ctx, sa, outstanding), (sa.local, sa.remote))
    if outstanding.transmissions == (AUTH_SUSPECT_AT if sa.state is IkeState.AUTH_SENT else SUSPECT_AT):
        silence.suspect(ctx, sa)


def give_up(ctx: Context, sa: IkeSa, task: Task) -> None:
    """The peer did not answer: what that ends depends on what was asked."""
    lineage = ctx.lineage_of(sa)
    if lineage.closing or (isinstance(task, DeleteIke | Refuse) and sa.spi != lineage.current):
        lineages.close(ctx, sa)
    elif not lineage.established:
        reason, message = sa.hint or (Refusal.NO_RESPONSE, f"{sa.remote} does not answer")
        lineages.drop(ctx, lineage, reason, message)
    else:
        lineages.drop(ctx, lineage, Refusal.PEER_DEAD, f"{sa.remote} no longer answers")


def _arm(ctx: Context, sa: IkeSa, transmissions: int) -> bool:
    outstanding = sa.window.outstanding
    wait = _schedule(sa).wait(transmissions) if outstanding else None
    if wait is None:
        return False
    if outstanding is not None:
        outstanding.sent_at = ctx.now
    wait = ctx.jittered(stretched(wait, ctx.timers.count(Timer.RETRANSMIT)), JITTER_PERCENT)
    ctx.timers.set(Timer.RETRANSMIT, sa.spi.hex(), ctx.now + wait)
    return True


def _schedule(sa: IkeSa) -> Schedule:
    if sa.state in (IkeState.INIT_SENT, IkeState.AUTH_SENT):
        return SET_UP
    return ESTABLISHED
