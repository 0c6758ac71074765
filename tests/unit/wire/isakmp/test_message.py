"""Chains of payloads and whole messages."""

from __future__ import annotations

import pytest

from culvert.reasons import Refusal
from culvert.wire.isakmp.encrypted import Encrypted, EncryptedFragment, encrypted_prefix
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import Header
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.limits import MAX_PAYLOADS
from culvert.wire.isakmp.message import Message, emit_message, emit_payloads, parse_message, parse_payloads
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType
from culvert.wire.isakmp.payload import Payload, Unknown
from culvert.wire.isakmp.vendor_id import VendorId


def message(*payloads: Payload) -> Message:
    return Message(b"i" * 8, b"r" * 8, ExchangeType.IKE_SA_INIT, True, False, 0, payloads)


def test_a_message_by_hand() -> None:
    octets = bytes.fromhex("69" * 8 + "72" * 8 + "28 20 22 08 00000000 0000003c 2b000014" + "02" * 16 + "0000000c")
    octets += b"Culverts"
    assert emit_message(message(Nonce(b"\x02" * 16), VendorId(b"Culverts"))) == octets
    assert parse_message(octets) == message(Nonce(b"\x02" * 16), VendorId(b"Culverts"))


def test_a_message_without_payloads() -> None:
    assert parse_message(emit_message(message())) == message()
    assert message().encrypted is None


def test_the_encrypted_payload_names_the_first_payload_inside() -> None:
    sealed = Encrypted(PayloadType.IDI, b"iv and so on")
    octets = emit_message(message(sealed))
    assert octets[16] == PayloadType.SK
    assert octets[28] == PayloadType.IDI
    assert parse_message(octets).encrypted == sealed
    assert octets.index(b"iv and so on") == len(octets) - len(sealed.body)


def test_the_prefix_is_what_a_whole_message_begins_with() -> None:
    sealed = Encrypted(PayloadType.IDI, b"iv and so on")
    octets = emit_message(message(VendorId(b"x"), sealed))
    assert parse_message(octets).encrypted == sealed
    header = Header(b"i" * 8, b"r" * 8, 0, ExchangeType.IKE_SA_INIT, True, False, 0, 0)
    prefix = encrypted_prefix(header, PayloadType.IDI, len(sealed.body))
    assert prefix + sealed.body == emit_message(message(sealed))


def test_fragments() -> None:
    fragment = EncryptedFragment(PayloadType.IDI, 1, 2, b"part")
    octets = emit_message(message(fragment))
    assert octets[16] == 53
    assert octets[28:] == bytes.fromhex("2300000c 00010002") + b"part"
    assert parse_message(octets).encrypted == fragment


@pytest.mark.parametrize("critical", [True, False])
def test_unknown_payloads_are_kept_with_their_critical_bit(critical: bool) -> None:
    value = message(Unknown(200, critical, b"body"), Nonce(bytes(16)))
    assert parse_message(emit_message(value)) == value


def test_the_critical_bit_of_a_known_payload_says_nothing() -> None:
    assert parse_payloads(PayloadType.NONCE, b"\x00\x80\x00\x14" + bytes(16)) == (Nonce(bytes(16)),)


def test_nothing_may_follow_the_encrypted_payload() -> None:
    with pytest.raises(ParseError):
        emit_message(message(Encrypted(0, b"body"), Nonce(bytes(16))))
    octets = bytearray(emit_message(message(Encrypted(0, b"body"))))
    octets += b"\x00\x00\x00\x04"
    octets[27] = len(octets)
    with pytest.raises(ParseError):
        parse_message(bytes(octets))


@pytest.mark.parametrize("kind", [PayloadType.SK, PayloadType.SKF])
def test_no_encrypted_payload_inside_another(kind: int) -> None:
    with pytest.raises(ParseError, match="inside another"):
        parse_payloads(kind, b"\x00\x00\x00\x0c\x00\x01\x00\x01body")


def test_as_many_payloads_as_allowed_and_one_more() -> None:
    chain = (VendorId(b""),) * MAX_PAYLOADS
    octets = emit_payloads(chain)
    assert parse_payloads(PayloadType.VENDOR_ID, octets) == chain
    with pytest.raises(ParseError, match="more than 64"):
        parse_payloads(PayloadType.VENDOR_ID, b"\x2b\x00\x00\x04" + octets)
    with pytest.raises(ParseError, match="65 payloads"):
        emit_payloads((*chain, VendorId(b"")))


@pytest.mark.parametrize(
    "data",
    ["", "00", "000000", "00000000", "00000003", "2b000004", "0000000400", "00000008 6162"],
)
def test_chains_that_do_not_fit_are_refused(data: str) -> None:
    octets = bytes.fromhex(data)
    with pytest.raises(ParseError) as caught:
        parse_payloads(PayloadType.VENDOR_ID, octets)
    assert caught.value.reason is Refusal.INVALID_SYNTAX


def test_octets_behind_an_empty_chain_are_refused() -> None:
    with pytest.raises(ParseError):
        parse_payloads(PayloadType.NONE, b"\x00")


def test_payloads_of_ikev1_are_not_known_here() -> None:
    """IKEv1's numbers (SA 1, KE 4, nonce 10) are no payloads of this version, whatever they hold (CVE-2015-3991)."""
    octets = emit_payloads((Unknown(1, False, bytes(8)), Unknown(4, False, bytes(8)), Unknown(10, False, bytes(16))))
    assert all(isinstance(one, Unknown) for one in parse_payloads(1, octets))


def test_a_message_longer_than_a_datagram_is_refused() -> None:
    with pytest.raises(ParseError):
        emit_message(message(VendorId(bytes(65_540))))
    with pytest.raises(ParseError, match="a message of"):
        emit_message(message(KeyExchangePayload(31, bytes(40_000)), VendorId(bytes(40_000))))
