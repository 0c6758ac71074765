"""Whatever arrives: IKE messages parse or raise ParseError, quickly; what is written reads back the same."""

from __future__ import annotations

import contextlib
import time
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from culvert.addresses import IPAddress
from culvert.crypto.encryption import IkeCipher, protect, protected_length, unprotect
from culvert.crypto.errors import NotAuthentic
from culvert.crypto.transforms import ENCRYPTION, INTEGRITY
from culvert.identities import IdentityType
from culvert.wire.isakmp.auth import Authentication, AuthMethod
from culvert.wire.isakmp.cert import Certificate, CertificateEncoding
from culvert.wire.isakmp.certreq import CertificateRequest
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.encrypted import Encrypted, EncryptedFragment, encrypted_prefix
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import Header, peek, read_header
from culvert.wire.isakmp.identification import IDi, IDr
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.limits import MAX_MESSAGE_OCTETS
from culvert.wire.isakmp.message import (
    Message,
    emit_message,
    emit_payloads,
    first_payload,
    parse_message,
    parse_payloads,
)
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType, ProtocolId, known
from culvert.wire.isakmp.payload import Payload, Unknown
from culvert.wire.isakmp.sa import Attribute, Proposal, SecurityAssociation, TransformSubstructure
from culvert.wire.isakmp.ts import TrafficSelector, TSi, TSr, UnknownSelector
from culvert.wire.isakmp.vendor_id import VendorId

patient = settings(deadline=None)
"""A busy machine is no failure; what must be quick is measured in processor time below."""
KNOWN_TYPES = [kind for kind in PayloadType if kind not in (PayloadType.NONE, PayloadType.CP, PayloadType.EAP)]
OCTET, SHORT = st.integers(0, 255), st.integers(0, 65_535)
BODY = st.binary(max_size=64)
SPI = st.binary(min_size=8, max_size=8)


def ranges(kind: type[IPv4Address] | type[IPv6Address], bits: int) -> st.SearchStrategy[tuple[IPAddress, IPAddress]]:
    ends = st.lists(st.integers(0, (1 << bits) - 1), min_size=2, max_size=2).map(sorted)
    return ends.map(lambda pair: (kind(pair[0]), kind(pair[1])))


attributes = st.one_of(
    st.builds(Attribute, st.integers(0, 0x7FFF), st.binary(max_size=8)),
    st.builds(
        Attribute, st.integers(0x8000, 0xFFFF).filter(lambda kind: kind != 0x800E), st.binary(min_size=2, max_size=2)
    ),
)
transforms = st.builds(
    TransformSubstructure, OCTET, SHORT, st.none() | SHORT, st.lists(attributes, max_size=3).map(tuple)
)
proposals = st.one_of(
    st.builds(
        Proposal, OCTET, st.just(ProtocolId.IKE), st.just(b"") | SPI, st.lists(transforms, max_size=5).map(tuple)
    ),
    st.builds(
        Proposal,
        OCTET,
        st.sampled_from([ProtocolId.AH, ProtocolId.ESP]),
        st.binary(min_size=4, max_size=4),
        st.lists(transforms, max_size=5).map(tuple),
    ),
    st.builds(Proposal, OCTET, st.integers(4, 255), st.binary(max_size=20), st.just(())),
)
selectors = st.one_of(
    st.builds(
        lambda protocol, start, end, pair: TrafficSelector(protocol, start, end, *pair),
        OCTET,
        SHORT,
        SHORT,
        ranges(IPv4Address, 32) | ranges(IPv6Address, 128),
    ),
    st.builds(UnknownSelector, OCTET.filter(lambda kind: kind not in (7, 8)), OCTET, BODY),
)
identifications = st.one_of(
    st.tuples(st.just(IdentityType.IPV4_ADDR), st.binary(min_size=4, max_size=4)),
    st.tuples(st.just(IdentityType.IPV6_ADDR), st.binary(min_size=16, max_size=16)),
    st.tuples(OCTET.filter(lambda kind: kind not in (1, 5)).map(lambda kind: known(IdentityType, kind)), BODY),
)
reserved = st.binary(min_size=3, max_size=3)
deletes = st.one_of(
    st.just(Delete(ProtocolId.IKE)),
    st.builds(
        Delete,
        st.sampled_from([ProtocolId.AH, ProtocolId.ESP]),
        st.lists(st.binary(min_size=4, max_size=4), max_size=9).map(tuple),
    ),
    st.builds(Delete, st.integers(4, 255), st.lists(SPI, max_size=9).map(tuple)),
)
payloads: st.SearchStrategy[Payload] = st.one_of(
    st.lists(proposals, min_size=1, max_size=5).map(lambda each: SecurityAssociation(tuple(each))),
    st.builds(KeyExchangePayload, SHORT, BODY),
    st.builds(Nonce, st.binary(min_size=16, max_size=256)),
    st.builds(lambda identity, rest: IDi(*identity, rest), identifications, reserved),
    st.builds(lambda identity, rest: IDr(*identity, rest), identifications, reserved),
    st.builds(Authentication, OCTET.map(lambda kind: known(AuthMethod, kind)), BODY),
    st.builds(Certificate, OCTET.map(lambda kind: known(CertificateEncoding, kind)), BODY),
    st.builds(CertificateRequest, OCTET.map(lambda kind: known(CertificateEncoding, kind)), BODY),
    st.builds(
        Notify,
        SHORT.map(lambda kind: known(NotifyType, kind)),
        BODY,
        OCTET.map(lambda kind: known(ProtocolId, kind)),
        st.binary(max_size=255),
    ),
    deletes,
    st.builds(VendorId, BODY),
    st.lists(selectors, max_size=6).map(lambda each: TSi(tuple(each))),
    st.lists(selectors, max_size=6).map(lambda each: TSr(tuple(each))),
    st.builds(Unknown, st.integers(1, 255).filter(lambda kind: kind not in KNOWN_TYPES), st.booleans(), BODY),
)
sealed: st.SearchStrategy[Payload] = st.one_of(
    st.builds(Encrypted, OCTET, BODY),
    st.builds(
        lambda kind, number, more, body: EncryptedFragment(kind if number == 1 else 0, number, number + more, body),
        OCTET,
        st.integers(1, 100),
        st.integers(0, 100),
        BODY,
    ),
)
chains = st.lists(payloads, max_size=12).map(tuple)
messages = st.builds(
    lambda spi_i, spi_r, exchange, flags, message_id, chain, last, minor: Message(
        spi_i,
        spi_r,
        known(ExchangeType, exchange),
        flags[0],
        flags[1],
        message_id,
        chain + last,
        flags[2],
        minor,
    ),
    SPI.filter(any),
    SPI,
    OCTET,
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.integers(0, (1 << 32) - 1),
    chains,
    st.lists(sealed, max_size=1).map(tuple),
    st.integers(0, 15),
)


@patient
@given(messages)
def test_a_message_reads_back_the_same(message: Message) -> None:
    assert parse_message(emit_message(message)) == message


@patient
@given(chains)
def test_a_chain_reads_back_the_same(chain: tuple[Payload, ...]) -> None:
    assert parse_payloads(first_payload(chain), emit_payloads(chain)) == chain


@patient
@given(st.binary(max_size=200))
def test_any_datagram_is_read_or_refused(data: bytes) -> None:
    for read in (read_header, peek, parse_message):
        with contextlib.suppress(ParseError):
            read(data)


@patient
@given(st.sampled_from(KNOWN_TYPES), st.binary(max_size=200))
def test_any_body_of_any_payload_is_read_or_refused(kind: int, body: bytes) -> None:
    """What can be read can be written, and then reads the same."""
    data = b"\x00\x00" + (4 + len(body)).to_bytes(2, "big") + body
    try:
        chain = parse_payloads(kind, data, sealed=False)
    except ParseError:
        return
    assert parse_payloads(kind, emit_payloads(chain), sealed=False) == chain


@patient
@given(messages, st.lists(st.tuples(st.integers(min_value=0), OCTET), min_size=1, max_size=4))
def test_a_damaged_message_is_read_or_refused(message: Message, damage: list[tuple[int, int]]) -> None:
    data = bytearray(emit_message(message))
    for at, value in damage:
        data[28 + at % (len(data) - 28) if len(data) > 28 else 0] = value
    with contextlib.suppress(ParseError):
        assert isinstance(parse_message(bytes(data)), Message)


@patient
@given(messages, st.integers(min_value=0))
def test_a_cut_message_is_refused(message: Message, end: int) -> None:
    data = emit_message(message)
    with pytest.raises(ParseError):
        parse_message(data[: end % len(data)])


@patient
@given(
    chains,
    st.sampled_from([one for one in ENCRYPTION if one.ike]),
    st.sampled_from([one for one in INTEGRITY if one.ike]),
    st.data(),
)
def test_a_sealed_message_opens_and_a_damaged_one_does_not(
    chain: tuple[Payload, ...], encryption: object, integrity: object, data: st.DataObject
) -> None:
    chosen = next(one for one in ENCRYPTION if one is encryption)
    paired = None if chosen.aead else next(one for one in INTEGRITY if one is integrity)
    cipher = IkeCipher(
        chosen, paired, b"k" * (chosen.key_octets + chosen.salt_octets), b"a" * (paired.key_octets if paired else 0)
    )
    inner = emit_payloads(chain)
    header = Header(b"i" * 8, b"r" * 8, 0, ExchangeType.INFORMATIONAL, True, False, 1, 0)
    prefix = encrypted_prefix(header, first_payload(chain), protected_length(cipher, len(inner)))
    datagram = protect(cipher, prefix, bytes(cipher.iv_octets), inner)
    outer = parse_message(datagram).encrypted
    assert isinstance(outer, Encrypted)
    opened = unprotect(cipher, datagram, len(datagram) - len(outer.body))
    assert parse_payloads(outer.first_payload, opened) == chain
    forged = bytearray(datagram)
    forged[data.draw(st.integers(0, len(datagram) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(NotAuthentic):
        unprotect(cipher, bytes(forged), len(datagram) - len(outer.body))


ROOM = MAX_MESSAGE_OCTETS - 28 - 4
"""What one payload can hold in the longest message."""


def _length(octets: int) -> bytes:
    return octets.to_bytes(2, "big")


def _one_proposal(transforms: bytes, count: int) -> bytes:
    return b"\x00\x00" + _length(8 + len(transforms)) + bytes((1, 1, 0, count)) + transforms


def _one_transform(attributes: bytes) -> bytes:
    return b"\x00\x00" + _length(8 + len(attributes)) + b"\x01\x00\x00\x14" + attributes


HOSTILE = {
    "proposals": (PayloadType.SA, bytes.fromhex("0200000801010000") * (ROOM // 8)),
    "full proposals": (PayloadType.SA, (b"\x02" + _one_proposal(_one_transform(b""), 1)[1:]) * (ROOM // 16)),
    "transforms": (PayloadType.SA, _one_proposal(bytes.fromhex("0300000801000014") * 8000, 255)),
    "attributes": (PayloadType.SA, _one_proposal(_one_transform(bytes.fromhex("000f0000") * 16_000), 1)),
    "deleted SPIs": (PayloadType.DELETE, b"\x03\x04" + _length(4096) + bytes(4 * 4096)),
    "deleted SPIs of one octet": (PayloadType.DELETE, b"\x09\x01" + _length(4096) + bytes(4096)),
    "deleted SPIs of none": (PayloadType.DELETE, b"\x09\x00\xff\xff"),
    "selectors": (PayloadType.TSI, b"\xff\x00\x00\x00" + bytes.fromhex("09000004") * 255),
    "IPv6 selectors": (PayloadType.TSR, b"\xff\x00\x00\x00" + (bytes.fromhex("08000028") + bytes(36)) * 255),
    "payloads": (PayloadType.VENDOR_ID, bytes(ROOM)),
    "notification": (PayloadType.NOTIFY, bytes(ROOM)),
    "payload of itself": (200, bytes.fromhex("c8000004") * (ROOM // 4)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_longest_hostile_messages_take_no_time(name: str) -> None:
    kind, body = HOSTILE[name]
    chain = b"\x00\x00" + _length(4 + len(body)) + body
    data = Header(b"i" * 8, bytes(8), kind, 34, True, False, 0, 28 + len(chain)).emit() + chain
    start = time.process_time()
    with contextlib.suppress(ParseError):
        parse_message(data)
    assert time.process_time() - start < 0.25


@pytest.mark.parametrize("following", [PayloadType.VENDOR_ID, 200])
def test_the_longest_chain_of_empty_payloads_takes_no_time(following: int) -> None:
    chain = bytes((following, 0, 0, 4)) * 16_000
    data = Header(b"i" * 8, bytes(8), following, 34, True, False, 0, 28 + len(chain)).emit() + chain
    start = time.process_time()
    with pytest.raises(ParseError, match="more than 64 payloads"):
        parse_message(data)
    assert time.process_time() - start < 0.25
