"""Each payload as a line for people; of what proves or protects, only the length."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from culvert.crypto.transforms import BY_NAME, TransformType
from culvert.identities import Identity
from culvert.ike import nat, words
from culvert.ike.v2 import rendering
from culvert.wire.isakmp.auth import Authentication, AuthMethod
from culvert.wire.isakmp.cert import Certificate, CertificateEncoding
from culvert.wire.isakmp.certreq import CertificateRequest
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.encrypted import Encrypted, EncryptedFragment
from culvert.wire.isakmp.identification import IDi, IDr
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ProtocolId
from culvert.wire.isakmp.payload import Payload, Unknown
from culvert.wire.isakmp.sa import Attribute, Proposal, SecurityAssociation, TransformSubstructure
from culvert.wire.isakmp.ts import TrafficSelector, TSi, TSr, UnknownSelector
from culvert.wire.isakmp.vendor_id import VendorId

SECRET = bytes(range(160, 192))


def _selector(start: str, end: str, protocol: int = 0, ports: tuple[int, int] = (0, 65_535)) -> TrafficSelector:
    return TrafficSelector(protocol, *ports, ip_address(start), ip_address(end))


CASES: dict[str, tuple[Payload, str]] = {
    "ke": (KeyExchangePayload(31, bytes(32)), "KE x25519, 32 octets"),
    "ke of a group that is not done here": (KeyExchangePayload(2, bytes(128)), "KE modp1024, 128 octets"),
    "ke of nobody knows what": (KeyExchangePayload(999, b""), "KE ke999, 0 octets"),
    "nonce": (Nonce(SECRET), "NONCE 32 octets"),
    "idi": (IDi.of(Identity.parse("gw.example.org")), "IDi FQDN gw.example.org"),
    "idr": (IDr.of(Identity.parse("2001:db8::1")), "IDr IPV6_ADDR 2001:db8::1"),
    "id of a strange type": (IDi(77, b"\x01\x02"), "IDi 77 0102"),
    "auth": (Authentication(AuthMethod.SHARED_KEY, SECRET), "AUTH SHARED_KEY, 32 octets"),
    "auth of a strange method": (Authentication(201, SECRET), "AUTH 201, 32 octets"),
    "certreq": (
        CertificateRequest(CertificateEncoding.X509_SIGNATURE, bytes(20)),
        f"CERTREQ X509_SIGNATURE for {'00' * 20}",
    ),
    "certreq for any": (CertificateRequest(CertificateEncoding.X509_SIGNATURE), "CERTREQ X509_SIGNATURE for any"),
    "cert that is none": (
        Certificate(CertificateEncoding.X509_SIGNATURE, b"0"),
        "CERT X509_SIGNATURE, 1 octets: no certificate that can be read: a value without its length",
    ),
    "cert": (Certificate(CertificateEncoding.CRL, bytes(9)), "CERT CRL, 9 octets"),
    "delete of children": (
        Delete(ProtocolId.ESP, (b"\0\0\1\0", b"\0\0\1\1")),
        "DELETE ESP SPIs 0x00000100, 0x00000101",
    ),
    "delete of the IKE SA": (Delete(ProtocolId.IKE), "DELETE the IKE SA"),
    "delete of nothing": (Delete(ProtocolId.ESP), "DELETE ESP SPIs none"),
    "vendor": (VendorId(nat.VENDOR_ID), "VENDOR_ID Culvert"),
    "vendor that can be read": (VendorId(b"FRAG"), "VENDOR_ID 46524147 (FRAG)"),
    "vendor that cannot": (VendorId(b"\x1b[2J"), "VENDOR_ID 1b5b324a"),
    "sk": (Encrypted(0, bytes(40)), "SK 40 octets"),
    "skf": (EncryptedFragment(0, 2, 3, bytes(40)), "SKF 2 of 3, 40 octets"),
    "unknown": (Unknown(200, True, bytes(7)), "payload of type 200, critical, 7 octets"),
    "configuration": (Unknown(47, False, bytes(7)), "CP, 7 octets"),
    "ts": (
        TSi((_selector("10.1.0.0", "10.1.255.255"), _selector("10.2.0.9", "10.2.0.9", 6, (443, 443)))),
        "TSi 10.1.0.0/16, 10.2.0.9/32[6/443]",
    ),
    "ts that are no networks": (
        TSr((_selector("10.1.0.1", "10.1.0.9", 0, (1, 9)), _selector("::", "::", 17, (65_535, 0)))),
        "TSr 10.1.0.1-10.1.0.9[any/1-9], ::/128[17/opaque]",
    ),
    "ts of a strange type": (TSi((UnknownSelector(9, 0, bytes(3)),)), "TSi selector of type 9"),
    "ts none": (TSi(()), "TSi none"),
    "ts many": (
        TSi((_selector("10.1.0.1", "10.1.0.1"),) * 20),
        f"TSi {', '.join(['10.1.0.1/32'] * 16)} and 4 more",
    ),
    "notify": (Notify(NotifyType.INITIAL_CONTACT), "NOTIFY INITIAL_CONTACT"),
    "notify of private use": (Notify(40_970, SECRET), "NOTIFY 40970: 32 octets"),
    "notify about": (
        Notify(NotifyType.REKEY_SA, b"", ProtocolId.ESP, b"\0\0\1\0"),
        "NOTIFY REKEY_SA about ESP SPI 0x00000100",
    ),
    "notify a group": (Notify(NotifyType.INVALID_KE_PAYLOAD, b"\0\x0e"), "NOTIFY INVALID_KE_PAYLOAD: modp2048"),
    "notify no group": (Notify(NotifyType.INVALID_KE_PAYLOAD, b"\0"), "NOTIFY INVALID_KE_PAYLOAD: 1 octets"),
    "notify hashes": (
        Notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, b"\0\2\0\5\0\x63"),
        "NOTIFY SIGNATURE_HASH_ALGORITHMS: sha256, identity, 99",
    ),
    "notify an address": (
        Notify(NotifyType.ADDITIONAL_IP4_ADDRESS, b"\x0a\0\0\1"),
        "NOTIFY ADDITIONAL_IP4_ADDRESS: 10.0.0.1",
    ),
    "notify a critical payload": (
        Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, b"\xc8"),
        "NOTIFY UNSUPPORTED_CRITICAL_PAYLOAD: payload type 200",
    ),
    "a token is for one alone": (
        Notify(NotifyType.QUICK_CRASH_DETECTION, SECRET),
        "NOTIFY QUICK_CRASH_DETECTION: 32 octets",
    ),
    "a cookie too": (Notify(NotifyType.COOKIE, SECRET), "NOTIFY COOKIE: 32 octets"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_payload_is_a_line(case: str) -> None:
    payload, expected = CASES[case]
    assert rendering.lines([payload]) == [expected]
    assert SECRET.hex() not in expected


def test_an_sa_payload_has_a_line_for_each_proposal() -> None:
    known = (
        TransformSubstructure(TransformType.ENCR, 20, 128),
        TransformSubstructure(TransformType.PRF, 5),
        TransformSubstructure(TransformType.KE, 31),
    )
    strange = (
        TransformSubstructure(TransformType.ENCR, 7, 128),
        TransformSubstructure(TransformType.ENCR, 500),
        TransformSubstructure(TransformType.PRF, 2, None, (Attribute(1, b"x"),)),
        TransformSubstructure(TransformType.INTEG, 99),
        TransformSubstructure(9, 36),
    )
    offered = SecurityAssociation((Proposal(1, ProtocolId.IKE, b"", known), Proposal(2, 77, b"\xab\xcd", strange)))
    assert rendering.lines([offered]) == [
        "SA proposal 1: IKE aes128gcm16-prfsha256-x25519",
        "SA proposal 2: 77 SPI 0xabcd blowfish:128-encryption500-integrity99-prfsha1?-type9:36",
    ]


def test_a_message_of_nothing_says_so() -> None:
    assert rendering.lines(()) == ["nothing"]


def test_the_lines_of_a_message_are_bounded() -> None:
    found = rendering.lines([Proposals(128)])
    assert len(found) == rendering.MAX_LINES + 1
    assert found[-1] == "and more"


def Proposals(count: int) -> SecurityAssociation:  # noqa: N802 - reads as the payload that it makes
    one = (TransformSubstructure(TransformType.ENCR, 20, 128),) * 4
    return SecurityAssociation(tuple(Proposal(at % 255, ProtocolId.IKE, b"", one) for at in range(count)))


def test_a_proposal_of_very_many_transforms_is_one_bounded_line() -> None:
    many = tuple(TransformSubstructure(TransformType.ENCR, at, 128) for at in range(255))
    (line,) = rendering.lines([SecurityAssociation((Proposal(1, ProtocolId.IKE, b"", many),))])
    assert line.endswith("-and-231-more")
    assert len(line) < 600


def test_every_transform_that_is_done_here_has_its_own_word() -> None:
    for name, transform in BY_NAME.items():
        id_, key_length = words.number(transform)
        assert words.word(words.transform_type(transform), id_, key_length) == name
