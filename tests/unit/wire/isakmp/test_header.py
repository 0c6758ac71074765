"""The IKE header."""

from __future__ import annotations

import pytest

from culvert.reasons import Refusal
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import Header, peek, read_header
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType

OCTETS = bytes.fromhex("0102030405060708 1112131415161718 21 20 22 08 00000000 0000001c")


def changed(at: int, value: int) -> bytes:
    return OCTETS[:at] + bytes((value,)) + OCTETS[at + 1 :]


def test_fields() -> None:
    header = peek(OCTETS)
    assert header == Header(
        spi_i=bytes(range(1, 9)),
        spi_r=bytes(range(0x11, 0x19)),
        next_payload=PayloadType.SA,
        exchange=ExchangeType.IKE_SA_INIT,
        initiator=True,
        response=False,
        message_id=0,
        length=28,
    )
    assert header.emit() == OCTETS


@pytest.mark.parametrize(
    ("flags", "seen"), [(0x00, (False, False, False)), (0x20, (False, False, True)), (0xD7, (False, True, False))]
)
def test_flags(flags: int, seen: tuple[bool, bool, bool]) -> None:
    header = peek(changed(19, flags))
    assert (header.initiator, header.version, header.response) == seen


def test_an_unknown_exchange_stays_a_number() -> None:
    assert peek(changed(18, 240)).exchange == 240


def test_minor_versions_are_ignored() -> None:
    assert peek(changed(17, 0x2F)).minor == 15


@pytest.mark.parametrize("version", [0x00, 0x10, 0x30, 0xF0])
def test_other_major_versions_are_named_before_anything_else_is_judged(version: int) -> None:
    with pytest.raises(ParseError) as caught:
        peek(changed(17, version) + b"trailing")
    assert caught.value.reason is Refusal.INVALID_MAJOR_VERSION
    assert read_header(changed(17, version)).major == version >> 4


@pytest.mark.parametrize("data", [OCTETS + b"\x00", changed(27, 27), changed(24, 0xFF), bytes(8) + OCTETS[8:]])
def test_a_wrong_length_and_an_empty_spi_are_refused(data: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        peek(data)
    assert caught.value.reason is Refusal.INVALID_SYNTAX


@pytest.mark.parametrize("end", range(28))
def test_every_shorter_datagram_is_refused(end: int) -> None:
    with pytest.raises(ParseError) as caught:
        peek(OCTETS[:end])
    assert caught.value.reason is Refusal.INVALID_SYNTAX
