"""Every check of a path to an anchor, each with the certificate that fails it and no other."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512

from culvert import der
from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.judging import _Search, judge
from culvert.crypto.certificates.store import Distrusted, Trusted, TrustStore, Verdict, trust_store
from culvert.crypto.public_keys import PrivateKey, public_key
from culvert.limits import MAX_CERTIFICATE_PATH, MAX_PATH_STEPS, MAX_PRESENTED_CERTIFICATES
from culvert.reasons import Refusal
from tests.unit.crypto.certificates.authorities import (
    CA_USAGE,
    DAY_S,
    LEAF_USAGE,
    NOW_S,
    Authority,
    Extension,
    certificate,
    constraint,
    dns,
    key,
    resigned,
    root,
    usage,
)

LEAF = "C=DE, O=Example, CN=gw1"


def store(*anchors: Authority, legacy: bool = False) -> TrustStore:
    return TrustStore(tuple(one.certificate for one in anchors), legacy=legacy)


def reason(verdict: Verdict) -> Refusal:
    assert isinstance(verdict, Distrusted), verdict
    assert verdict.explanation
    return verdict.reason


def explained(verdict: Verdict) -> str:
    assert isinstance(verdict, Distrusted), verdict
    return verdict.explanation


def trusted(verdict: Verdict) -> tuple[Certificate, ...]:
    assert isinstance(verdict, Trusted), verdict
    return verdict.path


@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa256", "ecdsa384", "ecdsa521", "ed25519"])
def test_a_certificate_of_an_anchor_is_trusted(kind: str) -> None:
    authority = root(kind=kind)
    leaf = authority.issue(LEAF)
    assert trusted(judge(store(authority), leaf, (), NOW_S)) == (leaf, authority.certificate)


def test_pss_signs_certificates_too() -> None:
    authority = root(kind="rsa2048")
    leaf = authority.issue(LEAF, pss=True)
    assert leaf.scheme is not None
    assert leaf.scheme.pss
    assert trusted(judge(store(authority), leaf, (), NOW_S))


@pytest.mark.parametrize("hash_", [SHA256(), SHA384(), SHA512()], ids=lambda one: one.name)
def test_hashes_of_today_are_good(hash_: SHA256 | SHA384 | SHA512) -> None:
    authority = root(kind="ecdsa521")
    authority.hash = hash_
    assert trusted(judge(store(authority), authority.issue(LEAF), (), NOW_S))


def test_a_chain_leads_to_the_anchor_in_whatever_order_it_comes() -> None:
    anchor = root()
    upper = anchor.authority("O=Example, CN=Upper")
    lower = upper.authority("O=Example, CN=Lower")
    leaf = lower.issue(LEAF)
    for chain in ((upper.certificate, lower.certificate), (lower.certificate, upper.certificate)):
        path = trusted(judge(store(anchor), leaf, chain, NOW_S))
        assert path == (leaf, lower.certificate, upper.certificate, anchor.certificate)
    assert reason(judge(store(anchor), leaf, (upper.certificate,), NOW_S)) is Refusal.CERTIFICATE_UNTRUSTED


def test_intermediates_that_are_configured_need_not_be_sent() -> None:
    anchor = root()
    lower = anchor.authority("O=Example, CN=Lower")
    known = TrustStore((anchor.certificate,), (lower.certificate,))
    assert trusted(judge(known, lower.issue(LEAF), (), NOW_S))


def test_a_root_that_the_peer_sends_is_no_anchor() -> None:
    other = root("O=Other, CN=Root")
    verdict = judge(store(root()), other.issue(LEAF), (other.certificate,), NOW_S)
    assert reason(verdict) is Refusal.CERTIFICATE_UNTRUSTED


def test_a_root_of_the_same_name_with_another_key_is_no_anchor() -> None:
    """The signature is checked, not the name alone (CVE-2004-0155)."""
    own = key("ecdsa256", 4711)
    name = "C=DE, O=Example, CN=Root"
    impostor = Authority(certificate(name, name, own, own, (constraint(), CA_USAGE), hash_=SHA256()), own)
    verdict = judge(store(root()), impostor.issue(LEAF), (impostor.certificate,), NOW_S)
    assert reason(verdict) is Refusal.CERTIFICATE_UNTRUSTED
    assert "not signed" in verdict.explanation  # type: ignore[union-attr]


def test_several_anchors_are_each_good_for_their_own() -> None:
    one, other = root(), root("O=Other, CN=Root")
    for authority in (one, other):
        assert trusted(judge(store(one, other), authority.issue(LEAF), (), NOW_S))


def test_two_anchors_of_one_name_are_both_tried() -> None:
    """As when an authority changes its key."""
    name = "C=DE, O=Example, CN=Root"
    old, new = key("ecdsa256", 1), key("ecdsa256", 2)
    made = [
        Authority(certificate(name, name, own, own, (constraint(), CA_USAGE), hash_=SHA256()), own)
        for own in (old, new)
    ]
    for authority in made:
        assert trusted(judge(store(*made), authority.issue(LEAF), (), NOW_S))


def test_authorities_that_sign_each_other_lead_to_whichever_anchor_is_known() -> None:
    one, other = root("CN=One"), root("CN=Other")
    by_other = other.issue("CN=One", (constraint(), CA_USAGE), holder=one.key)
    by_one = one.issue("CN=Other", (constraint(), CA_USAGE), holder=other.key)
    leaf = one.issue(LEAF)
    chain = (by_other, by_one, one.certificate)
    assert trusted(judge(store(other), leaf, chain, NOW_S)) == (leaf, by_other, other.certificate)
    assert trusted(judge(store(one), leaf, chain, NOW_S)) == (leaf, one.certificate)
    assert reason(judge(store(root("CN=Third")), leaf, chain, NOW_S)) is Refusal.CERTIFICATE_UNTRUSTED


def test_a_peers_own_certificate_may_be_the_anchor() -> None:
    own = key("ecdsa256", 7)
    pinned = certificate(LEAF, LEAF, own, own, (LEAF_USAGE,), hash_=SHA256())
    assert trusted(judge(TrustStore((pinned,)), pinned, (), NOW_S)) == (pinned,)
    later = NOW_S + 100 * DAY_S
    assert reason(judge(TrustStore((pinned,)), pinned, (), later)) is Refusal.CERTIFICATE_EXPIRED


def test_a_pinned_certificate_is_no_authority() -> None:
    own = key("ecdsa256", 7)
    pinned = Authority(certificate(LEAF, LEAF, own, own, (LEAF_USAGE,), hash_=SHA256()), own)
    verdict = judge(store(pinned), pinned.issue("CN=somebody"), (), NOW_S)
    assert reason(verdict) is Refusal.CERTIFICATE_CONSTRAINED


def test_no_anchors_trust_nobody() -> None:
    authority = root()
    assert reason(judge(TrustStore(()), authority.issue(LEAF), (authority.certificate,), NOW_S)) is (
        Refusal.CERTIFICATE_UNTRUSTED
    )


def test_every_flipped_bit_of_a_signature_is_noticed() -> None:
    authority = root()
    leaf = authority.issue(LEAF)
    for position in range(8 * len(leaf.signature)):
        bent = bytearray(leaf.signature)
        bent[position // 8] ^= 1 << position % 8
        altered = _with(leaf, signature=bytes(bent))
        assert reason(judge(store(authority), altered, (), NOW_S)) is Refusal.CERTIFICATE_UNTRUSTED


def test_every_flipped_octet_of_what_is_signed_is_noticed() -> None:
    from culvert.crypto.certificates.certificate import MalformedCertificate, parse_certificate

    authority = root()
    leaf = authority.issue(LEAF, (LEAF_USAGE, dns("gw1.example.org")))
    begin = leaf.der.index(leaf.tbs)
    for position in range(begin, begin + len(leaf.tbs)):
        bent = bytearray(leaf.der)
        bent[position] ^= 1 << position % 8
        try:
            altered = parse_certificate(bytes(bent))
        except MalformedCertificate:
            continue
        assert isinstance(judge(store(authority), altered, (), NOW_S), Distrusted), position


def _with(one: Certificate, **changes: object) -> Certificate:
    from dataclasses import replace

    return replace(one, **changes)  # type: ignore[arg-type]


# Validity, of the leaf and of all above


@pytest.mark.parametrize(
    ("now_s", "expected"),
    [
        (NOW_S - DAY_S - 1, Refusal.CERTIFICATE_NOT_YET_VALID),
        (NOW_S - DAY_S, None),
        (NOW_S + DAY_S, None),
        (NOW_S + DAY_S + 1, Refusal.CERTIFICATE_EXPIRED),
    ],
)
def test_a_certificate_is_valid_from_its_first_second_to_its_last(now_s: int, expected: Refusal | None) -> None:
    authority = root()
    verdict = judge(store(authority), authority.issue(LEAF), (), now_s)
    if expected is None:
        assert trusted(verdict)
    else:
        assert reason(verdict) is expected


@pytest.mark.parametrize(
    ("validity", "expected"),
    [
        ((NOW_S - 9 * DAY_S, NOW_S - 1), Refusal.CERTIFICATE_EXPIRED),
        ((NOW_S + 1, NOW_S + 9 * DAY_S), Refusal.CERTIFICATE_NOT_YET_VALID),
    ],
)
def test_authorities_expire_as_well(validity: tuple[int, int], expected: Refusal) -> None:
    anchor, own = root(), key("ecdsa256", 5)
    middle = anchor.issue("CN=Middle", (constraint(), CA_USAGE), holder=own, from_s=validity[0], until_s=validity[1])
    leaf = Authority(middle, own).issue(LEAF)
    assert reason(judge(store(anchor), leaf, (middle,), NOW_S)) is expected
    name = "CN=Old root"
    old = Authority(certificate(name, name, own, own, (constraint(), CA_USAGE), validity=validity, hash_=SHA256()), own)
    assert reason(judge(store(old), old.issue(LEAF), (), NOW_S)) is expected


def test_the_explanation_names_certificate_and_date() -> None:
    authority = root()
    verdict = judge(store(authority), authority.issue(LEAF), (), NOW_S + 2 * DAY_S)
    assert verdict == Distrusted(
        Refusal.CERTIFICATE_EXPIRED,
        'the certificate of "C=DE, O=Example, CN=gw1" expired on 2027-01-16 08:00 UTC; here it is 2027-01-17 08:00 UTC',
    )


# Authorities


NO_AUTHORITIES: dict[str, tuple[Extension, ...]] = {
    "no basic constraints": (CA_USAGE,),
    "CA is false": (constraint(ca=False), CA_USAGE),
    "no keyCertSign": (constraint(), (usage("digital_signature", "crl_sign"), True)),
    "a gateway's": (LEAF_USAGE,),
}


@pytest.mark.parametrize("name", NO_AUTHORITIES)
def test_who_is_no_authority_cannot_issue(name: str) -> None:
    anchor, own = root(), key("ecdsa256", 6)
    middle = anchor.issue("CN=Middle", NO_AUTHORITIES[name], holder=own)
    verdict = judge(store(anchor), Authority(middle, own).issue(LEAF), (middle,), NOW_S)
    assert reason(verdict) is Refusal.CERTIFICATE_CONSTRAINED
    self_made = Authority(certificate("CN=X", "CN=X", own, own, NO_AUTHORITIES[name], hash_=SHA256()), own)
    assert reason(judge(store(self_made), self_made.issue(LEAF), (), NOW_S)) is Refusal.CERTIFICATE_CONSTRAINED


def test_an_authority_without_key_usage_may_issue() -> None:
    authority = root("CN=Old", constraint())
    assert trusted(judge(store(authority), authority.issue(LEAF), (), NOW_S))


@pytest.mark.parametrize(("length", "good"), [(0, False), (1, True), (2, True), (None, True)])
def test_the_path_length_of_the_anchor_counts(length: int | None, good: bool) -> None:
    anchor = root("CN=Short", constraint(length), CA_USAGE)
    middle = anchor.authority("CN=Middle")
    verdict = judge(store(anchor), middle.issue(LEAF), (middle.certificate,), NOW_S)
    if good:
        assert trusted(verdict)
    else:
        assert reason(verdict) is Refusal.CERTIFICATE_CONSTRAINED
    assert trusted(judge(store(anchor), anchor.issue(LEAF), (), NOW_S))


def test_the_path_length_in_the_middle_counts() -> None:
    anchor = root()
    middle = anchor.authority("CN=Middle", constraint(0), CA_USAGE)
    lower = middle.authority("CN=Lower")
    chain = (middle.certificate, lower.certificate)
    assert trusted(judge(store(anchor), middle.issue(LEAF), chain, NOW_S))
    assert reason(judge(store(anchor), lower.issue(LEAF), chain, NOW_S)) is Refusal.CERTIFICATE_CONSTRAINED


def test_an_authority_that_certifies_its_own_new_key_does_not_lengthen_the_path() -> None:
    name = "CN=Short"
    anchor = root(name, constraint(0), CA_USAGE)
    own = key("ecdsa256", 8)
    renewed = Authority(anchor.issue(name, (constraint(0), CA_USAGE), holder=own), own)
    assert trusted(judge(store(anchor), renewed.issue(LEAF), (renewed.certificate,), NOW_S))


# What the key is for


@pytest.mark.parametrize("names", [("key_agreement",), ("key_encipherment",), ("key_cert_sign", "crl_sign"), ()])
def test_a_key_that_is_not_for_signatures_proves_nobody(names: tuple[str, ...]) -> None:
    authority = root()
    leaf = authority.issue(LEAF, ((usage(*(names or ("data_encipherment",))), True),))
    assert reason(judge(store(authority), leaf, (), NOW_S)) is Refusal.CERTIFICATE_USAGE


@pytest.mark.parametrize(
    "names", [("digital_signature",), ("content_commitment",), ("digital_signature", "key_agreement")]
)
def test_a_key_for_signatures_is_good(names: tuple[str, ...]) -> None:
    authority = root()
    assert trusted(judge(store(authority), authority.issue(LEAF, ((usage(*names), True),)), (), NOW_S))


def test_a_certificate_without_any_extension_is_good() -> None:
    authority = root()
    assert trusted(judge(store(authority), authority.issue(LEAF, ()), (), NOW_S))


def purposes(*oids: str) -> Extension:
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in oids]), False


GOOD_PURPOSES = {
    "ipsecIKE": ("1.3.6.1.5.5.7.3.17",),
    "any": ("2.5.29.37.0",),
    "iKEIntermediate": ("1.3.6.1.5.5.8.2.2",),
    "serverAuth": ("1.3.6.1.5.5.7.3.1",),
    "clientAuth": ("1.3.6.1.5.5.7.3.2",),
    "one of several": ("1.3.6.1.5.5.7.3.3", "1.3.6.1.5.5.7.3.17"),
}
BAD_PURPOSES = {
    "codeSigning": ("1.3.6.1.5.5.7.3.3",),
    "emailProtection": ("1.3.6.1.5.5.7.3.4",),
    "timeStamping": ("1.3.6.1.5.5.7.3.8",),
    "OCSPSigning": ("1.3.6.1.5.5.7.3.9",),
    "unknown": ("1.2.3.4",),
}


@pytest.mark.parametrize("name", GOOD_PURPOSES)
def test_purposes_that_are_good_for_ike(name: str) -> None:
    authority = root()
    leaf = authority.issue(LEAF, (LEAF_USAGE, purposes(*GOOD_PURPOSES[name])))
    assert trusted(judge(store(authority), leaf, (), NOW_S))


@pytest.mark.parametrize("name", BAD_PURPOSES)
def test_purposes_that_are_not_for_ike(name: str) -> None:
    authority = root()
    leaf = authority.issue(LEAF, (LEAF_USAGE, purposes(*BAD_PURPOSES[name])))
    assert reason(judge(store(authority), leaf, (), NOW_S)) is Refusal.CERTIFICATE_USAGE
    middle = authority.authority("CN=Middle", constraint(), CA_USAGE, purposes(*BAD_PURPOSES[name]))
    verdict = judge(store(authority), middle.issue(LEAF), (middle.certificate,), NOW_S)
    assert reason(verdict) is Refusal.CERTIFICATE_USAGE, "an authority for other things does not make gateways"


def strange(critical: bool) -> Extension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"), critical


@pytest.mark.parametrize("at", ["leaf", "middle", "anchor"])
def test_a_critical_extension_that_is_not_known_stops_the_path(at: str) -> None:
    for critical in (True, False):
        extra = {place: (strange(critical),) if place == at else () for place in ("leaf", "middle", "anchor")}
        anchor = root(f"CN=Strange {critical}", constraint(), CA_USAGE, *extra["anchor"])
        middle = anchor.authority("CN=Middle", constraint(), CA_USAGE, *extra["middle"])
        verdict = judge(store(anchor), middle.issue(LEAF, (LEAF_USAGE, *extra["leaf"])), (middle.certificate,), NOW_S)
        if critical:
            assert reason(verdict) is Refusal.CERTIFICATE_USAGE
        else:
            assert trusted(verdict)


def test_policies_may_be_critical_and_their_constraints_may_not() -> None:
    """No policy is demanded here, so any will do; who restricts them critically wants them judged."""
    authority = root()
    policy = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)])
    assert trusted(judge(store(authority), authority.issue(LEAF, ((policy, True),)), (), NOW_S))
    restrained = root("CN=Policies", constraint(), CA_USAGE, (x509.PolicyConstraints(0, None), True))
    assert reason(judge(store(restrained), restrained.issue(LEAF), (), NOW_S)) is Refusal.CERTIFICATE_USAGE


# Strength


def test_a_short_key_is_refused_wherever_it_stands() -> None:
    short = key("rsa1024")
    anchor = root()
    leaf = anchor.issue(LEAF, holder=short)
    assert reason(judge(store(anchor), leaf, (), NOW_S)) is Refusal.CERTIFICATE_WEAK
    assert trusted(judge(store(anchor, legacy=True), leaf, (), NOW_S))
    middle = Authority(anchor.issue("CN=Short", (constraint(), CA_USAGE), holder=short), short)
    verdict = judge(store(anchor), middle.issue(LEAF), (middle.certificate,), NOW_S)
    assert reason(verdict) is Refusal.CERTIFICATE_WEAK
    weak_root = Authority(certificate("CN=W", "CN=W", short, short, (constraint(), CA_USAGE), hash_=SHA256()), short)
    assert reason(judge(store(weak_root), weak_root.issue(LEAF), (), NOW_S)) is Refusal.CERTIFICATE_WEAK


def test_a_very_short_key_is_for_nobody_not_even_for_legacy_peers() -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    short = RSAPublicNumbers(65_537, (1 << 1000) + 1).public_key()
    public = public_key(short.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    anchor = root()
    leaf = anchor.issue(LEAF, holder=PrivateKey(public, key().key))
    assert leaf.public_key == public
    for legacy in (False, True):
        verdict = judge(store(anchor, legacy=legacy), leaf, (), NOW_S)
        assert reason(verdict) is Refusal.CERTIFICATE_WEAK
        assert "1001 bits" in explained(verdict)


def sha1_signed(authority: Authority) -> Certificate:
    """The library signs nothing with SHA-1 any more; so by hand."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey

    from culvert.crypto.certificates.certificate import parse_certificate

    assert isinstance(authority.key.key, EllipticCurvePrivateKey)
    leaf = authority.issue(LEAF)
    old = der.only(leaf.der, der.SEQUENCE).elements()[1].whole
    weak = der.encode(der.SEQUENCE, der.encode_oid("1.2.840.10045.4.1"))
    parts = [weak if part.whole == old else part.whole for part in der.only(leaf.tbs, der.SEQUENCE).elements()]
    tbs = der.encode(der.SEQUENCE, *parts)
    signature = authority.key.key.sign(tbs, ECDSA(SHA1()))  # noqa: S303
    return parse_certificate(der.encode(der.SEQUENCE, tbs, weak, der.encode(der.BIT_STRING, b"\0" + signature)))


def test_sha_1_is_for_legacy_peers_alone() -> None:
    authority = root()
    leaf = sha1_signed(authority)
    assert reason(judge(store(authority), leaf, (), NOW_S)) is Refusal.CERTIFICATE_WEAK
    assert trusted(judge(store(authority, legacy=True), leaf, (), NOW_S))


def test_who_is_not_known_is_named_together_with_those_who_are() -> None:
    stranger = root("CN=Stranger")
    verdict = judge(store(root(), root("CN=Second")), stranger.issue(LEAF), (), NOW_S)
    assert explained(verdict) == (
        '"C=DE, O=Example, CN=gw1" was issued by "CN=Stranger", which is no authority that is trusted here; '
        'trusted: "C=DE, O=Example, CN=Root", "CN=Second"'
    )
    assert "trusted: none" in explained(judge(TrustStore(()), stranger.issue(LEAF), (), NOW_S))
    assert "signed its certificate itself" in explained(
        judge(store(root()), root("CN=Lonely", LEAF_USAGE).certificate, (), NOW_S)
    )


def test_of_several_ways_that_fail_the_one_that_came_furthest_is_told() -> None:
    """An impostor of the authority's name is tried as well; what is wrong with the true one is the news."""
    anchor = root()
    name, own = "CN=Middle", key("ecdsa256", 51)
    expired = anchor.issue(name, (constraint(), CA_USAGE), holder=own, until_s=NOW_S - 1)
    false = key("ecdsa256", 52)
    impostor = certificate(name, name, false, false, (constraint(), CA_USAGE), hash_=SHA256())
    stale = Authority(expired, own)
    lower = stale.authority("CN=Lower")
    for chain in ((impostor, expired, lower.certificate), (lower.certificate, expired, impostor)):
        verdict = judge(store(anchor), lower.issue(LEAF), chain, NOW_S)
        assert reason(verdict) in (Refusal.CERTIFICATE_EXPIRED, Refusal.CERTIFICATE_UNTRUSTED)
        assert "CN=Middle" in explained(verdict)
    unknown = root("CN=Nobody").issue("CN=Middle", (constraint(), CA_USAGE), holder=own)
    revoked = TrustStore((anchor.certificate,), crls=(anchor.crl(expired.serial + 1),))
    good = anchor.issue(name, (constraint(), CA_USAGE), holder=own)
    assert good.serial == expired.serial + 1
    for chain in ((unknown, good), (good, unknown)):
        verdict = judge(revoked, Authority(good, own).issue(LEAF), chain, NOW_S)
        assert reason(verdict) is Refusal.CERTIFICATE_REVOKED, "the other way merely ends"


def test_an_algorithm_that_is_not_known_is_refused() -> None:
    authority = root()
    leaf = _with(authority.issue(LEAF), scheme=None)
    assert reason(judge(store(authority), leaf, (), NOW_S)) is Refusal.CERTIFICATE_WEAK


# Bounds


def test_a_path_that_is_too_long_is_given_up() -> None:
    last = anchor = root()
    chain = []
    for number in range(MAX_CERTIFICATE_PATH):
        last = last.authority(f"CN=Level {number}", number=1000 + number)
        chain.append(last.certificate)
    verdict = judge(store(anchor), last.issue(LEAF), tuple(chain), NOW_S)
    assert reason(verdict) is Refusal.CERTIFICATE_UNTRUSTED
    assert "too long" in verdict.explanation  # type: ignore[union-attr]
    longest = chain[: MAX_CERTIFICATE_PATH - 2]
    holder = Authority(longest[-1], key("ecdsa256", 1000 + len(longest) - 1))
    path = trusted(judge(store(anchor), holder.issue(LEAF), tuple(longest), NOW_S))
    assert len(path) == MAX_CERTIFICATE_PATH


def test_a_labyrinth_is_left_after_some_steps() -> None:
    """Authorities of one name with many keys that all sign each other: there are more ways than anybody can try."""
    own = [key("ecdsa256", 2000 + number) for number in range(MAX_CERTIFICATE_PATH + 2)]
    name = "CN=Labyrinth"
    mazes = tuple(
        certificate(name, name, holder, signer, (constraint(), CA_USAGE), hash_=SHA256())
        for holder in own
        for signer in own
        if holder is not signer
    )
    leaf = Authority(mazes[0], own[0]).issue(LEAF)
    verdict = judge(TrustStore((root().certificate,), mazes), leaf, (), NOW_S)
    assert reason(verdict) is Refusal.CERTIFICATE_UNTRUSTED
    assert "winding" in verdict.explanation  # type: ignore[union-attr]
    search = _Search(TrustStore((root().certificate,)), mazes, NOW_S)
    search.from_leaf(leaf)
    assert MAX_PATH_STEPS < search.steps <= MAX_PATH_STEPS + MAX_CERTIFICATE_PATH


def test_too_many_certificates_are_refused_unseen() -> None:
    authority = root()
    many = tuple(authority.issue(f"CN={number}") for number in range(MAX_PRESENTED_CERTIFICATES + 1))
    assert reason(judge(store(authority), authority.issue(LEAF), many, NOW_S)) is Refusal.CERTIFICATE_UNTRUSTED
    assert trusted(judge(store(authority), authority.issue(LEAF), many[1:], NOW_S))


def test_a_certificate_that_issued_itself_does_not_lead_in_circles() -> None:
    own = key("ecdsa256", 9)
    loop = certificate("CN=Loop", "CN=Loop", own, own, (constraint(), CA_USAGE), hash_=SHA256())
    leaf = Authority(loop, own).issue(LEAF)
    assert reason(judge(store(root()), leaf, (loop, loop), NOW_S)) is Refusal.CERTIFICATE_UNTRUSTED
    assert reason(judge(store(root()), loop, (loop,), NOW_S)) is Refusal.CERTIFICATE_USAGE


# How names of issuers are compared


def test_an_issuer_is_found_whatever_the_kind_of_its_strings() -> None:
    """An authority that writes its name once as UTF8String and once as PrintableString (RFC 5280 section 7.1)."""
    authority = root("O=Example, CN=Root")
    leaf = authority.issue(LEAF)
    name = leaf.issuer.der
    other = b"".join(bytes((0x13,)) if octet == 0x0C else bytes((octet,)) for octet in name)
    assert other != name or b"\x0c" not in name
    other = name.replace(b"\x0c\x07Example", b"\x13\x07EXAMPLE").replace(b"\x13\x07Example", b"\x0c\x07EXAMPLE")
    assert other != name
    altered = resigned(leaf, authority.key, leaf.tbs.replace(name, other))
    assert trusted(judge(store(authority), altered, (), NOW_S))


# The verdict, and the store


def test_a_verdict_is_not_tested_for_truth() -> None:
    for verdict in (Trusted(()), Distrusted(Refusal.CERTIFICATE_WEAK, "")):
        with pytest.raises(TypeError):
            bool(verdict)


def test_an_authority_below_another_in_the_same_file_is_no_anchor() -> None:
    upper = root()
    lower = upper.authority("CN=Lower")
    made = trust_store((lower.certificate, upper.certificate))
    assert made.anchors == (upper.certificate,)
    assert made.intermediates == (lower.certificate,)
    alone = trust_store((lower.certificate,))
    assert alone.anchors == (lower.certificate,)
    assert trusted(judge(alone, lower.issue(LEAF), (), NOW_S)) != ()
