"""Reserved fields are sent as zero, and whatever stands in them changes nothing (RFC 7296 section 2.5)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert.identities import IdentityType
from culvert.wire.isakmp.auth import Authentication, AuthMethod
from culvert.wire.isakmp.header import HEADER_OCTETS, Header, read_header
from culvert.wire.isakmp.identification import IDi
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.message import emit_payloads, parse_payloads
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.isakmp.payload import Payload
from culvert.wire.isakmp.sa import Proposal, SecurityAssociation, TransformSubstructure
from culvert.wire.isakmp.ts import TrafficSelector, TSi

HEADER = Header(b"i" * 8, b"r" * 8, 0, ExchangeType.INFORMATIONAL, False, False, 7, HEADER_OCTETS)
FLAGS_AT, FLAGS_WITHOUT_MEANING, VERSION_FLAG = 19, 0b1100_0111, 0b0001_0000
TRANSFORM = TransformSubstructure(1, 20, 128)
SA = SecurityAssociation((Proposal(1, ProtocolId.ESP, b"abcd", (TRANSFORM, TRANSFORM)),))
SELECTOR = TrafficSelector(0, 0, 65_535, ip_address("10.0.0.0"), ip_address("10.0.0.255"))
RESERVED: list[tuple[Payload, dict[int, int]]] = [
    (Nonce(bytes(16)), {}),
    (SA, {5: 0xFF, 17: 0xFF, 21: 0xFF, 29: 0xFF, 33: 0xFF}),
    (KeyExchangePayload(31, bytes(32)), {6: 0xFF, 7: 0xFF}),
    (Authentication(AuthMethod.SHARED_KEY, bytes(32)), {5: 0xFF, 6: 0xFF, 7: 0xFF}),
    (TSi((SELECTOR,)), {5: 0xFF, 6: 0xFF, 7: 0xFF}),
]
"""Payloads with the octets in which they have reserved bits, counted from the payload's own header."""
NAMES = [type(payload).__name__ for payload, _ in RESERVED]


def _of_generic_header(places: dict[int, int]) -> dict[int, int]:
    return {1: 0x7F, **places}


@pytest.mark.parametrize(("payload", "places"), [*RESERVED, (IDi(IdentityType.FQDN, b"a"), {5: 255, 6: 255, 7: 255})])
def test_every_reserved_field_is_sent_as_zero(payload: Payload, places: dict[int, int]) -> None:
    octets = emit_payloads((payload,))
    assert [octets[at] & bits for at, bits in _of_generic_header(places).items()] == [0] * (len(places) + 1)
    assert HEADER.emit()[FLAGS_AT] & (FLAGS_WITHOUT_MEANING | VERSION_FLAG) == 0


@pytest.mark.parametrize(("payload", "places"), RESERVED, ids=NAMES)
def test_whatever_stands_in_a_reserved_field_changes_nothing(payload: Payload, places: dict[int, int]) -> None:
    octets = bytearray(emit_payloads((payload,)))
    for at, bits in _of_generic_header(places).items():
        octets[at] |= bits
    assert parse_payloads(payload.payload_type, bytes(octets)) == (payload,)


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("response", [True, False])
def test_flags_without_a_meaning_are_ignored(initiator: bool, response: bool) -> None:
    header = replace(HEADER, initiator=initiator, response=response)
    octets = bytearray(header.emit())
    octets[FLAGS_AT] |= FLAGS_WITHOUT_MEANING
    assert read_header(bytes(octets)) == header
