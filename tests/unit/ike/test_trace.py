"""What debugging tells of messages, and what it costs and keeps to itself."""

from __future__ import annotations

import pytest

from culvert.addresses import SocketAddress
from culvert.ike.actions import Log, Transmit
from culvert.ike.events import Connect, DatagramReceived, DebugSet, RekeyRequested, Stop
from culvert.ike.logs import IKE, printable
from culvert.ike.status import PeerState
from culvert.limits import MAX_LOG_LINE_CHARACTERS, TRACE_BURST
from culvert.sim.pair import Pair

ON, OFF = DebugSet(frozenset({IKE})), DebugSet(frozenset())


def _traced() -> Pair:
    pair = Pair().configure()
    for name in ("west", "east"):
        pair.tell(name, ON)
    return pair


def _said(trace: list[str]) -> list[str]:
    return [line.partition("says: ")[2] for line in trace if "says: " in line]


def test_a_set_up_is_told_message_by_message_and_payload_by_payload() -> None:
    said = _said([line for line in _traced().tell("west", Connect("east")) if " east " in line])
    assert said[0] == "IKE_SA_INIT request 0 comes from 203.0.113.1:500 to 198.51.100.1:500"
    assert "  SA proposal 1: IKE aes128gcm16-prfsha256-x25519" in said
    auth = said.index("IKE_AUTH request 1 comes from 203.0.113.1:4500 to 198.51.100.1:4500")
    assert said[auth + 2 : auth + 4] == ["  IDi IPV4_ADDR 203.0.113.1", "  NOTIFY INITIAL_CONTACT"]
    assert "  AUTH SHARED_KEY, 32 octets" in said
    assert "  TSi 10.1.0.0/16" in said


def test_nothing_is_told_while_the_topic_is_off() -> None:
    quiet = _said(Pair().connect().tell("west", RekeyRequested("east")))
    assert quiet == []
    pair = _traced()
    for name in ("west", "east"):
        pair.tell(name, OFF)
    assert all("request" not in line for line in _said(pair.tell("west", Connect("east"))))


def test_other_topics_are_not_the_cores() -> None:
    pair = Pair().configure()
    pair.tell("west", DebugSet(frozenset({"esp", "net"})))
    assert all("request" not in line for line in _said(pair.tell("west", Connect("east"))))


def test_what_is_told_has_its_topic_peer_and_fields() -> None:
    pair = _traced()
    pair.tell("west", Connect("east"))
    actions = pair.west.endpoint.step(RekeyRequested("east"), pair.world.now)
    lines = [one for one in actions if isinstance(one, Log)]
    assert {(one.topic, one.peer, one.reason) for one in lines} == {(IKE, "east", None)}
    head = dict(lines[0].fields)
    assert len(head["spi_i"]) == len(head["spi_r"]) == 16
    (sent,) = [one for one in actions if isinstance(one, Transmit)]
    assert head["octets"] == str(len(sent.data))
    assert actions.index(lines[0]) < actions.index(sent) < actions.index(lines[-1])


def test_a_farewell_is_told_and_the_topic_stays_on() -> None:
    pair = _traced()
    pair.tell("west", Connect("east"))
    actions = pair.west.endpoint.step(Stop(), pair.world.now)
    assert any(isinstance(one, Log) and "INFORMATIONAL request" in one.message for one in actions)
    assert pair.west.endpoint._ctx.topics == {IKE}


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "a datagram of 0 octets, too short for IKE, comes from"),
        (b"\0" * 27, "a datagram of 27 octets, too short for IKE, comes from"),
        (b"\1" * 16 + b"\x21\x20\x22\x08" + bytes(4) + (28).to_bytes(4, "big"), "  it cannot be read: a payload needs"),
        (b"\1" * 16 + b"\x00\x20\xf0\x08" + bytes(4) + (28).to_bytes(4, "big"), "exchange 240 request 0 comes from"),
    ],
)
def test_what_is_no_message_is_told_too(octets: bytes, said: str) -> None:
    pair = _traced()
    ends = (SocketAddress(pair.west.address, 500), SocketAddress(pair.east.address, 500))
    actions = pair.west.endpoint.step(DatagramReceived(*ends, octets), pair.world.now)
    assert any(said in one.message for one in actions if isinstance(one, Log)), actions


def test_a_flood_is_bounded_and_what_was_left_out_is_said() -> None:
    pair = _traced()
    endpoint, ends = pair.west.endpoint, (SocketAddress(pair.west.address, 500), SocketAddress(pair.east.address, 500))
    junk = DatagramReceived(*ends, bytes(27))
    told = [one for _ in range(4 * TRACE_BURST) for one in endpoint.step(junk, pair.world.now) if one.topic == IKE]  # type: ignore[union-attr]
    assert len(told) <= TRACE_BURST
    later = endpoint.step(junk, pair.world.now + 10**9)
    assert any("were too many to be told" in one.message for one in later if isinstance(one, Log))


def test_a_flood_does_not_hide_what_is_authentic() -> None:
    pair = _traced()
    pair.tell("west", Connect("east"))
    ends = (SocketAddress(pair.west.address, 500), SocketAddress(pair.east.address, 500))
    for _ in range(3 * TRACE_BURST):
        pair.west.endpoint.step(DatagramReceived(*ends, bytes(27)), pair.world.now)
    said = _said([line for line in pair.tell("east", RekeyRequested("west")) if " west says" in line])
    assert "  NOTIFY REKEY_SA about ESP SPI" in " ".join(said)
    assert pair.west.endpoint.status("east").state is PeerState.UP


def test_a_line_is_one_line_of_bounded_length() -> None:
    assert printable("a\nb\x1b[31m\u202e\x00") == "a?b?[31m??"
    assert printable("é ü") == "é ü"
    assert len(printable("x" * 100_000)) == MAX_LOG_LINE_CHARACTERS
