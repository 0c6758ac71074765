"""Certificates as octets: what they say, and everything that is not taken for one."""

from __future__ import annotations

import warnings
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from culvert import der
from culvert.crypto import pem
from culvert.crypto.certificates.certificate import (
    MAX_CERTIFICATE_OCTETS,
    Certificate,
    MalformedCertificate,
    parse_certificate,
    parse_pem,
)
from culvert.crypto.certificates.extensions import KeyUsage, Name
from tests.unit.crypto.certificates.authorities import (
    CA_USAGE,
    DAY_S,
    LEAF_USAGE,
    NOW_S,
    Extension,
    certificate,
    constraint,
    dns,
    key,
    root,
    subject,
)

LEAF = "C=DE, O=Example, CN=gw1"


def test_what_a_certificate_says() -> None:
    authority = root()
    names = [x509.DNSName("GW1.example.org"), x509.IPAddress(ip_address("203.0.113.1")), x509.RFC822Name("a@B.org")]
    purpose = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.17")])
    leaf = authority.issue(
        LEAF,
        (
            LEAF_USAGE,
            (x509.SubjectAlternativeName(names), False),
            (purpose, False),
            (x509.SubjectKeyIdentifier(b"own"), False),
            (x509.AuthorityKeyIdentifier(b"theirs", None, None), False),
        ),
    )
    assert str(leaf) == '"C=DE, O=Example, CN=gw1"'
    assert str(leaf.issuer) == "C=DE, O=Example, CN=Root"
    assert (leaf.serial, leaf.not_before_s, leaf.not_after_s) == (101, NOW_S - DAY_S, NOW_S + DAY_S)
    assert leaf.public_key == key("ecdsa256", 99).public
    assert leaf.extensions.names == (
        Name("dns", "gw1.example.org"),
        Name("ip", ip_address("203.0.113.1")),
        Name("email", "a@b.org"),
    )
    assert leaf.extensions.key_usage is KeyUsage.DIGITAL_SIGNATURE
    assert leaf.extensions.extended_key_usage == ("1.3.6.1.5.5.7.3.17",)
    assert (leaf.extensions.subject_key, leaf.extensions.authority_key) == (b"own", b"theirs")
    assert not leaf.extensions.ca
    assert not leaf.self_issued
    assert authority.certificate.extensions.ca
    assert authority.certificate.self_issued
    assert leaf.signed_by(authority.key.public)
    assert not leaf.signed_by(key("ecdsa256", 5).public)


def test_one_without_a_subject_is_named_by_its_first_name() -> None:
    leaf = root().issue("", (LEAF_USAGE, dns("gw1.example.org")))
    assert str(leaf) == '"gw1.example.org"'
    assert str(root().issue("", ())) == "serial 65"


def test_a_long_name_is_shortened_in_sentences() -> None:
    leaf = root().issue("O=" + "x" * 900 + ", CN=gw")
    assert len(str(leaf)) < 250


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"\x30\x00", b"\x30\x80\x00\x00", b"\x00" * 100, bytes(MAX_CERTIFICATE_OCTETS + 1)]
)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(MalformedCertificate):
        parse_certificate(data)


def test_a_cut_or_prolonged_certificate_is_none() -> None:
    leaf = root().issue(LEAF)
    for length in range(len(leaf.der)):
        with pytest.raises(MalformedCertificate):
            parse_certificate(leaf.der[:length])
    with pytest.raises(MalformedCertificate):
        parse_certificate(leaf.der + b"\0")


def taken_apart(one: Certificate) -> tuple[list[bytes], bytes, bytes]:
    tbs, algorithm, signature = der.only(one.der, der.SEQUENCE).elements()
    return [part.whole for part in tbs.elements()], algorithm.whole, signature.whole


def together(tbs: list[bytes], algorithm: bytes, signature: bytes) -> bytes:
    return der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, *tbs), algorithm, signature)


def altered(at: int, value: bytes) -> bytes:
    """Give a certificate with one part of its contents replaced."""
    tbs, algorithm, signature = taken_apart(root().issue(LEAF, (LEAF_USAGE,)))
    tbs[at] = value
    return together(tbs, algorithm, signature)


def test_the_parts_make_the_whole() -> None:
    leaf = root().issue(LEAF)
    assert together(*taken_apart(leaf)) == leaf.der


SEQUENCE_OF_NOTHING = der.encode(der.SEQUENCE)
BROKEN = {
    "a negative serial number": (1, der.encode_integer(-5)),
    "a serial number too long": (1, der.encode_integer(2**200)),
    "a serial number in long form": (1, b"\x02\x02\x00\x05"),
    "another algorithm inside": (2, der.encode(der.SEQUENCE, der.encode_oid("1.2.840.10045.4.3.3"))),
    "parameters of the algorithm": (
        2,
        der.encode(der.SEQUENCE, der.encode_oid("1.2.840.10045.4.3.2"), der.encode(der.NULL)),
    ),
    "no issuer": (3, b""),
    "an issuer that is no name": (3, der.encode(der.SET)),
    "no validity": (4, SEQUENCE_OF_NOTHING),
    "a month of 13": (4, der.encode(der.SEQUENCE, *[der.encode(der.UTC_TIME, b"261301000000Z")] * 2)),
    "a time without zone": (4, der.encode(der.SEQUENCE, *[der.encode(der.UTC_TIME, b"260101000000")] * 2)),
    "no key": (6, SEQUENCE_OF_NOTHING),
    "extensions twice": (7, b""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_part_that_is_not_as_it_should_be(name: str) -> None:
    at, value = BROKEN[name]
    if name == "extensions twice":
        tbs, _, _ = taken_apart(root().issue(LEAF, (LEAF_USAGE,)))
        inner = der.elements(der.elements(tbs[7])[0].content)[0].elements()[0].whole
        value = der.encode(0xA3, der.encode(der.SEQUENCE, inner, inner))
    with pytest.raises(MalformedCertificate):
        parse_certificate(altered(at, value))


def test_a_certificate_too_long_is_not_read() -> None:
    padding: Extension = (
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), bytes(MAX_CERTIFICATE_OCTETS)),
        False,
    )
    with pytest.raises(MalformedCertificate, match="more than"):
        root().issue(LEAF, (LEAF_USAGE, padding))


def test_a_certificate_of_the_first_version_is_one_and_no_authority() -> None:
    tbs, algorithm, signature = taken_apart(root().issue(LEAF, ()))
    assert tbs[0] == b"\xa0\x03\x02\x01\x02"
    old = parse_certificate(together(tbs[1:7], algorithm, signature))
    assert str(old.subject) == LEAF
    assert not old.extensions.ca


def test_where_the_issuers_lists_are() -> None:
    places = [x509.UniformResourceIdentifier("http://example.org/1.crl"), x509.DirectoryName(subject("O=x"))]
    relative = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "1")])
    points = [x509.DistributionPoint(places, None, None, None), x509.DistributionPoint(None, relative, None, None)]
    leaf = root().issue(LEAF, ((x509.CRLDistributionPoints(points), False),))
    assert leaf.extensions.crl_points == ("http://example.org/1.crl",)
    assert root().issue(LEAF).extensions.crl_points == ()


def test_an_algorithm_outside_that_is_not_the_one_inside() -> None:
    tbs, _, signature = taken_apart(root().issue(LEAF))
    with pytest.raises(MalformedCertificate, match="two signature algorithms"):
        parse_certificate(together(tbs, der.encode(der.SEQUENCE, der.encode_oid("1.2.840.10045.4.3.3")), signature))


def test_a_signature_with_unused_bits_is_none() -> None:
    tbs, algorithm, signature = taken_apart(root().issue(LEAF))
    content = der.elements(signature)[0].content
    with pytest.raises(MalformedCertificate):
        parse_certificate(together(tbs, algorithm, der.encode(der.BIT_STRING, b"\x01" + content[1:])))


def with_extension(oid: str, value: bytes) -> Certificate:
    extra: Extension = (x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), False)
    return root().issue(LEAF, (extra,))


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        ("2.5.29.15", b"\x05\x00"),
        ("2.5.29.15", b""),
        ("2.5.29.17", b"\x30\x06\x87\x04\x01\x02\x03"),
        ("2.5.29.17", b"\x30\x05\x87\x03\x01\x02\x03"),
        ("2.5.29.17", b"\x30\x05\x82\x03a b"),
        ("2.5.29.17", b"\x30\x05\x82\x03a\0b"),
        ("2.5.29.17", b"\x30\x04\x82\x02\xc3\xa4"),
        ("2.5.29.19", b"\x30\x03\x01\x01\x01"),
        ("2.5.29.30", b"\x30\x00\x00"),
        (
            "2.5.29.30",
            der.encode(
                der.SEQUENCE, der.encode(0xA0, der.encode(der.SEQUENCE, der.encode(0x87, b"\x0a\0\0\0\xff\0\xff\0")))
            ),
        ),
        ("2.5.29.37", b"\x30\x02\x06\x00"),
    ],
)
def test_an_extension_that_cannot_be_read_spoils_the_certificate(oid: str, value: bytes) -> None:
    with pytest.raises(MalformedCertificate):
        with_extension(oid, value)


def test_too_many_names_are_refused() -> None:
    with pytest.raises(MalformedCertificate, match="more than 256 names"):
        root().issue(LEAF, (dns(*(f"n{number}" for number in range(300))),))


def test_keys_that_ike_does_not_know_are_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    spki = (
        ec.generate_private_key(ec.SECP256K1())
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(MalformedCertificate, match="secp256k1"):
        parse_certificate(altered(6, spki))


def test_reading_says_nothing_on_standard_error() -> None:
    """The library warns of much that it reads; who sends such things must not fill our log."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        odd = (x509.SubjectAlternativeName([x509.DirectoryName(subject("C=Germany"))]), False)
        written = certificate("C=Germany", "C=Germany", key(), key(), (odd, constraint(), CA_USAGE), hash_=SHA256())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_certificate(written.der).self_issued
        assert parse_certificate(altered(1, der.encode_integer(0))).serial == 0


# Files


def test_a_file_may_hold_several_and_other_things() -> None:
    one, other = root().certificate, root("CN=Other").certificate
    data = b"text\n" + pem.write("CERTIFICATE", one.der) + key().pem() + pem.write("CERTIFICATE", other.der)
    assert parse_pem(data) == (one, other)
    assert parse_pem(data.replace(b"\n", b"\r\n")) == (one, other)
    assert parse_pem(one.der) == (one,)
    assert parse_pem(key().pem()) == ()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"-----BEGIN CERTIFICATE-----\nAAAA", "line 1 has no end"),
        (b"\n\n-----BEGIN CERTIFICATE-----\n=A=A\n-----END CERTIFICATE-----", "line 3 is damaged"),
        (b"\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "line 2: "),
        (b"-----BEGIN CERTIFICATE-----\nAA\xff\n-----END CERTIFICATE-----", "damaged"),
        (b"-----BEGIN X-----\n-----END X-----\n" * 300, "more than 256 blocks"),
    ],
)
def test_a_file_that_is_damaged(data: bytes, why: str) -> None:
    with pytest.raises(MalformedCertificate, match=why):
        parse_pem(data)


def test_what_is_written_is_what_openssl_writes() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    one = root().certificate
    assert pem.write("CERTIFICATE", one.der) == x509.load_der_x509_certificate(one.der).public_bytes(Encoding.PEM)
