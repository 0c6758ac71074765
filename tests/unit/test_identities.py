"""Identities: how they are written, presented and compared."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from culvert.identities import MAX_IDENTITY_OCTETS, Identity, IdentityType


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("203.0.113.1", IdentityType.IPV4_ADDR, bytes([203, 0, 113, 1])),
        (" 2001:db8::1 ", IdentityType.IPV6_ADDR, bytes.fromhex("20010db8000000000000000000000001")),
        ("gw.example.org", IdentityType.FQDN, b"gw.example.org"),
        ("@gw", IdentityType.FQDN, b"gw"),
        ("@203.0.113.1", IdentityType.FQDN, b"203.0.113.1"),
        ("admin@example.org", IdentityType.RFC822_ADDR, b"admin@example.org"),
        ("@#6b6579", IdentityType.KEY_ID, b"key"),
        ("büro.example.org", IdentityType.FQDN, b"xn--bro-hoa.example.org"),
    ],
)
def test_how_it_is_written(text: str, kind: IdentityType, value: bytes) -> None:
    assert Identity.parse(text) == Identity(kind, value)


@pytest.mark.parametrize("text", ["", "   ", "a" * (MAX_IDENTITY_OCTETS + 1), "@#6b657", "@#key"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Identity.parse(text)


def test_names_compare_without_regard_to_case() -> None:
    assert Identity.parse("GW.example.org").matches(Identity.parse("gw.EXAMPLE.org"))
    assert Identity.parse("Admin@example.org").matches(Identity.parse("admin@example.org"))
    assert not Identity.parse("gw.example.org").matches(Identity.parse("gw.example.com"))


def test_the_type_counts() -> None:
    assert not Identity.parse("203.0.113.1").matches(Identity.parse("@203.0.113.1"))
    assert not Identity.parse("@#4b").matches(Identity.parse("@#6b"))
    assert not Identity(IdentityType.KEY_ID, b"k").matches(Identity(IdentityType.KEY_ID, b"K"))


def test_an_address_is_itself() -> None:
    for text in ("203.0.113.1", "2001:db8::1"):
        assert str(Identity.of_address(ip_address(text))) == text


@pytest.mark.parametrize(
    ("identity", "text"),
    [
        (Identity(IdentityType.FQDN, b"a\x1b[2Jb\xff"), "a?[2Jb?"),
        (Identity(IdentityType.IPV4_ADDR, b"\x01\x02"), "@#0102"),
        (Identity(IdentityType.DER_ASN1_DN, b"\x30\x00"), "@#3000"),
    ],
)
def test_what_a_peer_presents_is_printed_harmlessly(identity: Identity, text: str) -> None:
    assert str(identity) == text


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        identity = Identity.parse(text)
    except ValueError:
        return
    assert identity.matches(identity) or identity.is_wildcard
    assert str(identity).isprintable()


@given(st.sampled_from(list(IdentityType)), st.binary(max_size=40))
def test_any_identity_can_be_printed(kind: IdentityType, value: bytes) -> None:
    assert str(Identity(kind, value)).isprintable()


# Distinguished names, key ids, wildcards


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("C=DE, O=Example, CN=gw1", IdentityType.DER_ASN1_DN),
        ("/C=DE/O=Example/CN=gw1", IdentityType.DER_ASN1_DN),
        ("CN=admin@example.org", IdentityType.DER_ASN1_DN),
        ("2.5.4.3=gw1", IdentityType.DER_ASN1_DN),
        ("keyid:00Ff", IdentityType.KEY_ID),
        ("@#00 ff", IdentityType.KEY_ID),
        ("*.example.org", IdentityType.FQDN),
        ("*@example.org", IdentityType.RFC822_ADDR),
    ],
)
def test_the_kind_is_seen_from_how_it_is_written(text: str, kind: IdentityType) -> None:
    identity = Identity.parse(text)
    assert identity.type is kind
    assert Identity.parse(str(identity)) == identity


@pytest.mark.parametrize("text", ["C=DE, O", "FOO=bar", "keyid:", "keyid:xy", "CN="])
def test_what_looks_like_one_and_is_none(text: str) -> None:
    if text == "keyid:":
        assert Identity.parse(text).value == b"", "refused where a configuration is read"
        return
    with pytest.raises(ValueError, match=r".+"):
        Identity.parse(text)


@pytest.mark.parametrize(
    ("expected", "presented", "good"),
    [
        ("*.example.org", "gw1.example.org", True),
        ("*.example.org", "a.b.EXAMPLE.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "@.example.org", False),
        ("*.example.org", "gw1.example.org.evil.com", False),
        ("*.example.org", "evilexample.org", False),
        ("*.example.org", "gw1.example.com", False),
        ("*.example.org", "*.example.org", False),
        ("*.example.org", "a@gw1.example.org", False),
        ("gw1.example.org", "xw1.example.org", False),
        ("gw1.example.org", "evil.gw1.example.org", False),
        ("a@example.org", "b@example.org", False),
        ("*@example.org", "admin@example.org", True),
        ("*@example.org", "admin@gw.example.org", False),
        ("*@example.org", "admin@example.com", False),
        ("*@example.org", "@example.org", False),
        ("*@example.org", "*@example.org", False),
        ("gw1.example.org", "*.example.org", False),
        ("O=Example, CN=*", "O=Example, CN=gw1", True),
        ("O=Example, CN=*", "O=Example, CN=*", False),
        ("O=Example, CN=*", "O=Other, CN=gw1", False),
        ("O=Example, CN=gw1", "O=Example, CN=*", False),
        ("203.0.113.1", "203.0.113.2", False),
        ("keyid:0001", "keyid:0001", True),
        ("keyid:0001", "keyid:000100", False),
    ],
)
def test_wildcards_stand_for_what_is_expected_and_never_for_what_is_presented(
    expected: str, presented: str, good: bool
) -> None:
    assert Identity.parse(expected).matches(Identity.parse(presented)) == good


def test_octets_that_are_no_distinguished_name_match_nothing() -> None:
    broken = Identity(IdentityType.DER_ASN1_DN, b"\x30\x05")
    assert broken.distinguished_name is None
    assert not broken.matches(broken)
    assert str(broken) == "@#3005"


@given(st.binary(max_size=200), st.sampled_from(list(IdentityType)))
def test_any_octets_can_be_shown_and_compared(value: bytes, kind: IdentityType) -> None:
    identity = Identity(kind, value)
    assert str(identity).isprintable()
    assert not identity.is_wildcard or not identity.matches(identity)
