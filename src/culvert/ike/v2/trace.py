"""The topic `ike`: every message that comes and goes, with its contents, while somebody wants to see it.

Off, it costs one look at an empty set. What anybody can cause is written at a bounded rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from culvert.addresses import SocketAddress
from culvert.ike.actions import Action, Log, Transmit
from culvert.ike.logs import DEBUG, IKE
from culvert.ike.v2 import rendering
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import IkeSa
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import Header, read_header
from culvert.wire.isakmp.message import parse_message
from culvert.wire.isakmp.numbers import PayloadType
from culvert.wire.isakmp.payload import Payload

INDENT = "  "
KEEPALIVE_OCTETS = 1
_PROTECTED = (PayloadType.SK, PayloadType.SKF)


def arrival(ctx: Context, data: bytes, local: SocketAddress, remote: SocketAddress, sa: IkeSa | None) -> None:
    """Tell of a datagram before it is judged: its header, and what of it nothing protects."""
    for line in _bounded(ctx, _told(sa.peer if sa else "", data, f"comes from {remote} to {local}")):
        ctx.emit(line)


def contents(ctx: Context, sa: IkeSa, payloads: Iterable[Payload]) -> None:
    """Tell what a protected message says: one of the peer's that proved authentic, or one of ours."""
    if IKE in ctx.topics:
        for line in rendering.lines(payloads):
            ctx.trace(sa.peer, INDENT + line)


def with_departures(ctx: Context, actions: list[Action]) -> list[Action]:
    """Put in front of every datagram that leaves what tells of it."""
    told: list[Action] = []
    for action in actions:
        if isinstance(action, Transmit):
            told += _departure(ctx, action)
        told.append(action)
    return told


def _departure(ctx: Context, action: Transmit) -> Iterator[Log]:
    where = f"goes from {action.local} to {action.remote}"
    if len(action.data) == KEEPALIVE_OCTETS:
        yield Log(DEBUG, "", f"a NAT keepalive {where}", topic=IKE)
        return
    header = read_header(action.data)
    sa = ctx.sas.get(header.spi_i if header.initiator else header.spi_r)
    told = _told(sa.peer if sa else "", action.data, where)
    unasked = header.next_payload in _PROTECTED or not header.response
    yield from told if unasked else _bounded(ctx, told)


def _bounded(ctx: Context, told: Iterator[Log]) -> Iterator[Log]:
    """Give the lines of a message that anybody could have caused, unless there are too many; later, how many were."""
    if not ctx.traced.allow(ctx.now):
        return
    if ctx.traced.suppressed:
        missed = f"{ctx.traced.suppressed} messages were too many to be told"
        ctx.traced.suppressed = 0
        yield Log(DEBUG, "", missed, topic=IKE)
    yield from told


def _told(peer: str, data: bytes, where: str) -> Iterator[Log]:
    try:
        header = read_header(data)
    except ParseError:
        yield Log(DEBUG, peer, f"a datagram of {len(data)} octets, too short for IKE, {where}", topic=IKE)
        return
    fields = (("spi_i", header.spi_i.hex()), ("spi_r", header.spi_r.hex()), ("octets", str(len(data))))
    yield Log(DEBUG, peer, f"{describe(header)} {where}", topic=IKE, fields=fields)
    for line in _readable(data):
        yield Log(DEBUG, peer, INDENT + line, topic=IKE)


def describe(header: Header) -> str:
    """Name a message by its header: `IKE_AUTH request 1`."""
    exchange = getattr(header.exchange, "name", f"exchange {header.exchange}")
    return f"{exchange} {'response' if header.response else 'request'} {header.message_id}"


def _readable(data: bytes) -> list[str]:
    """Give what everybody can read of a message."""
    try:
        return rendering.lines(parse_message(data).payloads)
    except ParseError as error:
        return [f"it cannot be read: {error.text}"]
