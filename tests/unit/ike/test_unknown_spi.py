"""INVALID_SPI (RFC 7296 section 1.5), told and taken, protected and not, with the roles swapped."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from culvert.addresses import SocketAddress
from culvert.config.model import Start
from culvert.entropy import SeededEntropy
from culvert.ike.actions import Action, Transmit
from culvert.ike.events import EngineRestarted, UnknownSpi
from culvert.ike.v2.sa import ChildSa, InvalidSpi, Liveness
from culvert.ike.v2.sealing import seal
from culvert.limits import UNPROTECTED_KNOWN_BURST
from culvert.wire.isakmp.header import NO_SPI, read_header
from culvert.wire.isakmp.message import Message, emit_message, parse_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType
from culvert.wire.isakmp.vendor_id import VendorId
from tests.unit.ike.line import OTHER, Line

UNKNOWN = 0x12345678
ESP = 50


def _child(line: Line, name: str) -> ChildSa:
    (lineage,) = line.ends[name]._ctx.live(OTHER[name])
    (child,) = (one for one in lineage.children.values() if one.current)
    return child


def _stray(line: Line, name: str, spi: int, *, port: int = 4500, source: str = "") -> list[Action]:
    """Let a packet for an SPI come to an end, in UDP or (port 0) not."""
    remote = SocketAddress(ip_address(source) if source else line.address(OTHER[name]), port)
    return line.tell(name, UnknownSpi(SocketAddress(line.address(name), 4500 if port else 0), remote, ESP, spi))


def _transmitted(actions: list[Action]) -> list[bytes]:
    return [one.data for one in actions if isinstance(one, Transmit)]


def _exchanges(line: Line, name: str) -> list[object]:
    return [header.exchange for header in line.headers(name) if not header.response]


def _later(line: Line, seconds: int = 70) -> Line:
    line.wait(seconds)
    return line


# Within an IKE SA.


@pytest.mark.parametrize("lost", ["west", "east"])
@pytest.mark.parametrize("port", [0, 4500])
def test_a_child_that_one_end_lost_is_made_anew_at_once(lost: str, port: int) -> None:
    """Its data plane and its IKE have forgotten it; the other end still sends on it."""
    line = _later(Line().connect())
    stays = OTHER[lost]
    old = _child(line, lost)
    ctx = line.ends[lost]._ctx
    (lineage,) = ctx.live(stays)
    del lineage.children[old.spi_in], ctx.child_owners[old.spi_in]
    _stray(line, lost, old.spi_in, port=port)
    line.deliver()
    for name in OTHER:
        assert _child(line, name).spi_in != old.spi_in
    assert _child(line, lost).spi_out == _child(line, stays).spi_in
    assert line.up()


@pytest.mark.parametrize("tells", ["west", "east"])
def test_a_child_that_the_other_end_still_knows_is_rekeyed(tells: str) -> None:
    """Only its data plane lost it: the peer asks for the successor of what both know."""
    line = _later(Line().connect())
    old = _child(line, tells)
    line.begin(tells, InvalidSpi(old.spi_in)).deliver()
    assert _child(line, tells).spi_in != old.spi_in
    assert _exchanges(line, OTHER[tells]).count(ExchangeType.CREATE_CHILD_SA) == 1
    assert line.up()


def test_what_the_end_itself_knows_is_not_told() -> None:
    """After its engine restarted it makes its children anew by itself."""
    line = _later(Line().connect())
    count = len(line.sent)
    assert not _transmitted(_stray(line, "west", _child(line, "west").spi_in))
    assert len(line.sent) == count
    line.tell("west", EngineRestarted())
    old = _child(line, "west").spi_in
    assert not _transmitted(_stray(line, "west", old))


def test_it_is_told_within_the_ike_sa_and_not_too_often() -> None:
    line = _later(Line().connect())
    (data,) = _transmitted(_stray(line, "west", UNKNOWN))
    assert read_header(data).next_payload == PayloadType.SK
    for spi in range(UNKNOWN, UNKNOWN + 50):
        assert not _transmitted(_stray(line, "west", spi))
    line.deliver()
    assert not line.ends["west"]._ctx.live("east")[0].queue
    line.wait(1)
    assert len(_transmitted(_stray(line, "west", UNKNOWN))) == 1


def test_forged_packets_do_not_fill_the_queue() -> None:
    """The peer is slow to answer, and somebody sends packets in its name all the time."""
    line = _later(Line().connect())
    line.fate = lambda *_: ()
    for spi in range(UNKNOWN, UNKNOWN + 300):
        _stray(line, "west", spi)
        line.wait(0.1)
    ctx = line.ends["west"]._ctx
    (lineage,) = ctx.live("east")
    assert sum(isinstance(one, InvalidSpi) for one in lineage.queue) == 0
    assert len(lineage.queue) < 4


def test_behind_one_address_the_port_tells_who_it_is() -> None:
    """Another port is another machine behind the same NAT; that one may have no IKE SA with us."""
    line = _later(Line().connect())
    (data,) = _transmitted(_stray(line, "west", UNKNOWN, port=40_000))
    assert read_header(data).next_payload == PayloadType.NOTIFY
    assert not line.ends["west"]._ctx.live("east")[0].queue


@pytest.mark.parametrize("data", [b"", b"\x12\x34\x56", b"\x12\x34\x56\x78", b"\x12\x34\x56\x78\x9a"])
def test_an_spi_that_is_not_there_changes_nothing(data: bytes) -> None:
    line = _later(Line().connect())
    before = _child(line, "east").spi_in
    _say(line, data)
    assert _child(line, "east").spi_in == before


def _say(line: Line, *spis: bytes) -> None:
    """Let west tell east of SPIs, protected."""
    west = line.sa("west")
    payloads = tuple(Notify(NotifyType.INVALID_SPI, one) for one in spis)
    message_id = west.window.next_request
    west.window.next_request += 1
    what = ExchangeType.INFORMATIONAL, payloads
    line.receive("east", seal(west, SeededEntropy(4), *what, message_id=message_id, response=False))
    line.deliver()


def test_a_peer_that_always_says_so_gets_no_child_after_the_other() -> None:
    line = _later(Line().connect())
    made = []
    for _ in range(20):
        spi = _child(line, "east").spi_out
        made.append(spi)
        _say(line, spi.to_bytes(4, "big"))
    assert len(set(made)) == 2, "one anew, and that one has some seconds"


# Without an IKE SA.


def test_who_forgot_the_ike_sa_says_so_without_protection_and_is_found_out_at_once() -> None:
    """East restarts and calls nobody. West's packets make it speak, its token is proof, and west begins anew."""
    line = Line(start=Start.ALWAYS).deliver()
    _later(line)
    line.restart("east")
    _stray(line, "east", UNKNOWN)
    unknown = line.sent[-1][1]
    header, message = read_header(unknown), parse_message(unknown)
    assert (header.exchange, header.response, header.initiator) == (ExchangeType.INFORMATIONAL, False, True)
    assert message.payloads == (Notify(NotifyType.INVALID_SPI, UNKNOWN.to_bytes(4, "big")),)
    line.under_way.clear()
    _stray(line, "east", _child(line, "west").spi_out)
    line.deliver()
    line.wait(1)
    assert line.up()
    assert any("shows that it has lost" in one for one in line.said)


def test_without_udp_it_goes_to_port_500() -> None:
    line = Line().connect()
    line.restart("east")
    actions = _stray(line, "east", UNKNOWN, port=0)
    (sent,) = (one for one in actions if isinstance(one, Transmit))
    assert (sent.local.port, sent.remote.port) == (500, 500)


def test_a_stranger_is_told_nothing_where_nobody_may_call_from_anywhere() -> None:
    line = Line().connect()
    assert not _transmitted(_stray(line, "east", UNKNOWN, source="192.0.2.66"))


def test_without_protection_it_is_said_at_a_bounded_rate() -> None:
    line = Line()
    said = [_transmitted(_stray(line, "east", UNKNOWN)) for _ in range(100)]
    assert sum(map(len, said)) == UNPROTECTED_KNOWN_BURST


def _hint(line: Line, spi: int, *, to: str = "west", source: str = "198.51.100.1") -> list[Action]:
    notify = Notify(NotifyType.INVALID_SPI, spi.to_bytes(4, "big"))
    message = Message(b"anything", NO_SPI, ExchangeType.INFORMATIONAL, True, False, 0, (notify,))
    return list(line.receive(to, emit_message(message), remote=SocketAddress.parse(source, 500)))


def test_a_hint_only_makes_us_ask_and_not_too_often() -> None:
    line = _later(Line().connect())
    before = _child(line, "west")
    (data,) = _transmitted(_hint(line, before.spi_out))
    assert read_header(data).next_payload == PayloadType.SK
    line.deliver()
    for _ in range(50):
        assert not _transmitted(_hint(line, before.spi_out))
    assert _child(line, "west") is before
    line.wait(6)
    assert _transmitted(_hint(line, before.spi_out))
    line.deliver()
    assert line.up()


@pytest.mark.parametrize(("spi", "source"), [(UNKNOWN, "198.51.100.1"), (0, "192.0.2.66")])
def test_a_hint_that_fits_nothing_is_dropped(spi: int, source: str) -> None:
    line = _later(Line().connect())
    assert not _transmitted(_hint(line, spi or _child(line, "west").spi_out, source=source))
    assert Liveness() not in line.ends["west"]._ctx.live("east")[0].queue


def test_nobody_answers_such_a_message() -> None:
    line = Line()
    for exchange in ExchangeType:
        for response in (True, False):
            longer_than_what_is_protected = (Notify(NotifyType.INVALID_SPI, bytes(4)), VendorId(bytes(40)))
            message = Message(b"anything", b"whatever", exchange, True, response, 1, longer_than_what_is_protected)
            assert not _transmitted(line.receive("east", emit_message(message)))
