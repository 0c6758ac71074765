"""Quick crash detection (RFC 6290): tokens given under protection, shown only for what is lost, judged with care."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

import pytest

from culvert.addresses import IPAddress, SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Start
from culvert.entropy import SeededEntropy
from culvert.ike.actions import RemoveAssociation, Transmit
from culvert.ike.events import DatagramReceived, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2 import crash_detection
from culvert.ike.v2.crash_detection import TOKEN_OCTETS, Ends, token
from culvert.ike.v2.sa import IkeSa, Liveness
from culvert.ike.v2.sealing import seal
from culvert.limits import UNPROTECTED_KNOWN_BURST, UNPROTECTED_STRANGERS_BURST
from culvert.reasons import Refusal
from culvert.wire.isakmp.header import read_header
from culvert.wire.isakmp.message import Message, emit_message, parse_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType, ProtocolId
from tests.unit.ike.line import OTHER, Line

QCD = NotifyType.QUICK_CRASH_DETECTION
SECRET = b"a secret of this test"
ENDS = Ends(True, b"initiato", b"responde", ip_address("203.0.113.1"), ip_address("198.51.100.1"))


def _sas(line: Line) -> tuple[IkeSa, IkeSa]:
    return line.sa("west"), line.sa("east")


def _tokens(data: bytes) -> list[bytes]:
    notifies = (one for one in parse_message(data).payloads if isinstance(one, Notify))
    return [one.data for one in notifies if one.type == QCD]


def _request(sa: IkeSa) -> bytes:
    """Write a request that this end could send."""
    message_id = sa.window.next_request
    return seal(sa, SeededEntropy(4), ExchangeType.INFORMATIONAL, (), message_id=message_id, response=False)


def _answer(line: Line, to: str, *payloads: Notify) -> bytes:
    """Write an unprotected answer to the request under way of `to`."""
    sa = line.sa(to)
    outstanding = sa.window.outstanding
    assert outstanding is not None
    message = Message(
        sa.spi_i, sa.spi_r, ExchangeType.INFORMATIONAL, not sa.initiator, True, outstanding.message_id, payloads
    )
    return emit_message(message)


# The token itself.


def test_a_token_belongs_to_one_ike_sa_between_two_addresses() -> None:
    other = ip_address("192.0.2.1")
    variants = [
        (SECRET, ENDS),
        (b"another", ENDS),
        (SECRET, Ends(False, *_rest())),
        (SECRET, Ends(True, b"another!", ENDS.spi_r, ENDS.local, ENDS.remote)),
        (SECRET, Ends(True, ENDS.spi_i, b"another!", ENDS.local, ENDS.remote)),
        (SECRET, Ends(True, ENDS.spi_i, ENDS.spi_r, other, ENDS.remote)),
        (SECRET, Ends(True, ENDS.spi_i, ENDS.spi_r, ENDS.local, other)),
        (SECRET, Ends(True, ENDS.spi_i, ENDS.spi_r, ENDS.remote, ENDS.local)),
    ]
    tokens = [token(*one) for one in variants]
    assert len(set(tokens)) == len(tokens)
    assert all(len(one) == TOKEN_OCTETS for one in tokens)
    assert token(*variants[0]) == tokens[0]


def _rest() -> tuple[bytes, bytes, object, object]:
    return ENDS.spi_i, ENDS.spi_r, ENDS.local, ENDS.remote


# Given under protection.


@pytest.mark.parametrize("initiator", ["west", "east"])
def test_both_ends_give_their_token_in_ike_auth(initiator: str) -> None:
    line = Line(initiator=initiator).connect()
    for name in OTHER:
        ours, theirs = line.sa(name), line.sa(OTHER[name])
        ends = Ends(ours.initiator, ours.spi_i, ours.spi_r, line.address(name), line.address(OTHER[name]))
        assert theirs.crash_token == token(line.secrets[name], ends)
        assert repr(theirs.crash_token) not in repr(theirs)
    assert line.sa("west").crash_token != line.sa("east").crash_token


def test_without_a_secret_no_token_is_given_or_shown() -> None:
    line = Line(secrets={"west": b"", "east": b"east" * 8}).connect()
    west, east = _sas(line)
    assert east.crash_token == b""
    assert west.crash_token
    line.restart("west")
    line.begin("east", Liveness())
    line.deliver()
    (answer,) = [data for name, data in line.sent if name == "west" and _unprotected(data)]
    assert _tokens(answer) == []


def _unprotected(data: bytes) -> bool:
    return read_header(data).next_payload == PayloadType.NOTIFY


@pytest.mark.parametrize("initiator", ["west", "east"])
def test_after_a_rekey_of_the_ike_sa_both_have_new_tokens(initiator: str) -> None:
    line = Line().connect()
    before = [one.crash_token for one in _sas(line)]
    line.tell(initiator, RekeyRequested(OTHER[initiator], ike=True))
    line.deliver()
    for name, old in zip(OTHER, before, strict=True):
        current = line.ends[name]._ctx.current(line.ends[name]._ctx.live(OTHER[name])[0])
        assert current is not None
        theirs = Ends(
            not current.initiator, current.spi_i, current.spi_r, line.address(OTHER[name]), line.address(name)
        )
        assert current.crash_token == token(line.secrets[OTHER[name]], theirs)
        assert current.crash_token != old


def test_a_peer_that_knows_no_tokens_is_not_told_of_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(secrets={"west": b"", "east": b""}).connect()
    line.ends["west"]._ctx.token_secret = b"west" * 8
    line.tell("west", RekeyRequested("east", ike=True))
    line.deliver()
    kinds = [header.exchange for header in line.headers("west") if not header.response]
    assert kinds.count(ExchangeType.INFORMATIONAL) == 1, "the DELETE of the old one"


def test_a_new_token_takes_the_place_of_the_old_one() -> None:
    line = Line().connect()
    west, east = _sas(line)
    payloads = (Notify(QCD, b"n" * 16, ProtocolId.IKE), Notify(QCD, b"N" * 32, ProtocolId.IKE))
    data = seal(west, SeededEntropy(4), ExchangeType.INFORMATIONAL, payloads, message_id=2, response=False)
    line.receive("east", data)
    assert east.crash_token == b"N" * 32


@pytest.mark.parametrize("octets", [0, 15, 257])
def test_a_token_of_a_wrong_length_is_none(octets: int) -> None:
    line = Line().connect()
    west, east = _sas(line)
    before = east.crash_token
    payloads = (Notify(QCD, bytes(octets), ProtocolId.IKE),)
    line.receive(
        "east", seal(west, SeededEntropy(4), ExchangeType.INFORMATIONAL, payloads, message_id=2, response=False)
    )
    assert east.crash_token == before


# Shown, and believed.


@pytest.mark.parametrize("lost", ["west", "east"])
def test_who_lost_the_ike_sa_is_known_at_once(lost: str) -> None:
    """The other end is the initiator of the tunnel, and makes it anew without waiting for anything."""
    stays = OTHER[lost]
    line = Line(initiator=stays, start=Start.ALWAYS).deliver()
    assert line.up()
    old = line.sa(stays).spi
    line.restart(lost)
    line.begin(stays, Liveness())
    line.deliver()
    assert any("shows that it has lost" in one for one in line.said)
    assert line.ends[stays]._ctx.sas[old].keys is None
    line.wait(1)
    assert line.up(), "within a second, where silence would take half a minute"
    assert line.ends[stays].census().established == 1


def test_the_answer_is_hardly_longer_than_the_shortest_request() -> None:
    line = Line().connect()
    request = _request(line.sa("west"))
    line.restart("east")
    (answer,) = _transmitted(line.receive("east", request))
    assert len(_tokens(answer)) == 1
    assert len(answer) <= len(request) + 4


def _transmitted(actions: Iterable[object]) -> list[bytes]:
    return [one.data for one in actions if isinstance(one, Transmit)]


def test_a_response_is_never_answered() -> None:
    line = Line().connect()
    west = line.sa("west")
    data = seal(west, SeededEntropy(4), ExchangeType.INFORMATIONAL, (), message_id=0, response=True)
    line.restart("east")
    assert _transmitted(line.receive("east", data)) == []


# What must not be shown: section 10.2.


def test_no_token_of_a_living_ike_sa_is_ever_shown() -> None:
    """Its SPIs in every combination and role, from the peer's address and another, in every exchange."""
    line = Line().connect()
    for name in OTHER:
        sa, theirs = line.sa(name), line.sa(OTHER[name])
        spis = (sa.spi_i, sa.spi_r, b"another!", bytes(8))
        for spi_i in spis[:3]:
            for spi_r in spis:
                for flags in (0x00, 0x08, 0x10, 0x18):
                    for source in (line.address(OTHER[name]), ip_address("192.0.2.66")):
                        shown = _ask(line, name, (spi_i, spi_r), flags, source)
                        assert theirs.crash_token not in shown
                        assert not (shown and sa.spi in (spi_i, spi_r)), "none at all with an SPI that is in use"


def _ask(line: Line, name: str, spis: tuple[bytes, bytes], flags: int, source: IPAddress) -> list[bytes]:
    spi_i, spi_r = spis
    head = spi_i + spi_r + bytes([PayloadType.SK, 0x20, ExchangeType.INFORMATIONAL, flags]) + bytes(3) + b"\x07"
    data = head + (28 + 40).to_bytes(4, "big") + bytes([0, 0, 0, 40]) + bytes(36)
    line.now += SECOND
    local, remote = SocketAddress(line.address(name), 4500), SocketAddress(source, 4500)
    actions = line.ends[name].step(DatagramReceived(local, remote, data), line.now)
    return [one for answer in _transmitted(actions) for one in _tokens(answer)]


def test_no_token_is_shown_while_the_data_plane_still_carries_the_traffic() -> None:
    """A new process has forgotten the IKE SA, but not lost the children: it makes new ones beside them."""
    line = Line().connect()
    request = _request(line.sa("west"))
    line.restart("east")
    record = line.ends["east"]._ctx.peers["west"]
    record.inherited = True
    (answer,) = _transmitted(line.receive("east", request))
    assert not _tokens(answer)
    record.inherited = False
    (answer,) = _transmitted(line.receive("east", request))
    assert _tokens(answer)


def test_another_gateway_with_the_same_secret_shows_no_token_of_ours() -> None:
    """A copied machine, or another member behind one balancer, which does not know this IKE SA."""
    line = Line().connect()
    west, east = _sas(line)
    copy = Line(secrets=dict.fromkeys(OTHER, line.secrets["east"]))
    asked = _request(west)
    local = SocketAddress(ip_address("198.51.100.2"), 4500)
    remote = SocketAddress(line.address("west"), 4500)
    for at, source in ((local, remote), (SocketAddress(line.address("east"), 4500), local)):
        (answer,) = _transmitted(copy.receive("east", asked, at, source))
        assert _tokens(answer)
        assert west.crash_token not in _tokens(answer)
    assert east.keys is not None


# What must not be believed.


def _told(line: Line, *payloads: Notify, source: str = "198.51.100.1", port: int = 4500) -> list[object]:
    """Let west ask, and answer it without protection."""
    line.begin("west", Liveness())
    line.under_way.clear()
    data = _answer(line, "west", *payloads)
    return list(line.receive("west", data, remote=SocketAddress.parse(source, port)))


UNKNOWN = Notify(NotifyType.INVALID_IKE_SPI)


@pytest.mark.parametrize("case", ["wrong", "none", "prefix", "longer", "elsewhere", "alone", "fifth"])
def test_anything_but_the_token_from_the_peer_ends_nothing(case: str) -> None:
    line = Line().connect()
    right = line.sa("west").crash_token
    payloads = {
        "wrong": (UNKNOWN, Notify(QCD, bytes(16), ProtocolId.IKE)),
        "none": (UNKNOWN, Notify(QCD, b"", ProtocolId.IKE)),
        "prefix": (UNKNOWN, Notify(QCD, right[:-1], ProtocolId.IKE)),
        "longer": (UNKNOWN, Notify(QCD, right + b"\0", ProtocolId.IKE)),
        "elsewhere": (UNKNOWN, Notify(QCD, right, ProtocolId.IKE)),
        "alone": (Notify(QCD, right, ProtocolId.IKE),),
        "fifth": (UNKNOWN, *(Notify(QCD, bytes([one]) * 16) for one in range(4)), Notify(QCD, right)),
    }[case]
    actions = _told(line, *payloads, source="192.0.2.66" if case == "elsewhere" else "198.51.100.1")
    assert not any(isinstance(one, RemoveAssociation) for one in actions)
    assert line.sa("west").keys is not None
    assert line.sa("west").window.outstanding is not None


def test_an_empty_token_is_not_believed_of_a_peer_that_gave_none() -> None:
    line = Line(secrets=dict.fromkeys(OTHER, b"")).connect()
    _told(line, UNKNOWN, Notify(QCD, b"", ProtocolId.IKE))
    assert line.sa("west").keys is not None


def test_the_right_token_among_others_is_believed() -> None:
    line = Line().connect()
    right = line.sa("west").crash_token
    actions = _told(line, Notify(QCD, bytes(16)), UNKNOWN, Notify(QCD, right))
    assert any(isinstance(one, RemoveAssociation) for one in actions)
    assert not any(isinstance(one, Transmit) for one in actions), "it ends without a word"
    assert line.ends["west"].status("east").state is not PeerState.UP


def test_a_token_ends_only_the_ike_sa_that_it_is_of() -> None:
    """The one of an IKE SA that has a successor."""
    line = Line().connect()
    old = line.sa("west")
    line.fate = lambda _, data: () if read_header(data).exchange == ExchangeType.INFORMATIONAL else (data,)
    line.tell("west", RekeyRequested("east", ike=True))
    line.deliver()
    outstanding = old.window.outstanding
    assert outstanding is not None, "its DELETE is not answered"
    payloads = (UNKNOWN, Notify(QCD, old.crash_token))
    message = Message(old.spi_i, old.spi_r, ExchangeType.INFORMATIONAL, False, True, outstanding.message_id, payloads)
    line.receive("west", emit_message(message))
    assert old.keys is None
    assert line.ends["west"].status("east").state is PeerState.UP


def test_a_token_without_a_question_is_not_looked_at() -> None:
    line = Line().connect()
    west = line.sa("west")
    for message_id in range(6):
        for response in (True, False):
            payloads = (UNKNOWN, Notify(QCD, west.crash_token))
            message = Message(west.spi_i, west.spi_r, ExchangeType.INFORMATIONAL, False, response, message_id, payloads)
            line.receive("west", emit_message(message))
    assert line.up()


# How often.


def test_strangers_do_not_take_the_answers_of_those_who_are_known() -> None:
    line = Line().connect()
    request = _request(line.sa("west"))
    line.restart("east")
    answers = [_transmitted(line.receive("east", request, remote=_stranger(one))) for one in range(500)]
    assert sum(map(len, answers)) == UNPROTECTED_STRANGERS_BURST
    answers = [_transmitted(line.receive("east", request)) for _ in range(20)]
    assert sum(map(len, answers)) == UNPROTECTED_KNOWN_BURST
    line.now += SECOND
    assert _transmitted(line.receive("east", request))
    assert _transmitted(line.receive("east", request, remote=_stranger(1)))


def _stranger(number: int) -> SocketAddress:
    return SocketAddress.parse(f"192.0.{2 + number // 250}.{1 + number % 250}", 500)


def test_the_reason_has_a_name() -> None:
    line = Line(start=Start.ALWAYS).deliver()
    line.restart("east")
    line.fate = lambda _, data: () if read_header(data).exchange == ExchangeType.IKE_SA_INIT else (data,)
    line.begin("west", Liveness())
    line.deliver()
    assert line.ends["west"].status("east").reason is Refusal.PEER_RESTARTED
    assert crash_detection.LONGEST_TOKEN_OCTETS == 256
