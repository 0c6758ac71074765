"""Which identities a certificate proves, and which it does not however much it looks like it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from cryptography import x509

from culvert.crypto.certificates.carrying import carries, identities_of, own_identity
from culvert.crypto.certificates.certificate import Certificate
from culvert.identities import Identity, IdentityType
from tests.unit.crypto.certificates.authorities import LEAF_USAGE, root, subject

SUBJECT = "C=DE, O=Example, CN=gw1.example.org"


def holder(*names: x509.GeneralName, subject_: str = SUBJECT, key_id: bytes = b"") -> Certificate:
    extensions = [LEAF_USAGE]
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    if key_id:
        extensions.append((x509.SubjectKeyIdentifier(key_id), False))
    return root().issue(subject_, extensions)


FULL = (
    x509.DNSName("GW1.example.org"),
    x509.RFC822Name("admin@example.org"),
    x509.IPAddress(ip_address("203.0.113.1")),
    x509.IPAddress(ip_address("2001:db8::1")),
    x509.DirectoryName(subject("O=Other, CN=gw1")),
    x509.UniformResourceIdentifier("http://example.org/"),
    x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
)


@pytest.mark.parametrize(
    "text",
    [
        "gw1.example.org",
        "GW1.EXAMPLE.ORG",
        "admin@example.org",
        "203.0.113.1",
        "2001:db8::1",
        "C=DE, O=Example, CN=gw1.example.org",
        "c=de, o=EXAMPLE, cn=GW1.example.org",
        "O=Other, CN=gw1",
        "keyid:0102",
    ],
)
def test_what_stands_in_it(text: str) -> None:
    assert carries(holder(*FULL, key_id=b"\1\2"), Identity.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "gw2.example.org",
        "example.org",
        "*.example.org",
        "gw1.example.org.",
        "@203.0.113.1",
        "203.0.113.2",
        "*@example.org",
        "C=DE, O=Example, CN=*",
        "C=DE, O=Example",
        "C=DE, O=Example, CN=gw1",
        "keyid:010203",
        "keyid:",
        "@http://example.org/",
    ],
)
def test_what_does_not(text: str) -> None:
    assert not carries(holder(*FULL, key_id=b"\1\2"), Identity.parse(text))


def test_a_common_name_is_no_name_of_a_host() -> None:
    """RFC 4945 section 3.1.2: only alternative names are."""
    assert not carries(holder(), Identity.parse("gw1.example.org"))


def test_an_address_written_as_a_name_is_no_address() -> None:
    assert not carries(holder(x509.DNSName("203.0.113.1")), Identity.parse("203.0.113.1"))
    assert carries(holder(x509.DNSName("203.0.113.1")), Identity.parse("@203.0.113.1"))


def test_a_wildcard_in_a_certificate_stands_for_nobody() -> None:
    wild = holder(x509.DNSName("*.example.org"), x509.DirectoryName(subject("O=Example, CN=*")))
    for text in ("gw1.example.org", "*.example.org", "O=Example, CN=gw1", "O=Example, CN=*"):
        assert not carries(wild, Identity.parse(text))


def test_a_certificate_without_a_key_id_proves_no_empty_one() -> None:
    assert not carries(holder(), Identity(IdentityType.KEY_ID, b""))
    assert not carries(holder(subject_=""), Identity(IdentityType.DER_ASN1_DN, b"\x30\x00"))


def test_types_that_nobody_proves() -> None:
    assert not carries(holder(*FULL), Identity(IdentityType.DER_ASN1_GN, b"gw1.example.org"))


@pytest.mark.parametrize(
    ("names", "subject_", "chosen"),
    [
        (FULL, SUBJECT, "203.0.113.1"),
        ((FULL[0],), SUBJECT, "gw1.example.org"),
        ((FULL[3], FULL[0]), SUBJECT, "gw1.example.org"),
        ((FULL[3],), SUBJECT, SUBJECT),
        ((x509.DNSName("*.example.org"),), SUBJECT, SUBJECT),
        ((), SUBJECT, SUBJECT),
        ((FULL[3],), "", "2001:db8::1"),
        ((), "", "203.0.113.1"),
    ],
)
def test_who_we_say_that_we_are(names: tuple[x509.GeneralName, ...], subject_: str, chosen: str) -> None:
    assert str(own_identity(holder(*names, subject_=subject_), ip_address("203.0.113.1"))) == chosen


def test_the_subject_comes_last() -> None:
    assert [str(one) for one in identities_of(holder(*FULL))] == [
        "gw1.example.org",
        "admin@example.org",
        "203.0.113.1",
        "2001:db8::1",
        "O=Other, CN=gw1",
        "C=DE, O=Example, CN=gw1.example.org",
    ]
