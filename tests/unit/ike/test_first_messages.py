"""What goes over the line before and beside protection: cookies, groups, versions, repetitions, ports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest

from culvert.addresses import SocketAddress
from culvert.config.model import EncapsulationChoice, Peer
from culvert.entropy import SeededEntropy
from culvert.ike.actions import Action, Transmit
from culvert.ike.cookies import Cookies
from culvert.ike.events import Connect
from culvert.ike.v2.sa import Liveness
from culvert.ike.v2.sealing import seal
from culvert.ipsec.proposals import Proposal, ike_proposal
from culvert.limits import COOKIE_THRESHOLD_PER_SOURCE
from culvert.wire.isakmp.header import NO_SPI, read_header
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.message import Message, emit_message, parse_message
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType
from culvert.wire.isakmp.sa import SecurityAssociation
from culvert.wire.isakmp.vendor_id import VendorId
from tests.unit.ike.line import OTHER, Line

COOKIE = b"a cookie of this test"
SPI = b"nobody's"
BOTH_GROUPS = (ike_proposal("aes128gcm16-prfsha256-x25519-ecp256"),)
THEIR_GROUP = (ike_proposal("aes128gcm16-prfsha256-ecp256"),)


@dataclass(slots=True)
class Forced(Line):
    """Both ends want UDP, whatever is between them."""

    def peer(self, name: str) -> Peer:
        return replace(Line.peer(self, name), encapsulation=EncapsulationChoice.UDP)


@dataclass(slots=True)
class Unlike(Line):
    """East takes another group than the one that west begins with."""

    def peer(self, name: str) -> Peer:
        proposals: tuple[Proposal, ...] = BOTH_GROUPS if name == "west" else THEIR_GROUP
        return replace(Line.peer(self, name), proposals=proposals)


def _first_messages(line: Line) -> list[Message]:
    """Give what west sent of IKE_SA_INIT."""
    return [parse_message(data) for name, data in line.sent if name == "west" and read_header(data).spi_r == NO_SPI]


def _asked(line: Line, notify: Notify) -> list[Message]:
    """Let west begin, and be told something without protection; give its first messages."""
    line.tell("west", Connect("east"))
    (first,) = _first_messages(line)
    told = Message(first.spi_i, NO_SPI, ExchangeType.IKE_SA_INIT, False, True, 0, (notify,))
    line.receive("west", emit_message(told), *reversed(_from_west(line)))
    return _first_messages(line)


def _besieged(line: Line) -> Line:
    """Let so many others have begun with east that it asks for cookies."""
    other = Line(proposals=THEIR_GROUP if isinstance(line, Unlike) else line.proposals)
    other.tell("west", Connect("east"))
    (message,) = _first_messages(other)
    for number in range(COOKIE_THRESHOLD_PER_SOURCE):
        data = emit_message(replace(message, spi_i=bytes([number + 1]) * 8))
        line.receive("east", data, *_from_west(line))
    line.under_way.clear()
    line.sent.clear()
    return line


def _from_west(line: Line) -> tuple[SocketAddress, SocketAddress]:
    """Give both ends of the way on which first messages come to east."""
    return SocketAddress(line.address("east"), 500), SocketAddress(line.address("west"), 500)


def _cookies(message: Message) -> int:
    return sum(isinstance(one, Notify) and one.type == NotifyType.COOKIE for one in message.payloads)


def _answers(actions: list[Action]) -> list[Transmit]:
    return [one for one in actions if isinstance(one, Transmit)]


@pytest.mark.parametrize("made", [Line, Forced])
def test_a_cookie_comes_first_and_changes_nothing_else(made: type[Line]) -> None:
    first, again = _asked(made(), Notify(NotifyType.COOKIE, COOKIE))
    assert again.payloads[0] == Notify(NotifyType.COOKIE, COOKIE)
    assert replace(again, payloads=again.payloads[1:]) == first
    assert (first.spi_r, again.spi_r, again.message_id) == (NO_SPI, NO_SPI, 0)


@pytest.mark.parametrize("octets", [0, 65])
def test_a_cookie_of_a_wrong_length_is_not_repeated(octets: int) -> None:
    assert len(_asked(Line(), Notify(NotifyType.COOKIE, bytes(octets)))) == 1


def test_a_cookie_has_at_most_64_octets() -> None:
    cookie = Cookies(SeededEntropy(1)).make(0, bytes(256), Line().address("west"), SPI)
    assert 1 <= len(cookie) <= 64


def test_a_wrong_cookie_counts_as_none() -> None:
    """It is answered with the right one, and no IKE SA comes of it."""
    line = _besieged(Line())
    line.tell("west", Connect("east"))
    (first,) = _first_messages(line)
    wrong = replace(first, payloads=(Notify(NotifyType.COOKIE, COOKIE), *first.payloads))
    (answer,) = _answers(line.receive("east", emit_message(wrong), *_from_west(line)))
    (notify,) = parse_message(answer.data).payloads
    assert isinstance(notify, Notify)
    assert notify.type == NotifyType.COOKIE
    assert notify.data != COOKIE


def test_a_cookie_and_another_group_may_both_be_asked_for() -> None:
    line = _besieged(Unlike()).connect()
    assert line.up()
    assert [_cookies(message) for message in _first_messages(line)] == [0, 1, 1]
    assert [_group(message) for message in _first_messages(line)] == [31, 31, 19]


def _group(message: Message) -> int:
    return next(one.method for one in message.payloads if isinstance(one, KeyExchangePayload))


def _offered(message: Message) -> SecurityAssociation:
    return next(one for one in message.payloads if isinstance(one, SecurityAssociation))


def test_the_next_try_offers_as_much_as_the_first() -> None:
    line = Unlike().connect()
    assert line.up()
    first, again = _first_messages(line)
    assert _offered(again) == _offered(first)
    assert (_group(first), _group(again)) == (31, 19)


def test_a_message_of_three_thousand_octets_is_taken() -> None:
    line = Line()
    line.tell("west", Connect("east"))
    (first,) = _first_messages(line)
    filled = replace(first, payloads=(*first.payloads, *(VendorId(bytes(500)) for _ in range(6))))
    assert len(emit_message(filled)) > 3_000
    (answer,) = _answers(line.receive("east", emit_message(filled), *_from_west(line)))
    assert any(isinstance(one, Nonce) for one in parse_message(answer.data).payloads)


def _lost(_: str, __: bytes) -> Iterable[bytes]:
    return ()


def test_a_repeated_request_has_the_same_octets() -> None:
    line = Line(fate=_lost)
    line.connect().wait(8)
    west = [data for name, data in line.sent if name == "west"]
    assert len(west) > 4
    assert west == [west[0]] * len(west)
    assert not line.headers("east")


def test_a_repeated_protected_request_has_the_same_octets_and_message_id() -> None:
    line = Line().connect()
    line.fate = _lost
    line.sent.clear()
    line.begin("west", Liveness()).wait(1.2)
    west = [data for name, data in line.sent if name == "west"]
    assert len(west) == 2
    assert west[0] == west[1]


def test_a_response_is_repeated_only_when_its_request_comes_again() -> None:
    line = Line().connect()
    line.begin("west", Liveness()).deliver()
    request, answer = (next(data for name, data in reversed(line.sent) if name == end) for end in ("west", "east"))
    line.fate = _lost
    line.begin("east", Liveness())
    line.sent.clear()
    line.wait(10)
    assert len(line.sent) > 2
    assert answer not in [data for _, data in line.sent]
    line.receive("east", request)
    assert line.sent[-1] == ("east", answer)


@pytest.mark.parametrize("ahead", [1, 1_000, -2])
def test_a_request_outside_of_the_window_is_not_answered(ahead: int) -> None:
    line = Line().connect()
    sa, expected = line.sa("west"), line.sa("east").window.expected
    number = (expected + ahead) % 2**32
    data = seal(sa, SeededEntropy(3), ExchangeType.INFORMATIONAL, (), message_id=number, response=False)
    assert _answers(line.receive("east", data)) == []
    assert line.sa("east").window.expected == expected


@pytest.mark.parametrize("initiator", OTHER)
def test_what_we_send_has_version_two_and_cleared_bits(initiator: str) -> None:
    line = Line(initiator=initiator).connect()
    for name in OTHER:
        line.begin(name, Liveness()).deliver()
    for name, data in line.sent:
        header = read_header(data)
        assert (header.major, header.minor, header.version) == (2, 0, False)
        assert data[19] & 0b1101_0111 == 0
        assert header.initiator == (name == initiator)
        assert data[29] == 0  # not critical
    assert {header.response for name in OTHER for header in line.headers(name)} == {True, False}


@pytest.mark.parametrize("port", [500, 4500])
def test_an_answer_goes_back_the_way_that_the_request_came(port: int) -> None:
    line = Line()
    line.tell("west", Connect("east"))
    ((_, first),) = line.sent
    local, remote = SocketAddress(line.address("east"), port), SocketAddress(line.address("west"), 61_234)
    (answer,) = _answers(line.receive("east", first, local, remote))
    assert (answer.local, answer.remote) == (local, remote)


@pytest.mark.parametrize("name", OTHER)
def test_so_does_a_protected_one(name: str) -> None:
    line = Line().connect()
    sa = line.sa(OTHER[name])
    number = sa.window.next_request
    data = seal(sa, SeededEntropy(3), ExchangeType.INFORMATIONAL, (), message_id=number, response=False)
    local, remote = SocketAddress(line.address(name), 500), SocketAddress(line.address(OTHER[name]), 61_234)
    (answer,) = _answers(line.receive(name, data, local, remote))
    assert (answer.local, answer.remote) == (local, remote)


def test_an_unknown_ike_sa_is_named_with_the_spis_and_the_message_id_of_the_request() -> None:
    line = Line().connect()
    asked = seal(line.sa("west"), SeededEntropy(3), ExchangeType.INFORMATIONAL, (), message_id=7, response=False)
    line.restart("east")
    remote = SocketAddress(line.address("west"), 61_234)
    (answer,) = _answers(line.receive("east", asked, remote=remote))
    request, told = read_header(asked), parse_message(answer.data)
    assert (told.spi_i, told.spi_r, told.message_id) == (request.spi_i, request.spi_r, 7)
    assert (told.exchange, told.response, told.initiator) == (request.exchange, True, not request.initiator)
    assert next(one.type for one in told.payloads if isinstance(one, Notify)) == NotifyType.INVALID_IKE_SPI
    assert answer.remote == remote


def test_both_ends_say_which_addresses_they_see() -> None:
    line = Line().connect()
    for _, data in line.sent[:2]:
        types = [one.type for one in parse_message(data).payloads if isinstance(one, Notify)]
        assert NotifyType.NAT_DETECTION_SOURCE_IP in types
        assert NotifyType.NAT_DETECTION_DESTINATION_IP in types


@dataclass(slots=True)
class Old(Line):
    """Both ends allow a weak group beside a good one, in one proposal."""

    def peer(self, name: str) -> Peer:
        weak = (ike_proposal("aes128-sha256-modp2048-modp1024", legacy=True),)
        return replace(Line.peer(self, name), proposals=weak, legacy=True)


def test_a_forged_wish_for_a_weak_group_is_not_followed() -> None:
    line = Old()
    line.tell("west", Connect("east"))
    (sa,) = line.ends["west"].state.sas.values()
    wish = Notify(NotifyType.INVALID_KE_PAYLOAD, (2).to_bytes(2, "big"))
    forged = Message(sa.spi_i, NO_SPI, ExchangeType.IKE_SA_INIT, False, True, 0, (wish,))
    line.under_way.clear()
    line.receive("west", emit_message(forged), sa.local, sa.remote)
    line.deliver()
    status = line.ends["west"].status("east")
    assert status.ike is not None
    assert status.ike.suite == "aes128-sha256-prfsha256-modp2048"
