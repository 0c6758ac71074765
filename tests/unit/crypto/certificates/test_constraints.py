"""Name constraints of each kind, permitted and excluded, in the anchor and below it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from cryptography import x509

from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.judging import judge
from culvert.crypto.certificates.store import Distrusted, Trusted, TrustStore
from culvert.reasons import Refusal
from tests.unit.crypto.certificates.authorities import (
    CA_USAGE,
    LEAF_USAGE,
    NOW_S,
    Authority,
    Extension,
    constraint,
    key,
    root,
    subject,
)


def general(kind: str, value: str, limit: bool = False) -> x509.GeneralName:
    if kind == "dns":
        return x509.DNSName(value)
    if kind == "email":
        return x509.RFC822Name(value)
    if kind == "ip":
        return x509.IPAddress(ip_network(value) if limit else ip_address(value))
    if kind == "uri":
        return x509.UniformResourceIdentifier(value)
    return x509.DirectoryName(subject(value))


def limits(
    permitted: list[x509.GeneralName] | None = None, excluded: list[x509.GeneralName] | None = None
) -> Extension:
    return x509.NameConstraints(permitted, excluded), True


def holder_of(*names: x509.GeneralName) -> tuple[Extension, ...]:
    return (LEAF_USAGE, (x509.SubjectAlternativeName(names), False)) if names else (LEAF_USAGE,)


def verdict_of(limit: Extension, leaf_name: str, *names: x509.GeneralName, at: str = "anchor") -> object:
    """Judge a leaf below an authority with `limit`, which is the anchor, or one below it, or two above the leaf."""
    limited, free = (constraint(), CA_USAGE, limit), (constraint(), CA_USAGE)
    anchor = root("CN=Anchor", *(limited if at == "anchor" else free))
    middle = anchor.authority("CN=Anchor, OU=Middle", *(limited if at == "middle" else free))
    leaf = middle.issue(leaf_name, holder_of(*names))
    return judge(TrustStore((anchor.certificate,)), leaf, (middle.certificate,), NOW_S)


CASES = [
    # kind, limit, name, whether the name is within the limit
    ("dns", "example.org", "example.org", True),
    ("dns", "example.org", "gw1.example.org", True),
    ("dns", "example.org", "a.b.EXAMPLE.ORG", True),
    ("dns", "example.org", "badexample.org", False),
    ("dns", "example.org", "example.org.evil.com", False),
    ("dns", "example.org", "example.com", False),
    ("dns", ".example.org", "gw1.example.org", True),
    ("dns", ".example.org", "example.org", False),
    ("dns", "example.org", "gw1.example.org.", True),
    ("email", "example.org", "admin@example.org", True),
    ("email", "example.org", "admin@gw.example.org", False),
    ("email", ".example.org", "admin@gw.example.org", True),
    ("email", ".example.org", "admin@example.org", False),
    ("email", "admin@example.org", "Admin@example.org", True),
    ("email", "admin@example.org", "other@example.org", False),
    ("ip", "10.0.0.0/8", "10.1.2.3", True),
    ("ip", "10.0.0.0/8", "11.1.2.3", False),
    ("ip", "10.0.0.0/8", "2001:db8::1", False),
    ("ip", "2001:db8::/32", "2001:db8::1", True),
    ("ip", "2001:db8::/32", "2001:db9::1", False),
    ("ip", "2001:db8::/32", "10.1.2.3", False),
    ("ip", "10.1.2.3/32", "10.1.2.3", True),
    ("dn", "C=DE, O=Example", "C=DE, O=Example, CN=gw1", True),
    ("dn", "C=DE, O=Example", "C=de, O=EXAMPLE, CN=gw1", True),
    ("dn", "C=DE, O=Example", "C=DE, O=Other, CN=gw1", False),
    ("dn", "C=DE, O=Example", "O=Example, C=DE", False),
]


@pytest.mark.parametrize("at", ["anchor", "middle"])
@pytest.mark.parametrize(("kind", "limit", "name", "within"), CASES)
def test_a_name_within_and_one_without(kind: str, limit: str, name: str, within: bool, at: str) -> None:
    bound, holder = general(kind, limit, limit=True), general(kind, name)
    leaf_name = "C=DE, O=Example, CN=leaf" if kind == "dn" else "CN=leaf"
    # The authority in the middle has a name of its own, which a permitted subtree of names must leave it.
    own = [x509.DirectoryName(subject("CN=Anchor"))] if kind == "dn" else []
    permitted = verdict_of(limits([bound, *own]), leaf_name, holder, at=at)
    assert isinstance(permitted, Trusted) == within, permitted
    excluded = verdict_of(limits(None, [bound]), "CN=leaf", holder, at=at)
    assert isinstance(excluded, Distrusted) == within, excluded
    for verdict in (permitted, excluded):
        if isinstance(verdict, Distrusted):
            assert verdict.reason is Refusal.CERTIFICATE_CONSTRAINED
            assert "name constraints" in verdict.explanation


def test_the_subject_is_a_name_too() -> None:
    limit = limits([x509.DirectoryName(subject("C=DE"))])
    anchor = root("C=DE, CN=Anchor", constraint(), CA_USAGE, limit)
    store = TrustStore((anchor.certificate,))
    assert isinstance(judge(store, anchor.issue("C=DE, CN=gw"), (), NOW_S), Trusted)
    assert isinstance(judge(store, anchor.issue("C=FR, CN=gw"), (), NOW_S), Distrusted)


@pytest.mark.parametrize("alike", ["O=\uff25xample", "O=Ex\u200bample", "O=EXAMPLE "])
def test_who_looks_like_the_excluded_is_excluded_and_not_permitted_for_that(alike: str) -> None:
    base = [x509.DirectoryName(subject("O=Example"))]
    for limit, good in ((limits(None, base), False), (limits([*base], None), alike.isascii())):
        anchor = root("CN=Alike", constraint(), CA_USAGE, limit)
        leaf = anchor.issue(
            "O=Example, CN=leaf" if good else "O=Other, CN=leaf", holder_of(general("dn", f"{alike}, CN=gw"))
        )
        assert isinstance(judge(TrustStore((anchor.certificate,)), leaf, (), NOW_S), Trusted) == good


def test_the_e_mail_address_in_a_subject_counts_where_there_is_no_other() -> None:
    limit = limits([x509.RFC822Name("example.org")])
    anchor = root("CN=Mail", constraint(), CA_USAGE, limit)
    store = TrustStore((anchor.certificate,))
    assert isinstance(judge(store, anchor.issue("CN=a, E=a@example.org"), (), NOW_S), Trusted)
    assert isinstance(judge(store, anchor.issue("CN=a, E=a@example.com"), (), NOW_S), Distrusted)


def test_every_name_must_be_permitted_and_one_excluded_is_enough() -> None:
    good, bad = x509.DNSName("gw.example.org"), x509.DNSName("gw.example.com")
    permitted = limits([x509.DNSName("example.org")])
    assert isinstance(verdict_of(permitted, "CN=a", good), Trusted)
    assert isinstance(verdict_of(permitted, "CN=a", good, bad), Distrusted)
    assert isinstance(verdict_of(permitted, "CN=a", bad, good), Distrusted)
    excluded = limits(None, [x509.DNSName("example.com")])
    assert isinstance(verdict_of(excluded, "CN=a", good), Trusted)
    assert isinstance(verdict_of(excluded, "CN=a", good, bad), Distrusted)


def test_what_is_permitted_may_be_excluded_in_part() -> None:
    limit = limits([x509.DNSName("example.org")], [x509.DNSName("secret.example.org")])
    assert isinstance(verdict_of(limit, "CN=a", x509.DNSName("gw.example.org")), Trusted)
    assert isinstance(verdict_of(limit, "CN=a", x509.DNSName("gw.secret.example.org")), Distrusted)


def test_one_of_several_permitted_is_enough() -> None:
    limit = limits([x509.DNSName("example.org"), x509.DNSName("example.com")])
    for name in ("gw.example.org", "gw.example.com"):
        assert isinstance(verdict_of(limit, "CN=a", x509.DNSName(name)), Trusted)


def test_a_kind_that_is_not_limited_is_free() -> None:
    limit = limits([x509.DNSName("example.org")])
    assert isinstance(verdict_of(limit, "CN=a", x509.IPAddress(ip_address("10.0.0.1"))), Trusted)
    assert isinstance(verdict_of(limit, "CN=a"), Trusted)


def test_limits_of_several_authorities_all_count() -> None:
    outer, inner = limits([x509.DNSName("example.org")]), limits([x509.DNSName("gw.example.org")])
    anchor = root("CN=Outer", constraint(), CA_USAGE, outer)
    middle = anchor.authority("CN=Inner", constraint(), CA_USAGE, inner)
    store = TrustStore((anchor.certificate,))

    def good(name: str) -> bool:
        leaf = middle.issue("CN=a", holder_of(x509.DNSName(name)))
        return isinstance(judge(store, leaf, (middle.certificate,), NOW_S), Trusted)

    assert good("gw.example.org")
    assert not good("other.example.org")
    wide = anchor.authority("CN=Wide", constraint(), CA_USAGE, limits([x509.DNSName("org")]))
    leaf = wide.issue("CN=a", holder_of(x509.DNSName("other.org")))
    assert isinstance(judge(store, leaf, (wide.certificate,), NOW_S), Distrusted), "the inner one cannot widen"


@pytest.mark.parametrize("part", [0, 1])
def test_a_kind_that_is_not_judged_is_refused_where_it_is_limited(part: int) -> None:
    bound = [x509.UniformResourceIdentifier("example.org")]
    limit = limits(bound, None) if part == 0 else limits(None, bound)
    assert isinstance(verdict_of(limit, "CN=a", x509.UniformResourceIdentifier("http://example.org/")), Distrusted)
    assert isinstance(verdict_of(limit, "CN=a", x509.DNSName("gw.example.org")), Trusted)


@pytest.mark.parametrize("part", [0, 1])
def test_a_kind_that_is_not_judged_is_no_matter_where_others_are_limited(part: int) -> None:
    bound = [x509.DNSName("example.com")]
    limit = limits(bound, None) if part == 0 else limits(None, bound)
    names = (x509.UniformResourceIdentifier("http://example.org/"), x509.RegisteredID(x509.ObjectIdentifier("1.2.3")))
    assert isinstance(verdict_of(limit, "CN=a", *names), Trusted)


def test_an_empty_subject_is_no_name() -> None:
    limit = limits([x509.DirectoryName(subject("C=DE"))])
    anchor = root("C=DE, CN=Anchor", constraint(), CA_USAGE, limit)
    leaf = anchor.issue("", holder_of(x509.DNSName("gw.example.org")))
    assert isinstance(judge(TrustStore((anchor.certificate,)), leaf, (), NOW_S), Trusted)


def test_the_e_mail_address_in_a_subject_does_not_count_beside_another() -> None:
    """RFC 5280 section 4.2.1.10: only where the certificate has no alternative name of that kind."""
    limit = limits([x509.RFC822Name("example.org")])
    anchor = root("CN=Mail", constraint(), CA_USAGE, limit)
    leaf = anchor.issue("CN=a, E=a@example.com", holder_of(x509.RFC822Name("a@example.org")))
    assert isinstance(judge(TrustStore((anchor.certificate,)), leaf, (), NOW_S), Trusted)


def test_an_empty_limit_holds_everything_of_its_kind() -> None:
    empty, name = x509.DNSName(""), x509.DNSName("a.org")
    assert isinstance(verdict_of(limits([empty]), "CN=a", name), Trusted)
    assert isinstance(verdict_of(limits(None, [empty]), "CN=a", name), Distrusted)


def test_authorities_are_limited_as_well() -> None:
    limit = limits([x509.DirectoryName(subject("C=DE"))])
    anchor = root("CN=Any", constraint(), CA_USAGE, limit)
    inside, outside = anchor.authority("C=DE, CN=In"), anchor.authority("C=FR, CN=Out")
    store = TrustStore((anchor.certificate,))
    assert isinstance(judge(store, inside.issue("C=DE, CN=a"), (inside.certificate,), NOW_S), Trusted)
    assert isinstance(judge(store, outside.issue("C=DE, CN=a"), (outside.certificate,), NOW_S), Distrusted)


def test_an_authority_that_certifies_its_own_new_key_is_exempt_and_its_leaf_is_not() -> None:
    """RFC 5280 section 6.1.3 b: self-issued certificates that are not the last."""
    limit = limits([x509.DirectoryName(subject("C=DE"))])
    anchor, own = root("CN=Renewed", constraint(), CA_USAGE, limit), key("ecdsa256", 31)
    renewed = Authority(anchor.issue("CN=Renewed", (constraint(), CA_USAGE), holder=own), own)
    store = TrustStore((anchor.certificate,))
    assert isinstance(judge(store, renewed.issue("C=DE, CN=a"), (renewed.certificate,), NOW_S), Trusted)
    assert isinstance(judge(store, renewed.issue("C=FR, CN=a"), (renewed.certificate,), NOW_S), Distrusted)
    assert isinstance(
        judge(store, renewed.issue("CN=Renewed", holder=key()), (renewed.certificate,), NOW_S), Distrusted
    )


def test_the_number_of_comparisons_is_bounded() -> None:
    names = [x509.DNSName(f"n{number}.example.org") for number in range(256)]
    limit = limits([x509.DNSName(f"m{number}.example.org") for number in range(256)], names[:8])
    verdict = verdict_of(limit, "CN=a", *names)
    assert isinstance(verdict, Distrusted)
    assert "more names than anybody compares" in verdict.explanation


def test_limits_that_are_not_critical_count_too() -> None:
    limit = (x509.NameConstraints([x509.DNSName("example.org")], None), False)
    assert isinstance(verdict_of(limit, "CN=a", x509.DNSName("gw.example.com")), Distrusted)


def test_the_helper_makes_certificates() -> None:
    assert isinstance(root("CN=Anchor").certificate, Certificate)
