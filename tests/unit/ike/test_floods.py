"""Floods from forged sources: an honest peer connects within two seconds, and what they cost us is bounded."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import pytest

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.identities import Identity
from culvert.ike import negotiation
from culvert.ike.actions import Action, Transmit
from culvert.ike.events import Configured, Connect, DatagramReceived
from culvert.limits import COOKIE_THRESHOLD, MAX_HALF_OPEN, MAX_HALF_OPEN_PER_SOURCE
from culvert.wire.isakmp.header import NO_SPI, read_header
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.message import Message, emit_message, parse_message
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType, ProtocolId
from culvert.wire.isakmp.payload import Unknown
from tests.unit.ike.line import AEAD, Line

PER_SECOND = 1_000
IDENTITY = Identity.parse("west.example.org")
PUBLIC = bytes([9]) + bytes(31)


def first(source: random.Random, *more: Notify | Unknown, spi: bytes = b"") -> bytes:
    """Write a first message as anybody can."""
    payloads = (
        *more,
        negotiation.offer(AEAD, ProtocolId.IKE, b"", key_exchange=True),
        KeyExchangePayload(31, PUBLIC),
        Nonce(source.randbytes(32)),
    )
    header = spi or source.randbytes(8)
    return emit_message(Message(header, NO_SPI, ExchangeType.IKE_SA_INIT, True, False, 0, payloads))


def protected(source: random.Random, next_payload: int = PayloadType.SK) -> bytes:
    """Write what looks like a protected request of an IKE SA that nobody has."""
    head = source.randbytes(16) + bytes([next_payload, 0x20, ExchangeType.INFORMATIONAL, 0x08]) + bytes(4)
    return head + (28 + 60).to_bytes(4, "big") + bytes([41, 0, 0, 60, 0, 1, 0, 2]) + source.randbytes(52)


def anywhere(source: random.Random) -> SocketAddress:
    return SocketAddress(ip_address(source.randrange(0x0B000000, 0xDF000000)), source.choice((500, 4500)))


KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "first messages": first,
    "requests of no IKE SA": protected,
    "fragments of no IKE SA": lambda source: protected(source, PayloadType.SKF),
    "of an IKEv3": lambda source: first(source)[:17] + b"\x30" + first(source)[18:],
    "nonsense": lambda source: source.randbytes(source.choice((28, 100, 1_400))),
}


@dataclass
class Flooded(Line):
    """A line whose east is flooded all the time: each millisecond brings a forged message."""

    kind: Callable[[random.Random], bytes] = first
    source: random.Random = field(default_factory=lambda: random.Random(5))
    answers: list[tuple[int, bytes]] = field(default_factory=list)

    def flood(self, seconds: float, remote: Callable[[random.Random], SocketAddress] = anywhere) -> None:
        for _ in range(int(seconds * PER_SECOND)):
            self.now += SECOND // PER_SECOND
            self.advance()
            data = self.kind(self.source)
            self.throw(data, remote(self.source))

    def throw(self, data: bytes, remote: SocketAddress) -> list[Action]:
        """Let east receive something; its answer goes to nobody."""
        local = SocketAddress(self.address("east"), 500)
        actions = self.ends["east"].step(DatagramReceived(local, remote, data), self.now)
        self.answers += [(len(data), one.data) for one in actions if isinstance(one, Transmit)]
        return actions

    def advance(self) -> None:
        self.wait(0)
        self.deliver()


def flooded(kind: str = "first messages", *, roaming: bool) -> Flooded:
    """East knows west by its identity, so that anybody may be west, or by its address alone."""
    line = Flooded(kind=KINDS[kind])
    if roaming:
        line.tell("east", Configured((replace(line.peer("east"), identity=IDENTITY),)))
        line.tell("west", Configured((replace(line.peer("west"), local_identity=IDENTITY),)))
    return line


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("roaming", [True, False])
def test_an_honest_peer_connects_within_two_seconds(kind: str, roaming: bool) -> None:
    line = flooded(kind, roaming=roaming)
    line.flood(5)
    began = line.now
    line.tell("west", Connect("east"))
    line.flood(2)
    assert line.up()
    assert line.now - began <= 2 * SECOND
    assert line.ends["east"].census().setting_up <= COOKIE_THRESHOLD
    assert sum(len(answer) for _, answer in line.answers) <= sum(length for length, _ in line.answers) * 1.3
    line.flood(1)
    assert line.up()


def test_the_address_of_the_honest_peer_itself_can_be_forged() -> None:
    line = flooded(roaming=False)
    west = SocketAddress(line.address("west"), 500)
    line.flood(3, lambda _: west)
    line.tell("west", Connect("east"))
    line.flood(2, lambda _: west)
    assert line.up()


def test_who_can_answer_cookies_fills_all_room_and_known_peers_still_get_in() -> None:
    """Many machines with real addresses, each within its own bound."""
    line = flooded(roaming=True)
    line.tell("east", Configured((replace(line.peer("east"), identity=IDENTITY),)))
    for host in range(MAX_HALF_OPEN // MAX_HALF_OPEN_PER_SOURCE + 8):
        remote = SocketAddress.parse(f"192.0.2.{host}", 500)
        for _ in range(MAX_HALF_OPEN_PER_SOURCE):
            _with_cookie(line, remote)
    assert line.ends["east"].census().setting_up == MAX_HALF_OPEN
    line.tell("west", Connect("east"))
    line.deliver()
    assert line.up()


def _with_cookie(line: Flooded, remote: SocketAddress) -> None:
    spi = line.source.randbytes(8)
    nonce = random.Random(spi)
    (answer,) = _transmitted(line.throw(first(nonce, spi=spi), remote)) or [b""]
    asked = [one for one in parse_message(answer).payloads if isinstance(one, Notify)] if answer else []
    if asked and asked[0].type == NotifyType.COOKIE:
        line.throw(first(random.Random(spi), asked[0], spi=spi), remote)


def _transmitted(actions: Iterable[Action]) -> list[bytes]:
    return [one.data for one in actions if isinstance(one, Transmit)]


def test_an_ipv6_network_is_one_source() -> None:
    line = flooded(roaming=True)
    for number in range(100):
        _with_cookie(line, SocketAddress(ip_address("2001:db8:7::") + line.source.getrandbits(64), 500))
        assert line.ends["east"].census().setting_up <= min(number + 1, MAX_HALF_OPEN_PER_SOURCE)
    assert line.ends["east"].census().setting_up == MAX_HALF_OPEN_PER_SOURCE


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_of_it_costs_less_than_half_a_second_of_one_core(kind: str) -> None:
    line = flooded(kind, roaming=True)
    line.flood(0.2)
    messages = [line.kind(line.source) for _ in range(2 * PER_SECOND)]
    sources = [anywhere(line.source) for _ in messages]
    local, east = SocketAddress(line.address("east"), 500), line.ends["east"]
    began = time.process_time()
    for data, remote in zip(messages, sources, strict=True):
        line.now += SECOND // PER_SECOND
        east.step(DatagramReceived(local, remote, data), line.now)
    assert time.process_time() - began < 1.0


def test_a_critical_payload_in_a_first_message_is_named() -> None:
    line = flooded(roaming=True)
    data = first(line.source, Unknown(200, True, bytes(4)))
    (answer,) = _transmitted(line.throw(data, anywhere(line.source)))
    assert parse_message(answer).payloads == (Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([200])),)
    assert read_header(answer).spi_r == NO_SPI
    assert len(answer) < len(data)
    assert not line.ends["east"]._ctx.sas
