"""Certificates and revocation lists that a small authority issues. Everything comes in; files are somebody else's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from culvert.addresses import IPAddress
from culvert.crypto.certificates.certificate import Certificate, parse_certificate
from culvert.crypto.certificates.revocation import RevocationList, parse_crl
from culvert.crypto.public_keys import PrivateKey, PublicKey
from culvert.distinguished_names import DistinguishedName
from culvert.entropy import Entropy, below

_PURPOSES = (ExtendedKeyUsageOID.IPSEC_IKE, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
"""The first is IKE's (RFC 4945 section 5.1.3.12); some peers ask for one of the others."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority that can sign."""

    certificate: Certificate
    key: PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when, in seconds since 1970."""

    from_s: int
    until_s: int


def serial_number(entropy: Entropy) -> int:
    """Draw a serial number that nobody can foresee, of 127 bits (RFC 5280 section 4.1.2.2)."""
    return 1 + below(entropy, 2**127 - 1)


def authority(name: DistinguishedName, key: PrivateKey, serial: int, span: Span) -> Certificate:
    """Make the certificate of an authority that signs for itself and has gateways below it, no authorities.

    Raise ValueError where a part of `name` is longer than X.509 allows.
    """
    subject = _name(name)
    builder = _builder(subject, subject, key.public, serial, span)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    return _signed(builder, key)


def gateway(
    issuer: Issuer, name: DistinguishedName, holder: PublicKey, names: Iterable[str], *, serial: int, span: Span
) -> Certificate:
    """Make the certificate of a gateway. `names` are its names and addresses (subjectAltName). Raise ValueError."""
    above = x509.load_der_x509_certificate(issuer.certificate.der)
    builder = _builder(_name(name), above.subject, holder, serial, span)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(digital_signature=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(_PURPOSES), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(map(_general_name, names)), critical=False)
    public = issuer.key.public.key
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
    return _signed(builder.add_extension(identifier, critical=False), issuer.key)


def revocation_list(
    issuer: Issuer, previous: RevocationList | None, revoked: Iterable[int], span: Span
) -> RevocationList:
    """Make the next list after `previous`: what stands in that, and `revoked` besides."""
    above = x509.load_der_x509_certificate(issuer.certificate.der)
    builder = x509.CertificateRevocationListBuilder(above.subject, _time(span.from_s), _time(span.until_s))
    for entry in _entries(previous, revoked, span.from_s):
        builder = builder.add_revoked_certificate(entry)
    number = 1 if previous is None else previous.number + 1
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public.key)
    builder = builder.add_extension(identifier, critical=False)
    made = builder.sign(issuer.key.key, _hash(issuer.key))
    return parse_crl(made.public_bytes(Encoding.DER))


def _entries(previous: RevocationList | None, revoked: Iterable[int], now_s: int) -> list[x509.RevokedCertificate]:
    before = [] if previous is None else list(x509.load_der_x509_crl(previous.der))
    known = {entry.serial_number for entry in before}
    new = (number for number in dict.fromkeys(revoked) if number not in known)
    return [*before, *(x509.RevokedCertificateBuilder(number, _time(now_s)).build() for number in new)]


def _builder(
    subject: x509.Name, issuer: x509.Name, holder: PublicKey, serial: int, span: Span
) -> x509.CertificateBuilder:
    begin, end = _time(span.from_s), _time(span.until_s)
    builder = x509.CertificateBuilder(issuer, subject, holder.key, serial, begin, end)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(holder.key), critical=False)


def _signed(builder: x509.CertificateBuilder, key: PrivateKey) -> Certificate:
    return parse_certificate(builder.sign(key.key, _hash(key)).public_bytes(Encoding.DER))


def _hash(key: PrivateKey) -> SHA256 | SHA384 | SHA512 | None:
    """Give the hash of the key's own strength; Ed25519 has one built in."""
    if key.kind == "ed25519":
        return None
    if key.kind == "ecdsa" and key.public.bits > 256:
        return SHA384() if key.public.bits == 384 else SHA512()
    return SHA256()


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: DistinguishedName) -> x509.Name:
    rdns = (
        x509.RelativeDistinguishedName(
            x509.NameAttribute(x509.ObjectIdentifier(one.type), one.text or "") for one in rdn
        )
        for rdn in name.rdns
    )
    return x509.Name(rdns)


def _general_name(text: str) -> x509.GeneralName:
    address = _address(text)
    return x509.DNSName(text) if address is None else x509.IPAddress(address)


def _address(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _time(instant_s: int) -> datetime:
    return datetime.fromtimestamp(instant_s, UTC)
