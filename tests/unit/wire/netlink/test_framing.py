"""Framing: lengths are judged, and every loop advances."""

from __future__ import annotations

import struct

import pytest

from culvert.wire.netlink.framing import (
    MAX_DATAGRAM_OCTETS,
    NLM_F_ACK,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Acknowledgement,
    Message,
    ParseError,
    acknowledge,
    dump_done,
    emit_attribute,
    pack,
    parse_acknowledgement,
    parse_attributes,
    parse_messages,
)


def header(length: int, kind: int = 0x10) -> bytes:
    return struct.pack("=IHHII", length, kind, 0, 1, 0)


def test_a_message_is_its_header_body_and_padding() -> None:
    octets = Message(0x401, NLM_F_REQUEST | NLM_F_ACK, 7, 9, b"abcde").emit()
    assert octets == struct.pack("=IHHII", 21, 0x401, 5, 7, 9) + b"abcde\0\0\0"


def test_messages_of_one_datagram_come_in_order_and_the_last_may_lack_its_padding() -> None:
    first, second = Message(1, body=b"a"), Message(2, body=b"bc")
    assert parse_messages((first.emit() + second.emit())[:-2]) == [first, second]
    assert parse_messages(b"") == []


@pytest.mark.parametrize(
    ("datagram", "why"),
    [
        (header(16)[:15], "15 octets are too few for a message header"),
        (header(15), "says 15 octets"),
        (header(0), "says 0 octets"),
        (header(17), "says 17 octets where 16 are left"),
        (header(16) + b"\0\0", "2 octets are too few"),
        (bytes(MAX_DATAGRAM_OCTETS + 1), "longer than 32768"),
    ],
)
def test_wrong_lengths_of_messages_are_refused(datagram: bytes, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        parse_messages(datagram)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"\x04\0\x01", "3 octets are too few"),
        (struct.pack("=HH", 3, 1), "attribute 1 says 3 octets"),
        (struct.pack("=HH", 0, 1), "attribute 1 says 0 octets"),
        (struct.pack("=HH", 9, 1) + bytes(4), "says 9 octets where 8 are left"),
        (emit_attribute(5, b"a") + emit_attribute(5, b"b"), "attribute 5 comes twice"),
    ],
)
def test_wrong_attributes_are_refused(octets: bytes, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        parse_attributes(octets)


def test_attributes_are_read_and_what_is_ignored_may_come_often() -> None:
    octets = emit_attribute(27, b"") + emit_attribute(0x4001, b"abc") + emit_attribute(27, b"")
    assert parse_attributes(octets, frozenset({27})) == {0x4001: b"abc"}


def test_an_attribute_longer_than_its_length_field_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="fits no attribute"):
        emit_attribute(1, bytes(65_532))


def test_messages_are_packed_into_as_few_datagrams_as_fit() -> None:
    messages = [Message(1, sequence=number, body=bytes(10_000)) for number in range(7)]
    datagrams = pack(messages)
    assert [len(parse_messages(datagram)) for datagram in datagrams] == [3, 3, 1]
    assert [message for datagram in datagrams for message in parse_messages(datagram)] == messages
    with pytest.raises(ValueError, match="fits no datagram"):
        pack([Message(1, body=bytes(MAX_DATAGRAM_OCTETS))])


def test_an_acknowledgement_carries_errno_and_sentence() -> None:
    request = Message(0x10, NLM_F_REQUEST | NLM_F_ACK, 5, 6, b"body")
    answer = acknowledge(request, 17, "there is one")
    assert (answer.type, answer.sequence, answer.flags) == (NLMSG_ERROR, 5, 0x300)
    assert parse_acknowledgement(answer) == Acknowledgement(17, "there is one")
    assert parse_acknowledgement(acknowledge(request)) == Acknowledgement(0)


def test_the_end_of_a_dump_is_an_acknowledgement_too() -> None:
    assert parse_acknowledgement(dump_done(Message(0x12))) == Acknowledgement(0)
    assert parse_acknowledgement(Message(NLMSG_DONE)) == Acknowledgement(0)


@pytest.mark.parametrize("body", [b"", b"\0\0\0", struct.pack("=i", 1)])
def test_a_wrong_acknowledgement_is_refused(body: bytes) -> None:
    with pytest.raises(ParseError):
        parse_acknowledgement(Message(NLMSG_ERROR, body=body))


def test_a_body_is_not_printed() -> None:
    assert "secret" not in repr(Message(0x10, body=b"secret"))
