"""Revocation lists: whom they take back, and when they themselves are not believed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from culvert import der
from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.judging import judge
from culvert.crypto.certificates.revocation import MAX_CRL_OCTETS, MalformedList, RevocationList, parse_crl, parse_crls
from culvert.crypto.certificates.store import Distrusted, Trusted, TrustStore
from culvert.crypto.pem import write
from culvert.reasons import Refusal
from tests.unit.crypto.certificates.authorities import (
    CA_USAGE,
    DAY_S,
    NOW_S,
    Authority,
    Extension,
    certificate,
    constraint,
    key,
    root,
    usage,
)

LEAF = "C=DE, O=Example, CN=gw1"


def reason_of(
    authority: Authority, leaf: Certificate, *crls: RevocationList, require: bool = False, legacy: bool = False
) -> Refusal | None:
    store = TrustStore((authority.certificate,), crls=crls, require_crl=require, legacy=legacy)
    match judge(store, leaf, (), NOW_S):
        case Trusted():
            return None
        case Distrusted(reason, explanation):
            assert explanation
            return reason


@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa256", "ed25519"])
def test_a_revoked_certificate_is_refused_and_its_neighbour_is_not(kind: str) -> None:
    authority = root(kind=kind)
    bad, good = authority.issue(LEAF), authority.issue(LEAF)
    crl = authority.crl(bad.serial, 7)
    assert reason_of(authority, bad, crl) is Refusal.CERTIFICATE_REVOKED
    assert reason_of(authority, good, crl) is None


def test_a_revoked_intermediate_takes_its_leaves_along() -> None:
    anchor = root()
    middle = anchor.authority("CN=Middle")
    leaf = middle.issue(LEAF)
    for crls, expected in (((anchor.crl(middle.certificate.serial),), True), ((anchor.crl(4711), middle.crl()), False)):
        verdict = judge(TrustStore((anchor.certificate,), crls=crls), leaf, (middle.certificate,), NOW_S)
        assert isinstance(verdict, Distrusted) == expected, verdict
        if isinstance(verdict, Distrusted):
            assert verdict.reason is Refusal.CERTIFICATE_REVOKED


def test_a_revoked_intermediate_in_the_file_of_anchors_is_revoked_all_the_same() -> None:
    from culvert.crypto.certificates.store import trust_store

    anchor = root()
    middle = anchor.authority("CN=Middle")
    store = trust_store((anchor.certificate, middle.certificate), (anchor.crl(middle.certificate.serial),))
    assert isinstance(judge(store, middle.issue(LEAF), (), NOW_S), Distrusted)


def test_the_same_serial_number_of_another_authority_is_no_matter() -> None:
    authority, other = root(), root("CN=Other")
    leaf = authority.issue(LEAF)
    assert reason_of(authority, leaf, other.crl(leaf.serial)) is None


def test_a_list_signed_by_somebody_else_counts_for_nothing_and_the_certificate_is_refused() -> None:
    authority = root()
    leaf = authority.issue(LEAF)
    forged = authority.crl(signer=key("ecdsa256", 66))
    assert reason_of(authority, leaf, forged) is Refusal.REVOCATION_UNKNOWN
    assert reason_of(authority, leaf, forged, authority.crl()) is None, "a genuine one beside it does"
    revoking = authority.crl(leaf.serial, signer=key("ecdsa256", 66))
    assert reason_of(authority, leaf, revoking, authority.crl()) is None, "nor can it revoke"


def test_every_flipped_bit_of_a_lists_signature_is_noticed() -> None:
    authority = root()
    leaf, crl = authority.issue(LEAF), authority.crl()
    begin = 8 * (len(crl.der) - len(crl.signature))
    for position in range(begin, 8 * len(crl.der)):
        bent = bytearray(crl.der)
        bent[position // 8] ^= 1 << position % 8
        assert reason_of(authority, leaf, parse_crl(bytes(bent))) is Refusal.REVOCATION_UNKNOWN
    assert reason_of(authority, leaf, crl) is None


@pytest.mark.parametrize(
    ("from_s", "until_s", "good"),
    [
        (NOW_S - DAY_S, NOW_S, True),
        (NOW_S - DAY_S, NOW_S - 1, False),
        (NOW_S, NOW_S + DAY_S, True),
        (NOW_S + 1, NOW_S + DAY_S, False),
    ],
)
def test_a_list_counts_from_its_first_second_to_its_last(from_s: int, until_s: int, good: bool) -> None:
    authority = root()
    leaf = authority.issue(LEAF)
    expected = None if good else Refusal.REVOCATION_UNKNOWN
    assert reason_of(authority, leaf, authority.crl(from_s=from_s, until_s=until_s)) is expected


def test_who_was_revoked_stays_so_when_the_list_is_out_of_date() -> None:
    authority = root()
    leaf = authority.issue(LEAF)
    old = authority.crl(leaf.serial, until_s=NOW_S - 1)
    assert reason_of(authority, leaf, old) is Refusal.CERTIFICATE_REVOKED


def test_of_several_lists_the_newest_counts() -> None:
    """As with a certificate on hold that was let go again."""
    authority = root()
    leaf = authority.issue(LEAF)
    old, new = authority.crl(leaf.serial, from_s=NOW_S - 2 * DAY_S), authority.crl(from_s=NOW_S - DAY_S)
    assert reason_of(authority, leaf, old, new) is None
    assert reason_of(authority, leaf, new, old) is None
    old, new = authority.crl(from_s=NOW_S - 2 * DAY_S), authority.crl(leaf.serial, from_s=NOW_S - DAY_S)
    assert reason_of(authority, leaf, new, old) is Refusal.CERTIFICATE_REVOKED


def test_without_a_list_it_depends_on_whether_one_is_required() -> None:
    anchor = root()
    middle = anchor.authority("CN=Middle")
    leaf = middle.issue(LEAF)
    for crls, good in (
        ((), False),
        ((anchor.crl(),), False),
        ((middle.crl(),), False),
        ((anchor.crl(), middle.crl()), True),
    ):
        store = TrustStore((anchor.certificate,), (middle.certificate,), crls, require_crl=True)
        verdict = judge(store, leaf, (), NOW_S)
        assert isinstance(verdict, Trusted) == good
        if isinstance(verdict, Distrusted):
            assert verdict.reason is Refusal.REVOCATION_UNKNOWN
    assert reason_of(root(), root().issue(LEAF)) is None


def test_an_authority_that_may_not_sign_lists() -> None:
    authority = root("CN=No lists", constraint(), (usage("key_cert_sign"), True))
    assert reason_of(authority, authority.issue(LEAF), authority.crl()) is Refusal.REVOCATION_UNKNOWN


def restricted(**changes: object) -> Extension:
    fields: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**fields, **changes}), True  # type: ignore[arg-type]


UNUSABLE: dict[str, Extension] = {
    "delta": (x509.DeltaCRLIndicator(1), True),
    "indirect": restricted(indirect_crl=True),
    "some reasons": restricted(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})),
    "attribute certificates": restricted(only_contains_attribute_certs=True),
    "unknown": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_lists_that_do_not_tell_everything_are_not_used(name: str) -> None:
    authority = root()
    leaf = authority.issue(LEAF)
    crl = authority.crl(extensions=[UNUSABLE[name]])
    assert crl.unusable
    assert reason_of(authority, leaf, crl) is Refusal.REVOCATION_UNKNOWN
    assert reason_of(authority, leaf, crl, authority.crl()) is None


def test_an_extension_that_need_not_be_understood_is_passed_over() -> None:
    authority = root()
    extra = [
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), False),
        (x509.CRLNumber(9), False),
    ]
    crl = authority.crl(extensions=extra)
    assert (crl.unusable, crl.number) == ("", 9)
    assert reason_of(authority, authority.issue(LEAF), crl) is None


def test_lists_for_users_and_lists_for_authorities() -> None:
    anchor = root()
    middle = anchor.authority("CN=Middle")
    users, authorities = (
        anchor.crl(middle.certificate.serial, extensions=[restricted(**{f"only_contains_{kind}_certs": True})])
        for kind in ("user", "ca")
    )
    for crl, good in ((users, True), (authorities, False)):
        verdict = judge(TrustStore((anchor.certificate,), (middle.certificate,), (crl,)), middle.issue(LEAF), (), NOW_S)
        assert isinstance(verdict, Trusted) == good


def test_a_partial_list_can_revoke_and_cannot_clear() -> None:
    authority = root()
    bad, good = authority.issue(LEAF), authority.issue(LEAF)
    place = restricted(full_name=[x509.UniformResourceIdentifier("http://example.org/1.crl")])
    partial = authority.crl(bad.serial, extensions=[place])
    assert reason_of(authority, bad, partial) is Refusal.CERTIFICATE_REVOKED
    assert reason_of(authority, good, partial) is None
    assert reason_of(authority, good, partial, require=True) is Refusal.REVOCATION_UNKNOWN
    assert reason_of(authority, good, partial, authority.crl(), require=True) is None
    assert reason_of(authority, bad, partial, authority.crl(), require=True) is Refusal.CERTIFICATE_REVOKED


def test_an_entry_of_another_issuer_makes_a_list_unusable() -> None:
    builder = x509.RevokedCertificateBuilder(7, datetime(2026, 1, 1, tzinfo=UTC))
    names = x509.GeneralNames([x509.DNSName("x")])
    entry = builder.add_extension(x509.CertificateIssuer(names), critical=True).build()
    authority = root()
    made = x509.CertificateRevocationListBuilder(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")]),
        entry.revocation_date_utc,
        entry.revocation_date_utc,
    ).add_revoked_certificate(entry)
    crl = parse_crl(made.sign(authority.key.key, SHA256()).public_bytes(Encoding.DER))
    assert "critical extension" in crl.unusable


def test_an_authority_whose_key_changed_has_a_list_for_each_key() -> None:
    name = "CN=Root"
    made = []
    for number in (81, 82):
        own = key("ecdsa256", number)
        made.append(Authority(certificate(name, name, own, own, (constraint(), CA_USAGE), hash_=SHA256()), own))
    old, new = made
    leaves = [old.issue(LEAF), new.issue(LEAF)]
    store = TrustStore((old.certificate, new.certificate), crls=(old.crl(), new.crl(leaves[1].serial)))
    assert isinstance(judge(store, leaves[0], (), NOW_S), Trusted)
    assert judge(store, leaves[1], (), NOW_S).reason is Refusal.CERTIFICATE_REVOKED  # type: ignore[union-attr]


def test_a_newer_partial_list_does_not_replace_a_whole_one() -> None:
    authority = root()
    leaf = authority.issue(LEAF)
    place = restricted(full_name=[x509.UniformResourceIdentifier("http://example.org/1.crl")])
    newer = authority.crl(from_s=NOW_S, extensions=[place])
    assert reason_of(authority, leaf, authority.crl(leaf.serial), newer) is Refusal.CERTIFICATE_REVOKED


def test_an_authority_without_key_usage_may_sign_lists() -> None:
    authority = root("CN=Old", constraint())
    leaf = authority.issue(LEAF)
    assert reason_of(authority, leaf, authority.crl()) is None
    assert reason_of(authority, leaf, authority.crl(leaf.serial)) is Refusal.CERTIFICATE_REVOKED


# Lists that no tool writes: taken apart, changed, and signed anew

GOOD = der.encode(der.SEQUENCE, der.encode_oid("1.2.840.10045.4.3.2"))
WEAK = der.encode(der.SEQUENCE, der.encode_oid("1.2.840.10045.4.1"))
STRANGE = der.encode(der.SEQUENCE, der.encode_oid("1.2.840.10045.4.3.1"))


def remade(
    authority: Authority, crl: RevocationList, change: Callable[[list[bytes]], None], outside: bytes = GOOD
) -> bytes:
    """Change the parts (version, algorithm, issuer, two dates, revocations) and sign them."""
    parts = [one.whole for one in der.only(crl.tbs, der.SEQUENCE).elements()]
    change(parts)
    tbs = der.encode(der.SEQUENCE, *parts)
    assert isinstance(authority.key.key, EllipticCurvePrivateKey)
    hash_ = SHA1() if outside == WEAK else SHA256()  # noqa: S303
    signature = authority.key.key.sign(tbs, ECDSA(hash_))
    return der.encode(der.SEQUENCE, tbs, outside, der.encode(der.BIT_STRING, b"\0" + signature))


def unchanged(parts: list[bytes]) -> None:
    """Leave all parts as they are."""
    assert parts


def test_a_list_that_is_made_again_is_the_same() -> None:
    authority = root()
    leaf = authority.issue(LEAF)
    again = parse_crl(remade(authority, authority.crl(leaf.serial), unchanged))
    assert reason_of(authority, leaf, again) is Refusal.CERTIFICATE_REVOKED


@pytest.mark.parametrize(
    ("algorithm", "legacy", "good"), [(WEAK, False, False), (WEAK, True, True), (STRANGE, True, False)]
)
def test_a_list_of_a_weak_or_unknown_algorithm(algorithm: bytes, legacy: bool, good: bool) -> None:
    authority = root()

    def change(parts: list[bytes]) -> None:
        parts[1] = algorithm

    crl = parse_crl(remade(authority, authority.crl(7), change, algorithm))
    expected = None if good else Refusal.REVOCATION_UNKNOWN
    assert reason_of(authority, authority.issue(LEAF), crl, legacy=legacy) is expected


def test_a_list_without_an_end_counts_for_ever() -> None:
    authority = root()
    crl = parse_crl(remade(authority, authority.crl(7), lambda parts: parts.pop(4) and None))
    assert crl.next_update_s is None
    store = TrustStore((authority.certificate,), crls=(crl,), require_crl=True)
    assert isinstance(judge(store, authority.issue(LEAF), (), NOW_S), Trusted)


def test_a_list_of_the_first_version_is_one() -> None:
    authority = root()
    leaf = authority.issue(LEAF)
    crl = parse_crl(remade(authority, authority.crl(leaf.serial), lambda parts: parts.pop(0) and None))
    assert reason_of(authority, leaf, crl) is Refusal.CERTIFICATE_REVOKED


BROKEN: dict[str, tuple[Callable[[list[bytes]], None], bytes]] = {
    "another algorithm outside": (unchanged, WEAK),
    "no dates": (lambda parts: parts.__delitem__(slice(3, 5)), GOOD),
    "nothing": (lambda parts: parts.clear(), GOOD),
    "a revocation without a date": (
        lambda parts: parts.__setitem__(5, der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, der.encode_integer(7)))),
        GOOD,
    ),
    "a revocation of nothing": (
        lambda parts: parts.__setitem__(5, der.encode(der.SEQUENCE, der.encode(der.SEQUENCE))),
        GOOD,
    ),
    "a revocation that is no number": (
        lambda parts: parts.__setitem__(5, parts[5].replace(b"\x02\x01\x07", b"\x04\x01\x07")),
        GOOD,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_list_whose_parts_are_wrong(name: str) -> None:
    authority = root()
    change, outside = BROKEN[name]
    with pytest.raises(MalformedList):
        parse_crl(remade(authority, authority.crl(7), change, outside))


@pytest.mark.parametrize(("critical", "unusable"), [(True, True), (False, False)])
def test_what_an_entry_says_besides(critical: bool, unusable: bool) -> None:
    """A reason need not be understood; what is critical must be."""
    authority = root()
    number, date = der.encode_integer(7), der.encode(der.UTC_TIME, b"260101000000Z")
    flag = der.encode(0x01, b"\xff") if critical else b""
    reason = der.encode(der.SEQUENCE, der.encode_oid("2.5.29.21"), flag, der.encode(der.OCTET_STRING, b"\x0a\x01\x01"))
    entry = der.encode(der.SEQUENCE, number, date, der.encode(der.SEQUENCE, reason))
    made = remade(authority, authority.crl(7), lambda parts: parts.__setitem__(5, der.encode(der.SEQUENCE, entry)))
    crl = parse_crl(made)
    assert crl.serials == {7}
    assert bool(crl.unusable) == unusable


def test_a_relative_name_makes_a_list_partial() -> None:
    relative = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "1")])
    assert root().crl(extensions=[restricted(relative_name=relative)]).partial
    assert not root().crl().partial


def test_the_issuers_key_identifier_may_be_critical() -> None:
    identifier = (x509.AuthorityKeyIdentifier(b"key", None, None), True)
    assert not root().crl(extensions=[identifier]).unusable


def test_a_list_too_long_is_not_read() -> None:
    with pytest.raises(MalformedList, match="more than"):
        parse_crl(bytes(MAX_CRL_OCTETS + 1))


@pytest.mark.parametrize(
    ("from_days", "until_days", "what"),
    [(-9, -1, "is out of date since 2027-01-14 08:00 UTC"), (1, 9, "counts from 2027-01-16 08:00 UTC only")],
)
def test_why_a_list_does_not_count_is_said(from_days: int, until_days: int, what: str) -> None:
    authority = root()
    crl = authority.crl(from_s=NOW_S + from_days * DAY_S, until_s=NOW_S + until_days * DAY_S)
    verdict = judge(TrustStore((authority.certificate,), crls=(crl,)), authority.issue(LEAF), (), NOW_S)
    assert isinstance(verdict, Distrusted)
    assert verdict.explanation == f'the revocation list of "C=DE, O=Example, CN=Root" {what}'


# Reading


def test_a_file_may_hold_several() -> None:
    one, other = root().crl(1), root("CN=Other").crl(2)
    data = b"lists\n" + write("X509 CRL", one.der) + write("CERTIFICATE", b"x") + write("X509 CRL", other.der)
    assert parse_crls(data) == (one, other)
    assert parse_crls(one.der) == (one,)


def test_what_a_list_says() -> None:
    crl = root().crl(5, 2**150, extensions=[(x509.CRLNumber(3), False)])
    assert crl.serials == {5, 2**150}
    assert (crl.this_update_s, crl.next_update_s, crl.number) == (NOW_S - DAY_S, NOW_S + DAY_S, 3)
    assert str(crl.issuer) == "C=DE, O=Example, CN=Root"


@pytest.mark.parametrize("data", [b"", b"\x30\x00", b"\x00", b"-----BEGIN X509 CRL-----\n-----END", b"\x30\x80"])
def test_what_is_no_list(data: bytes) -> None:
    with pytest.raises(MalformedList):
        parse_crls(data)


def test_a_certificate_is_no_list() -> None:
    with pytest.raises(MalformedList):
        parse_crl(root().certificate.der)


def test_every_flipped_octet_of_a_list_is_read_or_refused_and_never_believed() -> None:
    authority = root()
    leaf = authority.issue(LEAF)
    crl = authority.crl(leaf.serial)
    for position in range(len(crl.der)):
        bent = bytearray(crl.der)
        bent[position] ^= 1 << position % 8
        try:
            altered = parse_crl(bytes(bent))
        except MalformedList:
            continue
        assert reason_of(authority, leaf, altered) is not Refusal.CERTIFICATE_REVOKED or altered.tbs == crl.tbs
