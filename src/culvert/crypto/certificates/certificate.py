"""X.509 certificates as plain values (RFC 5280 section 4.1). Nothing in here trusts what it reads."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, field

from cryptography import x509

from culvert import der
from culvert.crypto import pem
from culvert.crypto.certificates.extensions import Extensions, read_extensions
from culvert.crypto.certificates.frame import frame
from culvert.crypto.public_keys import PublicKey, guarded, public_key
from culvert.crypto.signature_schemes import Scheme, scheme_of, verifies
from culvert.distinguished_names import DistinguishedName

MAX_CERTIFICATE_OCTETS = 16_384
"""Real ones have one or two thousand; a fragmented IKE message carries no more than this."""
MAX_SHOWN = 200
"""Most characters of a name that a sentence repeats."""
MAX_SERIAL_OCTETS = 20
"""RFC 5280 section 4.1.2.2."""


class MalformedCertificate(ValueError):  # noqa: N818 - the name says what is the case
    """No certificate, or one whose parts contradict each other; the text says which."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate. `der` is all of it, by which certificates are equal; the rest is what it says.

    Validity in seconds since 1970, both ends included. `scheme` is None where the algorithm is not known.
    """

    der: bytes = field(repr=False)
    subject: DistinguishedName = field(compare=False)
    issuer: DistinguishedName = field(compare=False, repr=False)
    serial: int = field(compare=False)
    not_before_s: int = field(compare=False, repr=False)
    not_after_s: int = field(compare=False, repr=False)
    public_key: PublicKey = field(compare=False, repr=False)
    extensions: Extensions = field(compare=False, repr=False)
    tbs: bytes = field(compare=False, repr=False)
    scheme: Scheme | None = field(compare=False, repr=False)
    signature: bytes = field(compare=False, repr=False)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the whole."""
        return hashlib.sha256(self.der).digest()

    @property
    def self_issued(self) -> bool:
        return self.subject.same(self.issuer)

    def signed_by(self, issuer: PublicKey) -> bool:
        """Tell whether `issuer` made the signature. Nothing else is judged."""
        return self.scheme is not None and verifies(self.scheme, issuer, self.signature, self.tbs)

    def valid_at(self, now_s: int) -> bool:
        return self.not_before_s <= now_s <= self.not_after_s

    def __str__(self) -> str:
        """Name it for people: its subject, or its first name where the subject is empty."""
        if self.subject.rdns:
            return shortened(self.subject)
        return shortened(self.extensions.names[0].value) if self.extensions.names else f"serial {self.serial:x}"


def shortened(name: object) -> str:
    """Write a name for a sentence: quoted, and not longer than a person reads."""
    text = str(name)
    return f'"{text[:MAX_SHOWN]}..."' if len(text) > MAX_SHOWN else f'"{text}"'


def parse_certificate(data: bytes) -> Certificate:
    """Read one certificate in DER. Raise MalformedCertificate, whatever is wrong with it."""
    if len(data) > MAX_CERTIFICATE_OCTETS:
        raise MalformedCertificate(f"a certificate of more than {MAX_CERTIFICATE_OCTETS} octets")
    try:
        return _parse(data)
    except MalformedCertificate:
        raise
    except ValueError as error:
        raise MalformedCertificate(f"no certificate that can be read: {error}") from None


@dataclass(frozen=True, slots=True)
class _Fields:
    """The parts of a TBSCertificate as they were written."""

    serial: int
    algorithm: bytes
    issuer: bytes
    subject: bytes
    spki: bytes


def _parse(data: bytes) -> Certificate:
    tbs, algorithm, signature = frame(data)
    fields = _fields(tbs)
    if fields.algorithm != algorithm:
        raise MalformedCertificate("it names two signature algorithms, one inside and another outside")
    parsed = guarded(lambda: _read(data))
    return Certificate(
        der=data,
        subject=DistinguishedName.of_der(fields.subject),
        issuer=DistinguishedName.of_der(fields.issuer),
        serial=fields.serial,
        not_before_s=int(parsed.not_valid_before_utc.timestamp()),
        not_after_s=int(parsed.not_valid_after_utc.timestamp()),
        public_key=public_key(fields.spki),
        extensions=guarded(lambda: _extensions(parsed)),
        tbs=tbs.whole,
        scheme=scheme_of(algorithm),
        signature=signature,
    )


def _fields(tbs: der.Element) -> _Fields:
    parts = list(tbs.elements())
    if parts and parts[0].tag == 0xA0:
        parts.pop(0)
    if len(parts) < 6:
        raise der.DerError("a certificate without some of its parts")
    serial = der.integer(parts[0])
    if serial < 0 or len(parts[0].content) > MAX_SERIAL_OCTETS + 1:
        raise MalformedCertificate("its serial number is negative or too long")
    return _Fields(serial, parts[1].whole, parts[2].whole, parts[4].whole, parts[5].whole)


def _read(data: bytes) -> x509.Certificate:
    """Read it by the library, which warns on standard error of what it dislikes and takes all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x509.load_der_x509_certificate(data)


def _extensions(parsed: x509.Certificate) -> Extensions:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_extensions(parsed.extensions)


def parse_pem(data: bytes) -> tuple[Certificate, ...]:
    """Read all certificates of a file, PEM or a single one in DER. Raise MalformedCertificate.

    Blocks of other kinds, such as keys, are passed over.
    """
    if b"-----BEGIN" not in data:
        return (parse_certificate(data),)
    try:
        blocks = pem.read(data)
    except pem.PemError as error:
        raise MalformedCertificate(str(error)) from None
    return tuple(_block(one) for one in blocks if one.label in ("CERTIFICATE", "X509 CERTIFICATE"))


def _block(block: pem.Block) -> Certificate:
    try:
        return parse_certificate(block.data)
    except MalformedCertificate as error:
        raise MalformedCertificate(f"line {block.line}: {error}") from None
