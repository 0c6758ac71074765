"""A small authority: it is made, certifies gateways and takes certificates back, each in one go."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from culvert.addresses import IPAddress
from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.issuing import Issuer, Span, authority, gateway, revocation_list, serial_number
from culvert.crypto.certificates.revocation import RevocationList
from culvert.crypto.certificates.times import written_time
from culvert.crypto.public_keys import KEY_KINDS, PrivateKey, generate_key
from culvert.distinguished_names import DistinguishedName
from culvert.entropy import Entropy
from culvert.errors import Problem
from culvert.pki.directory import CERTIFICATE, KEY, LIST, RESERVED, Directory
from culvert.pki.failures import PkiError, WrongUsage

DAY_S = 86_400
AUTHORITY_DAYS, GATEWAY_DAYS, MAX_DAYS = 3652, 1096, 36_525
"""Ten years, three, and the most that anybody can mean."""
SLACK_S = 3600
"""So much before now a certificate begins: clocks differ, and a gateway just out of its box may be slow."""
MAX_HOST = 253
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_HOST = re.compile(r"([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


@dataclass(frozen=True, slots=True)
class Edge:
    """What comes from outside: the time of day in seconds since 1970, and randomness."""

    now_s: int
    entropy: Entropy

    def span(self, days: int, at_most_s: int | None = None) -> Span:
        until_s = self.now_s + days * DAY_S
        return Span(self.now_s - SLACK_S, until_s if at_most_s is None else min(until_s, at_most_s))


@dataclass(frozen=True, slots=True)
class Made:
    """What a command made: a certificate, and the files that it wrote."""

    certificate: Certificate
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Revoked:
    """What was taken back. `anew` are those that were not so before."""

    certificates: tuple[Certificate, ...]
    anew: tuple[Certificate, ...]
    crl: RevocationList
    file: Path


def make_authority(
    directory: Directory, name: str, edge: Edge, *, kind: str = KEY_KINDS[0], days: int = AUTHORITY_DAYS
) -> Made:
    """Make an authority with an empty list of revocations. Raise CulvertError."""
    _check_days(days)
    subject = _subject(name)
    with directory.locked():
        if directory.has_authority():
            raise PkiError(
                Problem(
                    "there is an authority already",
                    str(directory.path),
                    "Use it: culvert pki gateway NAME; or make another elsewhere, with --dir.",
                )
            )
        key = generate_key(kind, edge.entropy)
        certificate = _issued(lambda: authority(subject, key, serial_number(edge.entropy), edge.span(days)), name)
        written = _list(directory, Issuer(certificate, key), None, (), edge)
        files = (directory.write_key(KEY, key), directory.write_certificate(CERTIFICATE, certificate), written[1])
    return Made(certificate, files)


def make_gateway(
    directory: Directory,
    name: str,
    addresses: Sequence[str],
    edge: Edge,
    *,
    kind: str = KEY_KINDS[0],
    days: int = GATEWAY_DAYS,
    renew: bool = False,
) -> Made:
    """Certify a gateway. `addresses` are addresses and names at which it is reached, beside its own `name`.

    With `renew` it keeps its key, and its addresses where none are given. Raise CulvertError.
    """
    _check_days(days)
    _check_name(name)
    with directory.locked():
        issuer = directory.issuer()
        former = _former(directory, issuer, name, edge, renew=renew)
        names = _names(name, addresses or (_addresses_of(former) if former and renew else ()))
        key = _kept(directory, name, former) if former and renew else generate_key(kind, edge.entropy)
        certificate = _certified(issuer, key, names, edge, days)
        directory.remember(certificate)
        files = [] if renew else [directory.write_key(f"{name}.key", key)]
        files.append(directory.write_certificate(f"{name}.pem", certificate))
    return Made(certificate, tuple(files))


def revoke(directory: Directory, which: str, edge: Edge) -> Revoked:
    """Take certificates back: all of a gateway's name, or the one in a file. Raise CulvertError."""
    with directory.locked():
        issuer = directory.issuer()
        found = _found(directory, which, edge)
        for one in found:
            if not one.signed_by(issuer.key.public) or one == issuer.certificate:
                what = f"the certificate of {one} was not issued by {issuer.certificate}"
                advice = "Only its own authority can revoke it; name that one's folder by --dir."
                raise PkiError(Problem(what, which, advice))
        before = directory.revoked(issuer)
        anew = tuple(one for one in found if before is None or one.serial not in before.serials)
        if before is not None and not anew:
            return Revoked(found, (), before, directory.path / LIST)
        crl, path = _list(directory, issuer, before, [one.serial for one in anew], edge)
    return Revoked(found, anew, crl, path)


def _list(
    directory: Directory, issuer: Issuer, before: RevocationList | None, revoked: Sequence[int], edge: Edge
) -> tuple[RevocationList, Path]:
    """Write the next list; it counts as long as the authority does, for nobody renews it by a clock."""
    from_s = max(edge.now_s - SLACK_S, before.this_update_s if before else 0)
    crl = revocation_list(issuer, before, revoked, Span(from_s, issuer.certificate.not_after_s))
    return crl, directory.write_list(crl)


def _former(directory: Directory, issuer: Issuer, name: str, edge: Edge, *, renew: bool) -> Certificate | None:
    """Give the certificate that stands there. Raise PkiError where one that still counts would be lost."""
    path = directory.path / f"{name}.pem"
    if not path.exists():
        if renew:
            raise PkiError(Problem(f"{name} has no certificate to renew", str(path), "Leave --renew out."))
        return None
    former = directory.certificate(path)
    before = directory.revoked(issuer)
    gone = former.not_after_s < edge.now_s or (before is not None and former.serial in before.serials)
    if not gone and not renew:
        raise PkiError(
            Problem(
                f"{name} has a certificate, valid until {written_time(former.not_after_s)}",
                str(path),
                f"Renew it: culvert pki gateway {name} --renew; or take it back first: culvert pki revoke {name}.",
            )
        )
    return former


def _kept(directory: Directory, name: str, former: Certificate) -> PrivateKey:
    """Give the key of a certificate that is to be renewed."""
    path = directory.path / f"{name}.key"
    key = directory.key(path)
    if key.public != former.public_key:
        what = f"this is not the key of {name}.pem"
        raise PkiError(Problem(what, str(path), f"Bring it back from a copy, or revoke {name} and make it anew."))
    return key


def _certified(issuer: Issuer, key: PrivateKey, names: Sequence[str], edge: Edge, days: int) -> Certificate:
    """Issue to the holder of `key`; the first of `names` is the gateway's own."""
    above, name = issuer.certificate, names[0]
    if not above.valid_at(edge.now_s):
        validity = f"{written_time(above.not_before_s)} to {written_time(above.not_after_s)}"
        what = f"the authority {above} certifies nobody now: it is valid from {validity}"
        raise PkiError(
            Problem(what, "", "Look at this machine's clock, or make another authority: culvert pki ca --dir NEW.")
        )
    span, serial = edge.span(days, above.not_after_s), serial_number(edge.entropy)
    return _issued(lambda: gateway(issuer, _common_name(name), key.public, names, serial=serial, span=span), name)


def _issued(make: Callable[[], Certificate], name: str) -> Certificate:
    try:
        return make()
    except ValueError as error:
        raise PkiError(Problem(f"{name}: {error}", "", "X.509 takes 64 characters in a name.")) from None


def _names(name: str, addresses: Sequence[str]) -> tuple[str, ...]:
    """Give everything that stands in the certificate: its own name first."""
    for text in addresses:
        if _address(text) is None and not (_HOST.fullmatch(text) and len(text) <= MAX_HOST):
            what = f"{text[:MAX_HOST]!r} is neither an address nor a name of a host"
            raise WrongUsage(Problem(what, "--address", "Write it like 203.0.113.1 or gw1.example.org."))
    return tuple(dict.fromkeys((name, *addresses)))


def _addresses_of(former: Certificate) -> tuple[str, ...]:
    return tuple(str(name.value) for name in former.extensions.names if name.kind in ("dns", "ip"))


def _address(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _found(directory: Directory, which: str, edge: Edge) -> tuple[Certificate, ...]:
    """Find all certificates of a gateway that have not expired, former ones included; or the one in a file."""
    if _NAME.fullmatch(which) and which not in RESERVED:
        named = directory.path / f"{which}.pem"
        current = (directory.certificate(named),) if named.exists() else ()
        former = (one for one in directory.issued() if _is_of(one, which) and one.not_after_s >= edge.now_s)
        if found := tuple(dict.fromkeys((*current, *former))):
            return found
    if Path(which).exists():
        return (directory.certificate(Path(which)),)
    raise PkiError(
        Problem(
            f"there is no gateway {which[:MAX_HOST]!r} and no such file",
            str(directory.path),
            f"Gateways here: {', '.join(gateways(directory)) or 'none'}.",
        )
    )


def _is_of(certificate: Certificate, name: str) -> bool:
    return certificate.subject.same(_common_name(name))


def _common_name(name: str) -> DistinguishedName:
    return DistinguishedName.parse(f'CN="{name}"')


def gateways(directory: Directory) -> tuple[str, ...]:
    """Give the names of all that were certified here."""
    return tuple(sorted(path.stem for path in directory.path.glob("[!.]*.pem") if path.stem not in RESERVED))


def _subject(name: str) -> DistinguishedName:
    """Read the name of an authority: a distinguished name, or what is to be its CN."""
    try:
        if "=" in name:
            return DistinguishedName.parse(name)
        if not name.strip() or not name.isprintable() or '"' in name or "\\" in name:
            raise ValueError("a name has letters, and neither quotes nor backslashes")
        return _common_name(name.strip())
    except ValueError as error:
        raise WrongUsage(
            Problem(str(error), "--name", 'Write it like "Example CA" or "O=Example, CN=Example CA".')
        ) from None


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name.endswith(".") or name.lower() in RESERVED:
        what = f"{name[:MAX_HOST]!r} cannot be the name of a gateway"
        raise WrongUsage(Problem(what, "", 'Use letters, digits, ".", "_" and "-"; "ca" and "crl" are taken.'))


def _check_days(days: int) -> None:
    if not 1 <= days <= MAX_DAYS:
        raise WrongUsage(Problem(f"{days} days are out of bounds", "--days", f"Write 1 to {MAX_DAYS}."))
