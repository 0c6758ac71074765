"""Certificate revocation lists (RFC 5280 section 5), read from files; nothing is ever fetched."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from culvert import der
from culvert.crypto import pem
from culvert.crypto.certificates.frame import frame
from culvert.crypto.public_keys import PublicKey, guarded
from culvert.crypto.signature_schemes import Scheme, scheme_of, verifies
from culvert.distinguished_names import DistinguishedName

MAX_CRL_OCTETS = 4 * 1024 * 1024
"""Some hundred thousand revocations."""


class MalformedList(ValueError):  # noqa: N818 - the name says what is the case
    """No revocation list, or one that cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list: who issued it, when, until when it counts (seconds since 1970; None: no end), and the serial numbers.

    `unusable` says why it is not used at all. `partial`: it does not speak of all of the issuer's certificates, so
    that what is missing in it may be revoked all the same. `only` is "users" or "authorities" where it speaks of these
    alone.
    """

    der: bytes = field(repr=False)
    issuer: DistinguishedName = field(compare=False)
    this_update_s: int = field(compare=False)
    next_update_s: int | None = field(compare=False)
    serials: frozenset[int] = field(compare=False, repr=False)
    scheme: Scheme | None = field(compare=False, repr=False)
    signature: bytes = field(compare=False, repr=False)
    tbs: bytes = field(compare=False, repr=False)
    number: int = field(default=0, compare=False)
    only: str = field(default="", compare=False, repr=False)
    partial: bool = field(default=False, compare=False, repr=False)
    unusable: str = field(default="", compare=False, repr=False)

    def signed_by(self, issuer: PublicKey) -> bool:
        return self.scheme is not None and verifies(self.scheme, issuer, self.signature, self.tbs)

    def speaks_of(self, *, authority: bool) -> bool:
        """Tell whether certificates of authorities, or of users, are a matter of this list."""
        return self.only != ("users" if authority else "authorities")

    def current_at(self, now_s: int) -> bool:
        return self.this_update_s <= now_s and (self.next_update_s is None or now_s <= self.next_update_s)

    @property
    def age(self) -> tuple[int, int]:
        """What is greater for a newer list of the same issuer."""
        return self.this_update_s, self.number


def parse_crl(data: bytes) -> RevocationList:
    """Read one list in DER. Raise MalformedList, whatever is wrong with it."""
    if len(data) > MAX_CRL_OCTETS:
        raise MalformedList(f"a revocation list of more than {MAX_CRL_OCTETS} octets")
    try:
        return _parse(data)
    except MalformedList:
        raise
    except ValueError as error:
        raise MalformedList(f"no revocation list that can be read: {error}") from None


def parse_crls(data: bytes) -> tuple[RevocationList, ...]:
    """Read all lists of a file, PEM or a single one in DER. Raise MalformedList."""
    if b"-----BEGIN" not in data:
        return (parse_crl(data),)
    try:
        return tuple(parse_crl(one.data) for one in pem.read(data) if one.label == "X509 CRL")
    except pem.PemError as error:
        raise MalformedList(str(error)) from None


def _parse(data: bytes) -> RevocationList:
    tbs, algorithm, signature = frame(data)
    fields = list(tbs.elements())
    if fields and fields[0].tag == der.INTEGER:
        fields.pop(0)
    if len(fields) < 3 or fields[0].whole != algorithm:
        raise MalformedList("a part is missing, or it names two signature algorithms")
    parsed = guarded(lambda: x509.load_der_x509_crl(data))
    times = guarded(lambda: (parsed.last_update_utc, parsed.next_update_utc))
    entries = [one for one in fields[3:] if one.tag == der.SEQUENCE]
    serials, strange = _revoked(entries)
    scope = guarded(lambda: _scope(parsed))
    return RevocationList(
        der=data,
        issuer=DistinguishedName.of_der(fields[1].whole),
        this_update_s=int(times[0].timestamp()),
        next_update_s=int(times[1].timestamp()) if times[1] else None,
        serials=serials,
        scheme=scheme_of(algorithm),
        signature=signature,
        tbs=tbs.whole,
        number=scope.number,
        only=scope.only,
        partial=scope.partial,
        unusable=scope.unusable or strange,
    )


def _revoked(lists: list[der.Element]) -> tuple[frozenset[int], str]:
    """Give the serial numbers, and what makes the list unusable: an entry that says more than we understand."""
    serials, strange = set(), ""
    for entry in (entry for one in lists for entry in one.elements()):
        parts = entry.elements()
        if len(parts) < 2:
            raise der.DerError("a revocation without serial number or date")
        serials.add(der.integer(parts[0]))
        if len(parts) > 2 and any(map(_is_critical, _extensions_of(parts[2]))):
            strange = "an entry has a critical extension, as lists of several issuers do"
    return frozenset(serials), strange


def _extensions_of(element: der.Element) -> Iterator[tuple[der.Element, ...]]:
    return (extension.elements() for extension in element.elements())


def _is_critical(extension: tuple[der.Element, ...]) -> bool:
    return len(extension) == 3 and extension[1].content != b"\x00"


@dataclass(slots=True)
class _Scope:
    """Of what a list speaks (RFC 5280 section 5.2)."""

    number: int = 0
    only: str = ""
    partial: bool = False
    unusable: str = ""


def _scope(parsed: x509.CertificateRevocationList) -> _Scope:
    scope = _Scope()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extensions = parsed.extensions
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.CRLNumber):
            scope.number = value.crl_number
        elif isinstance(value, x509.IssuingDistributionPoint):
            _restrict(scope, value)
        elif isinstance(value, x509.DeltaCRLIndicator):
            scope.unusable = "it is a delta list"
        elif extension.critical and extension.oid != ExtensionOID.AUTHORITY_KEY_IDENTIFIER:
            scope.unusable = f"it has a critical extension that is not known ({extension.oid.dotted_string})"
    return scope


def _restrict(scope: _Scope, point: x509.IssuingDistributionPoint) -> None:
    if point.indirect_crl:
        scope.unusable = "it is an indirect list"
    elif point.only_some_reasons or point.only_contains_attribute_certs:
        scope.unusable = "it tells of some reasons, or of attribute certificates, only"
    if point.only_contains_user_certs:
        scope.only = "users"
    elif point.only_contains_ca_certs:
        scope.only = "authorities"
    scope.partial = point.full_name is not None or point.relative_name is not None
