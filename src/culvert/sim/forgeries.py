"""Datagrams of an attacker who reads everything and has no key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

from culvert.addresses import SocketAddress
from culvert.ike.events import UnknownSpi
from culvert.ipsec.associations import Direction, Protocol
from culvert.sim.link import MILLISECOND, damaged
from culvert.sim.network import EAVESDROPPER
from culvert.sim.planes import DataPlane
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import NO_SPI, Header, read_header
from culvert.wire.isakmp.message import Message, emit_message, parse_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType

if TYPE_CHECKING:
    from culvert.sim.world import Arrival, World

FORGER = "forger"


class Forgery(StrEnum):
    """What is sent to the victim, as if its peer had sent it."""

    UNKNOWN_SPI = "unknown-spi"
    REFUSED = "refused"
    COOKIE = "cookie"
    OTHER_GROUP = "other-group"
    FAILED = "authentication-failed"
    GARBLED = "garbled"
    CUT_SHORT = "cut-short"
    AGAIN = "again"
    AGAIN_FROM_ELSEWHERE = "again-from-elsewhere"
    ANOTHER_FIRST = "another-first"
    INVALID_SPI = "invalid-spi"
    STRAY = "stray"


UNPROTECTED = {
    Forgery.UNKNOWN_SPI: Notify(NotifyType.INVALID_IKE_SPI),
    Forgery.REFUSED: Notify(NotifyType.NO_PROPOSAL_CHOSEN),
    Forgery.COOKIE: Notify(NotifyType.COOKIE, b"a cookie of nobody"),
    Forgery.OTHER_GROUP: Notify(NotifyType.INVALID_KE_PAYLOAD, (14).to_bytes(2, "big")),
    Forgery.FAILED: Notify(NotifyType.AUTHENTICATION_FAILED),
}


def forge(world: World, kind: Forgery, victim: str) -> None:
    """Send one forged datagram to everybody's idea of `victim`, made of what was overheard, if anything was."""
    for (sender, receiver), overheard in list(world.overheard.items()):
        if sender == victim and kind in UNPROTECTED:
            _send(world, overheard, _answer(overheard.data, UNPROTECTED[kind]), back=True)
        elif receiver == victim and kind in ALTERED:
            _send(world, overheard, ALTERED[kind](overheard.data), elsewhere=kind is Forgery.AGAIN_FROM_ELSEWHERE)
        elif receiver == victim and kind is Forgery.INVALID_SPI:
            _send(world, overheard, _invalid_spi(overheard.data, world.nodes[victim].plane))
        elif receiver == victim and kind is Forgery.STRAY:
            _stray(world, overheard, victim)


def _send(world: World, overheard: Arrival, data: bytes, *, back: bool = False, elsewhere: bool = False) -> None:
    origin, remote = (overheard.remote, overheard.origin) if back else (overheard.origin, overheard.remote)
    if elsewhere:
        origin = SocketAddress(EAVESDROPPER, origin.port)
    if data:
        forged = replace(overheard, sender=FORGER, origin=origin, remote=remote, data=data, damaged=None)
        world.plan(world.now + MILLISECOND, forged)


def _answer(request: bytes, notify: Notify) -> bytes:
    """Answer what the victim asked last, without protection; nothing where it asked nothing."""
    header = _header(request)
    if header is None or header.response:
        return b""
    exchange, id_ = header.exchange, header.message_id
    spi_r = NO_SPI if exchange == ExchangeType.IKE_SA_INIT else header.spi_r
    return emit_message(Message(header.spi_i, spi_r, exchange, not header.initiator, True, id_, (notify,)))


def _invalid_spi(overheard: bytes, plane: DataPlane) -> bytes:
    """Say of what the victim sends on that nobody has it; anybody can read the SPI in its packets (RFC 7296 1.5)."""
    sends_on = plane.side(Direction.OUT)
    if not sends_on:
        return b""
    notify = Notify(NotifyType.INVALID_SPI, sends_on[-1].spi.to_bytes(4, "big"))
    spi = sha256(overheard).digest()[:8]
    return emit_message(Message(spi, NO_SPI, ExchangeType.INFORMATIONAL, True, False, 0, (notify,)))


def _stray(world: World, overheard: Arrival, victim: str) -> None:
    """Send a packet of ESP or AH that nobody sealed; the victim's data plane tells of it."""
    drawn = sha256(overheard.data).digest()
    protocol = Protocol.AH if drawn[0] & 1 else Protocol.ESP
    spi = int.from_bytes(drawn[:4], "big")
    event = UnknownSpi(overheard.remote, overheard.origin, protocol.number, spi)
    if world.nodes[victim].plane.tells(None, world.now):
        world.at(world.now, victim, event)


def _header(data: bytes) -> Header | None:
    try:
        return read_header(data)
    except ParseError:
        return None


def _garbled(data: bytes) -> bytes:
    return damaged(data, (len(data) - 3) * 8)


def _cut_short(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _another_first(data: bytes) -> bytes:
    """Write a first message again with another SPI: the victim is to hold one more half-open IKE SA."""
    header = _header(data)
    if header is None or header.exchange != ExchangeType.IKE_SA_INIT or header.response:
        return b""
    spi = sha256(data).digest()[:8]
    return emit_message(replace(parse_message(data), spi_i=spi))


ALTERED: dict[Forgery, Callable[[bytes], bytes]] = {
    Forgery.GARBLED: _garbled,
    Forgery.CUT_SHORT: _cut_short,
    Forgery.AGAIN: bytes,
    Forgery.AGAIN_FROM_ELSEWHERE: bytes,
    Forgery.ANOTHER_FIRST: _another_first,
}
