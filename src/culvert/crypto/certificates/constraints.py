"""Name constraints (RFC 5280 section 4.2.1.10): of whom an authority may speak."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.extensions import Name
from culvert.distinguished_names import ATTRIBUTES, DistinguishedName

MAX_COMPARISONS = 65_536
"""Names times constraints of a path; nobody honest comes near, and a peer's own chain could ask for more."""
_JUDGED = ("dns", "email", "ip", "dn")


def violation(issuer: Certificate, below: Certificate) -> str:
    """Say which name of `below` its authority `issuer` may not certify; empty where all is well."""
    permitted, excluded = issuer.extensions.permitted, issuer.extensions.excluded
    if permitted is None and excluded is None:
        return ""
    names = tuple(_names_of(below))
    if len(names) * (len(permitted or ()) + len(excluded or ())) > MAX_COMPARISONS:
        return "more names than anybody compares"
    limits = (*(permitted or ()), *(excluded or ()))
    for name in names:
        if name.kind not in _JUDGED:
            if any(limit.kind == name.kind for limit in limits):
                return f"{_shown(name)}, of a kind that is not judged here"
        elif _excludes(excluded or (), name) or not _permits(permitted or (), name):
            return _shown(name)
    return ""


def _names_of(certificate: Certificate) -> Iterator[Name]:
    """Give every name: the alternative ones, the subject, and the addresses of e-mail in it."""
    names = certificate.extensions.names
    yield from names
    if not certificate.subject.rdns:
        return
    yield Name("dn", certificate.subject)
    if not any(name.kind == "email" for name in names):
        for one in (one for rdn in certificate.subject.rdns for one in rdn):
            if one.type == ATTRIBUTES["E"] and one.text is not None:
                yield Name("email", one.text.lower())


def _excludes(excluded: tuple[Name, ...], name: Name) -> bool:
    return any(_within(name, limit) or _nearly(name, limit) for limit in excluded)


def _permits(permitted: tuple[Name, ...], name: Name) -> bool:
    """Tell whether `name` is within one of its kind; a kind that is not written there is free."""
    alike = [limit for limit in permitted if limit.kind == name.kind]
    return not alike or any(_within(name, limit) for limit in alike)


def _within(name: Name, limit: Name) -> bool:
    match name, limit:
        case Name("dns", str(value)), Name("dns", str(base)):
            return _below_domain(value.rstrip("."), base.rstrip("."))
        case Name("email", str(value)), Name("email", str(base)):
            return _mailbox_within(value, base)
        case Name("ip", IPv4Address() as address), Name("ip", IPv4Network() as network):
            return address in network
        case Name("ip", IPv6Address() as address), Name("ip", IPv6Network() as network):
            return address in network
        case Name("dn", DistinguishedName() as value), Name("dn", DistinguishedName() as base):
            return value.within(base)
    return False


def _nearly(name: Name, limit: Name) -> bool:
    """Tell whether a distinguished name only looks as if it were without."""
    match name, limit:
        case Name("dn", DistinguishedName() as value), Name("dn", DistinguishedName() as base):
            return value.nearly_within(base)
    return False


def _below_domain(name: str, base: str) -> bool:
    """`example.org` holds itself and all below; `.example.org` what is below; the empty one everything."""
    if not base or base.startswith("."):
        return name.endswith(base)
    return name == base or name.endswith(f".{base}")


def _mailbox_within(mailbox: str, base: str) -> bool:
    """One mailbox, all of a host, or with a point in front all of the hosts below."""
    if "@" in base:
        return mailbox == base
    host = mailbox.rpartition("@")[2]
    return host.endswith(base) if base.startswith(".") or not base else host == base


def _shown(name: Name) -> str:
    return f"{name.value}"
