"""What the extensions of a certificate say (RFC 5280 section 4.2), as plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Flag, auto
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from culvert.addresses import IPAddress, IPNetwork
from culvert.distinguished_names import DistinguishedName

MAX_GENERAL_NAMES = 256
"""Names of one extension; a gateway has a handful, an authority's constraints some dozens."""
_LETTERS = re.compile(r"[\x21-\x7e]*")


class KeyUsage(Flag):
    """What a key may be used for (RFC 5280 section 4.2.1.3), as far as anybody here asks."""

    NOTHING = 0
    DIGITAL_SIGNATURE = auto()
    CONTENT_COMMITMENT = auto()
    KEY_CERT_SIGN = auto()
    CRL_SIGN = auto()
    OTHER = auto()


class Name(NamedTuple):
    """A general name: `kind` is "dns", "email", "ip", "dn", "uri" or "other".

    `value` is lower case where letters do not count. For "ip" it is an address, in constraints a network.
    """

    kind: str
    value: str | IPAddress | IPNetwork | DistinguishedName


@dataclass(frozen=True, slots=True)
class Extensions:
    """All of them. None: the certificate does not have it.

    `path_length` counts the authorities below this one. `permitted` and `excluded` are name constraints.
    `unknown_critical` are those that must be understood and are not. `crl_points` are where the issuer's lists are.
    """

    ca: bool = False
    path_length: int | None = None
    key_usage: KeyUsage | None = None
    extended_key_usage: tuple[str, ...] | None = None
    names: tuple[Name, ...] = ()
    permitted: tuple[Name, ...] | None = None
    excluded: tuple[Name, ...] | None = None
    subject_key: bytes | None = None
    authority_key: bytes | None = None
    crl_points: tuple[str, ...] = ()
    unknown_critical: tuple[str, ...] = ()


_UNDERSTOOD = (
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.NAME_CONSTRAINTS,
    # Policies are of no consequence where none is demanded (RFC 5280 section 6.1.1, any-policy).
    ExtensionOID.CERTIFICATE_POLICIES,
)
_USAGES = {
    "digital_signature": KeyUsage.DIGITAL_SIGNATURE,
    "content_commitment": KeyUsage.CONTENT_COMMITMENT,
    "key_cert_sign": KeyUsage.KEY_CERT_SIGN,
    "crl_sign": KeyUsage.CRL_SIGN,
    "key_encipherment": KeyUsage.OTHER,
    "data_encipherment": KeyUsage.OTHER,
    "key_agreement": KeyUsage.OTHER,
}


def read_extensions(extensions: x509.Extensions) -> Extensions:
    """Take them over. Raise ValueError where one contradicts itself or the bounds."""
    by_oid = {one.oid: one.value for one in extensions}
    constraints = by_oid.get(ExtensionOID.BASIC_CONSTRAINTS)
    usage = by_oid.get(ExtensionOID.KEY_USAGE)
    purposes = by_oid.get(ExtensionOID.EXTENDED_KEY_USAGE)
    names = by_oid.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    limits = by_oid.get(ExtensionOID.NAME_CONSTRAINTS)
    subject_key = by_oid.get(ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    authority_key = by_oid.get(ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    points = by_oid.get(ExtensionOID.CRL_DISTRIBUTION_POINTS)
    return Extensions(
        ca=constraints.ca if isinstance(constraints, x509.BasicConstraints) else False,
        path_length=constraints.path_length if isinstance(constraints, x509.BasicConstraints) else None,
        key_usage=_usage(usage) if isinstance(usage, x509.KeyUsage) else None,
        extended_key_usage=_purposes(purposes),
        names=_names(list(names)) if isinstance(names, x509.SubjectAlternativeName) else (),
        permitted=_limits(limits.permitted_subtrees) if isinstance(limits, x509.NameConstraints) else None,
        excluded=_limits(limits.excluded_subtrees) if isinstance(limits, x509.NameConstraints) else None,
        subject_key=subject_key.digest if isinstance(subject_key, x509.SubjectKeyIdentifier) else None,
        authority_key=authority_key.key_identifier if isinstance(authority_key, x509.AuthorityKeyIdentifier) else None,
        crl_points=tuple(_places(points)) if isinstance(points, x509.CRLDistributionPoints) else (),
        unknown_critical=tuple(
            one.oid.dotted_string for one in extensions if one.critical and one.oid not in _UNDERSTOOD
        ),
    )


def _usage(extension: x509.KeyUsage) -> KeyUsage:
    usage = KeyUsage.NOTHING
    for name, flag in _USAGES.items():
        if getattr(extension, name):
            usage |= flag
    return usage


def _purposes(extension: x509.ExtensionType | None) -> tuple[str, ...] | None:
    if not isinstance(extension, x509.ExtendedKeyUsage):
        return None
    return tuple(purpose.dotted_string for purpose in extension)


def _limits(names: list[x509.GeneralName] | None) -> tuple[Name, ...]:
    return _names(names or [])


def _names(names: list[x509.GeneralName]) -> tuple[Name, ...]:
    if len(names) > MAX_GENERAL_NAMES:
        raise ValueError(f"more than {MAX_GENERAL_NAMES} names in one extension")
    return tuple(map(read_name, names))


def read_name(name: x509.GeneralName) -> Name:
    """Take over one general name."""
    match name:
        case x509.DNSName():
            return Name("dns", _letters(name.value))
        case x509.RFC822Name():
            return Name("email", _letters(name.value))
        case x509.IPAddress():
            return Name("ip", _addresses(name.value))
        case x509.DirectoryName():
            return Name("dn", DistinguishedName.of_der(name.value.public_bytes()))
        case x509.UniformResourceIdentifier():
            return Name("uri", _letters(name.value))
    return Name("other", type(name).__name__)


def _letters(text: str) -> str:
    """Refuse what no honest name holds, and what is read in two ways: a blank, a control character, an octet 0."""
    if not _LETTERS.fullmatch(text):
        raise ValueError("a name with letters that no name has")
    return text.lower()


def _addresses(value: object) -> IPAddress | IPNetwork:
    if isinstance(value, IPv4Address | IPv6Address):
        return value
    return ip_network(str(value))


def _places(points: x509.CRLDistributionPoints) -> list[str]:
    """Give the URIs at which lists are, in lower case only where RFC 3986 says so: as they are."""
    return [
        name.value
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]
