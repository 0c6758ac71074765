"""Payloads one by one: octets written by hand from RFC 7296's figures, and what must be refused."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from culvert.identities import MAX_IDENTITY_OCTETS, Identity, IdentityType
from culvert.wire.isakmp.auth import Authentication, AuthMethod
from culvert.wire.isakmp.cert import Certificate, CertificateEncoding
from culvert.wire.isakmp.certreq import CertificateRequest
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.encrypted import EncryptedFragment
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.identification import IDi, IDr
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.limits import MAX_ATTRIBUTES, MAX_PROPOSALS, MAX_TRANSFORMS
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import PayloadType, ProtocolId
from culvert.wire.isakmp.payload import Payload, Unknown
from culvert.wire.isakmp.sa import Attribute, Proposal, SecurityAssociation, TransformSubstructure
from culvert.wire.isakmp.ts import TrafficSelector, TSi, TSr, UnknownSelector
from culvert.wire.isakmp.vendor_id import VendorId

IKE_PROPOSAL = "00000030 01010004 0300000c 01000014 800e0100 03000008 02000005 03000008 04000013 00000008 0400001f"
ESP_PROPOSAL = "0000001c 02030402 cafef00d 03000008 0100001c 00000008 05000000"
IPV4_RANGE = "07 00 0010 0000 ffff c0a80100 c0a801ff"
TRANSFORM = TransformSubstructure(1, 20, 128)

EXAMPLES: list[tuple[Payload, str]] = [
    (
        SecurityAssociation(
            (
                Proposal(
                    1,
                    ProtocolId.IKE,
                    b"",
                    (
                        TransformSubstructure(1, 20, 256),
                        TransformSubstructure(2, 5),
                        TransformSubstructure(4, 19),
                        TransformSubstructure(4, 31),
                    ),
                ),
            )
        ),
        "0000002c 01010004 0300000c 01000014 800e0100 03000008 02000005 03000008 04000013 00000008 0400001f",
    ),
    (
        SecurityAssociation(
            (
                Proposal(1, ProtocolId.ESP, bytes.fromhex("cafef00d"), (TransformSubstructure(1, 12, 128),)),
                Proposal(2, ProtocolId.ESP, bytes.fromhex("cafef00d"), (TransformSubstructure(1, 28),)),
            )
        ),
        "02000018 01030401 cafef00d 0000000c 0100000c 800e0080 00000014 02030401 cafef00d 00000008 0100001c",
    ),
    (KeyExchangePayload(31, b"\x01" * 32), "001f0000" + "01" * 32),
    (Nonce(b"\x02" * 16), "02" * 16),
    (IDi(IdentityType.IPV4_ADDR, bytes((192, 0, 2, 1))), "01000000 c0000201"),
    (IDr(IdentityType.FQDN, b"gw"), "02000000 6777"),
    (IDr(200, b"?", b"\x01\x02\x03"), "c8010203 3f"),
    (Authentication(AuthMethod.SHARED_KEY, b"\x03" * 32), "02000000" + "03" * 32),
    (Certificate(CertificateEncoding.X509_SIGNATURE, b"der"), "04 646572"),
    (CertificateRequest(CertificateEncoding.X509_SIGNATURE), "04"),
    (Notify(NotifyType.COOKIE, b"cookie"), "00004006 636f6f6b6965"),
    (Notify(NotifyType.REKEY_SA, b"", ProtocolId.ESP, b"\xca\xfe\xf0\x0d"), "03044009 cafef00d"),
    (Notify(40_960, b""), "0000a000"),
    (Delete(ProtocolId.IKE), "01000000"),
    (Delete(ProtocolId.ESP, (b"\x00\x00\x01\x00", b"\x00\x00\x01\x01")), "03040002 00000100 00000101"),
    (VendorId(b"Culvert"), "43756c76657274"),
    (
        TSi((TrafficSelector(0, 0, 65_535, ip_address("192.168.1.0"), ip_address("192.168.1.255")),)),
        "01000000" + IPV4_RANGE,
    ),
    (
        TSr((TrafficSelector(6, 443, 443, ip_address("2001:db8::"), ip_address("2001:db8::ffff")),)),
        "01000000 08 06 0028 01bb 01bb 20010db8000000000000000000000000 20010db800000000000000000000ffff",
    ),
    (Unknown(200, False, b"body"), "626f6479"),
]


@pytest.mark.parametrize(("value", "octets"), EXAMPLES, ids=lambda example: type(example).__name__)
def test_octets(value: Payload, octets: str) -> None:
    assert value.emit().hex() == bytes.fromhex(octets).hex()
    if not isinstance(value, Unknown):
        assert type(value).parse(value.emit()) == value  # type: ignore[attr-defined]


BAD: list[tuple[type, str, str]] = [
    (SecurityAssociation, "no proposal", ""),
    (SecurityAssociation, "proposal of length 0", "00000000 01010000"),
    (SecurityAssociation, "proposal of length 3", "00000003 01010000"),
    (SecurityAssociation, "proposal longer than the payload", IKE_PROPOSAL),
    (SecurityAssociation, "another proposal announced", "02000008 01010000"),
    (SecurityAssociation, "something behind the last proposal", "00000008 01010000 00"),
    (SecurityAssociation, "a proposal marked as a transform", "03000008 01010000"),
    (SecurityAssociation, "transform of length 0", "00000010 01010001 00000000 02000005"),
    (SecurityAssociation, "transform of length 4", "00000010 01010001 00000004 02000005"),
    (SecurityAssociation, "more transforms than announced", "00000018 01010001 03000008 02000005 00000008 02000006"),
    (SecurityAssociation, "something behind the last transform", "00000011 01010001 00000008 02000005 00"),
    (SecurityAssociation, "a transform behind the last", "00000018 01010002 00000008 02000005 00000008 02000006"),
    (SecurityAssociation, "the last transform announces another", "00000010 01010001 03000008 02000005"),
    (SecurityAssociation, "fewer transforms than announced", "00000010 01010002 00000008 02000005"),
    (SecurityAssociation, "SPI longer than the proposal", "00000008 0103ff00"),
    (SecurityAssociation, "SPI of 3 octets for ESP", "0000000b 01030300 aabbcc"),
    (SecurityAssociation, "SPI of 4 octets for IKE", "0000000c 01010400 aabbccdd"),
    (SecurityAssociation, "two key lengths", "00000018 01010001 00000010 01000014 800e0080 800e0100"),
    (SecurityAssociation, "attribute longer than the transform", "00000014 01010001 0000000c 01000014 000e0100"),
    (SecurityAssociation, "half an attribute", "00000012 01010001 0000000a 01000014 800e"),
    (KeyExchangePayload, "too short", "001f00"),
    (Nonce, "15 octets", "02" * 15),
    (Nonce, "257 octets", "02" * 257),
    (IDi, "too short", "010000"),
    (IDi, "IPv4 address of 5 octets", "01000000 c000020101"),
    (IDr, "IPv6 address of 4 octets", "05000000 c0000201"),
    (IDi, "too long", "0b000000" + "aa" * (MAX_IDENTITY_OCTETS + 1)),
    (Authentication, "too short", "020000"),
    (Certificate, "empty", ""),
    (CertificateRequest, "empty", ""),
    (Notify, "too short", "000040"),
    (Notify, "SPI longer than the payload", "03ff4009 cafef00d"),
    (Delete, "too short", "030400"),
    (Delete, "fewer SPIs than announced", "03040002 00000100"),
    (Delete, "more SPIs than announced", "03040001 00000100 00000101"),
    (Delete, "too many SPIs", "09011001" + "00" * 4097),
    (Delete, "an SPI for the IKE SA", "01080001 0000000000000001"),
    (Delete, "an SPI of 8 octets for ESP", "03080001 0000000000000001"),
    (TSi, "too short", "010000"),
    (TSi, "fewer selectors than announced", "02000000" + IPV4_RANGE),
    (TSi, "more selectors than announced", "00000000" + IPV4_RANGE),
    (TSi, "selector of length 0", "01000000 07 00 0000"),
    (TSi, "selector of length 3", "01000000 07 00 0003"),
    (TSi, "IPv4 range of the wrong length", "01000000 07 00 0014 0000 ffff c0a80100 c0a801ff 00000000"),
    (TSi, "IPv6 range with IPv4's length", "01000000" + IPV4_RANGE.replace("07", "08", 1)),
    (TSi, "addresses backwards", "01000000 07 00 0010 0000 ffff c0a801ff c0a80100"),
    (EncryptedFragment, "too short", "000100"),
    (EncryptedFragment, "number 0", "00000001"),
    (EncryptedFragment, "number above the total", "00020001"),
    (EncryptedFragment, "total 0", "00000000"),
]


@pytest.mark.parametrize(("kind", "why", "octets"), BAD, ids=lambda case: case if " " in str(case) else None)
def test_refused(kind: type, why: str, octets: str) -> None:
    body = bytes.fromhex(octets)
    with pytest.raises(ParseError):
        kind.parse(*((33, body) if kind is EncryptedFragment else (body,)))  # type: ignore[attr-defined]


def test_a_proposal_may_have_no_transforms_and_be_found_wanting_later() -> None:
    assert SecurityAssociation.parse(bytes.fromhex("00000008 01010000")).proposals[0].transforms == ()


def test_unknown_attributes_are_kept_for_the_judge() -> None:
    body = bytes.fromhex("00000020 01010001 00000018 01000014 000f0004 aabbccdd 800e0080 90010005")
    (transform,) = SecurityAssociation.parse(body).proposals[0].transforms
    assert transform.key_length == 128
    assert transform.unknown_attributes == (Attribute(15, b"\xaa\xbb\xcc\xdd"), Attribute(0x9001, b"\x00\x05"))


def test_more_of_everything_than_is_allowed_is_refused() -> None:
    one = Proposal(1, ProtocolId.IKE, b"", (TRANSFORM,))
    full = Proposal(1, ProtocolId.IKE, b"", (TRANSFORM,) * 255)
    assert SecurityAssociation((one,) * MAX_PROPOSALS)
    for proposals in ((one,) * (MAX_PROPOSALS + 1), (full,) * (MAX_TRANSFORMS // 255 + 1)):
        with pytest.raises(ParseError):
            SecurityAssociation(proposals)
        body = b"".join(each.emit(at == len(proposals)) for at, each in enumerate(proposals, 1))
        with pytest.raises(ParseError):
            SecurityAssociation.parse(body)
    with pytest.raises(ParseError):
        TransformSubstructure(1, 20, 128, (Attribute(15, b""),) * (MAX_ATTRIBUTES + 1))


def test_an_identification_knows_its_identity() -> None:
    identity = Identity.parse("gw.example.org")
    assert IDr.of(identity).identity == identity
    assert IDi.parse(bytes.fromhex("c8000000 61")).identity is None
    assert IDi(IdentityType.FQDN, b"a") != IDr(IdentityType.FQDN, b"a")


def test_reserved_octets_of_an_identification_are_kept_for_the_signature() -> None:
    body = bytes.fromhex("02010203 6777")
    assert IDi.parse(body).emit() == body


def test_ports_are_taken_as_they_come() -> None:
    opaque = TSi.parse(bytes.fromhex("01000000 07 00 0010 ffff 0000 c0a80100 c0a801ff")).selectors[0]
    icmp = TSi.parse(bytes.fromhex("01000000 07 01 0010 0800 08ff c0a80100 c0a801ff")).selectors[0]
    assert isinstance(opaque, TrafficSelector)
    assert isinstance(icmp, TrafficSelector)
    assert opaque.opaque
    assert (icmp.protocol, icmp.start_port, icmp.end_port, icmp.opaque) == (1, 0x0800, 0x08FF, False)


def test_selectors_of_unknown_types_are_left_to_narrowing() -> None:
    body = bytes.fromhex("02000000 0a 00 0008 6c6f6f6b" + IPV4_RANGE)
    parsed = TSr.parse(body)
    assert parsed.selectors[0] == UnknownSelector(10, 0, b"look")
    assert parsed.emit() == body
    with pytest.raises(ParseError):
        UnknownSelector(7, 0, b"")


def test_a_delete_that_counts_the_ike_sa_is_understood() -> None:
    assert Delete.parse(bytes.fromhex("01000001")) == Delete(ProtocolId.IKE)


def test_errors_and_statuses() -> None:
    assert Notify(NotifyType.NO_PROPOSAL_CHOSEN).is_error
    assert Notify(8192).is_error
    assert not Notify(NotifyType.INITIAL_CONTACT).is_error


def test_a_later_fragment_names_no_payload() -> None:
    body = bytes.fromhex("00020003 aabb")
    assert EncryptedFragment.parse(PayloadType.IDI, body) == EncryptedFragment(0, 2, 3, b"\xaa\xbb")
    assert EncryptedFragment.parse(PayloadType.IDI, b"\x00\x01" + body[2:]).first_payload == PayloadType.IDI


@pytest.mark.parametrize(
    "build",
    [
        lambda: Delete(ProtocolId.ESP, (b"",)),
        lambda: Delete(9, (b"a", b"bb")),
        lambda: Delete(ProtocolId.ESP, (b"spi!",) * 4097),
        lambda: Unknown(0, False, b""),
        lambda: IDi(IdentityType.FQDN, b"a", b""),
        lambda: KeyExchangePayload(65_536, b"").emit(),
        lambda: Notify(NotifyType.COOKIE, spi=bytes(256)).emit(),
        lambda: TSi((UnknownSelector(1, 0, b""),) * 256).emit(),
        lambda: TransformSubstructure(1, 20, 65_536).emit(True),
        lambda: Attribute(0x8000 | 99, b"abc").emit(),
    ],
)
def test_values_that_have_no_octets_are_refused(build: object) -> None:
    with pytest.raises(ParseError):
        build()  # type: ignore[operator]
