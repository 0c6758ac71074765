"""INVALID_SPI (RFC 7296 section 1.5): packets for an association that one end uses and the other does not have.

We tell a peer within the IKE SA that we share, and it us: what it no longer has is made anew at once. Where there is
no IKE SA any more, a message without protection goes out; what comes in so is a hint at most, anybody can send it: it
only makes us ask whether the peer lives. Nobody answers such a message.
"""

from __future__ import annotations

from collections.abc import Iterator

from culvert.addresses import IKE_PORT, SocketAddress
from culvert.clock import SECOND
from culvert.ike.actions import Transmit
from culvert.ike.events import UnknownSpi
from culvert.ike.logs import DEBUG
from culvert.ike.v2 import children, hints, lineages
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import Contents
from culvert.ike.v2.sa import IkeSa, InvalidSpi, Lineage, RekeyChild, Task
from culvert.reasons import Refusal
from culvert.wire.isakmp.header import NO_SPI, Header
from culvert.wire.isakmp.message import Message, emit_message, parse_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType

SPI_OCTETS = 4
MAX_TOLD_AT_ONCE = 4
"""IKE SAs with one address, and SPIs of one message, that are dealt with at once."""
TELL_APART_NS = SECOND // 4
"""How far apart two messages about unknown SPIs to one peer are."""
SETTLED_NS = 5 * SECOND
"""A child that is younger is not made anew on such a message, or two ends that never agree would do nothing else."""


def met(ctx: Context, event: UnknownSpi) -> None:
    """A packet came for an association that the data plane does not have. What we make anew or part from is ours."""
    if event.spi in ctx.child_owners or event.spi in ctx.leaving:
        return
    sharing = list(_at(ctx, event.remote))
    for lineage in sharing[:MAX_TOLD_AT_ONCE]:
        _tell(ctx, lineage, event.spi)
    if not sharing:
        _tell_unprotected(ctx, event)


def _at(ctx: Context, remote: SocketAddress) -> Iterator[Lineage]:
    """Give the IKE SAs with a peer. In UDP, the port tells those behind one address apart; 0: none is known."""
    for lineage in ctx.lineages.values():
        sa = ctx.sas.get(lineage.current)
        if sa is None or sa.remote.ip != remote.ip or not lineage.established or lineage.closing:
            continue
        if not remote.port or sa.remote.port in (remote.port, IKE_PORT):
            yield lineage


def _tell(ctx: Context, lineage: Lineage, spi: int) -> None:
    """Tell the peer, one SPI after the other: forged packets must not fill the queue before what matters."""
    long_ago = lineage.spi_told_at is None or ctx.now - lineage.spi_told_at >= TELL_APART_NS
    if long_ago and not any(isinstance(one, InvalidSpi) for one in _tasks(ctx, lineage)):
        lineage.spi_told_at = ctx.now
        lineages.enqueue(ctx, lineage, InvalidSpi(spi))


def _tasks(ctx: Context, lineage: Lineage) -> Iterator[Task]:
    sa = ctx.current(lineage)
    if sa is not None and sa.window.outstanding is not None:
        yield sa.window.outstanding.task
    yield from lineage.queue


def _tell_unprotected(ctx: Context, event: UnknownSpi) -> None:
    """Say it to who may be a peer that we forgot. The IKE SPIs mean nothing to anybody (section 1.5)."""
    known = bool(ctx.peers.known_at(event.remote.ip))
    maybe = known or any(True for _ in ctx.peers.that_may_move())
    if not maybe or not ctx.unprotected.allow(ctx.now, event.remote.ip, known=known):
        return
    notify = Notify(NotifyType.INVALID_SPI, event.spi.to_bytes(SPI_OCTETS, "big"))
    message = Message(ctx.fresh_ike_spi(), NO_SPI, ExchangeType.INFORMATIONAL, True, False, 0, (notify,))
    local, remote = (
        SocketAddress(end.ip, end.port if event.remote.port else IKE_PORT) for end in (event.local, event.remote)
    )
    ctx.emit(Transmit(local, remote, emit_message(message)))


def told(ctx: Context, sa: IkeSa, contents: Contents) -> None:
    """The peer says, protected, that it does not have what we send on: make it anew, whatever the peer still knows."""
    lineage = ctx.lineage_of(sa)
    for data in contents.notified(NotifyType.INVALID_SPI)[:MAX_TOLD_AT_ONCE]:
        child = children.find_outbound(lineage, int.from_bytes(data, "big")) if len(data) == SPI_OCTETS else None
        if child is None or not child.current or ctx.now - child.established_at < SETTLED_NS:
            continue
        ctx.log(sa.peer, f"the peer no longer has {child.child.name}; it is made anew", Refusal.CHILD_SA_NOT_FOUND)
        lineages.enqueue(ctx, lineage, RekeyChild(child.spi_in))


def is_hint(header: Header) -> bool:
    """Tell whether a message is a request that nothing protects and that belongs to no IKE SA."""
    informational = header.exchange == ExchangeType.INFORMATIONAL and not header.response
    return informational and header.next_payload == PayloadType.NOTIFY


def hinted(ctx: Context, data: bytes, remote: SocketAddress) -> None:
    """Somebody says without protection that a peer does not have what we send on: ask the peer. Raise ParseError."""
    spis = Contents(parse_message(data).payloads).notified(NotifyType.INVALID_SPI)[:1]
    for spi in (int.from_bytes(one, "big") for one in spis if len(one) == SPI_OCTETS):
        for lineage in _at(ctx, SocketAddress(remote.ip, 0)):
            if children.find_outbound(lineage, spi) is not None:
                hints.ask(ctx, lineage)
                return
    ctx.note(f"{remote} says something without protection", Refusal.UNKNOWN_IKE_SPI, DEBUG)
