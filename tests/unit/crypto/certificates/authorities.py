"""Authorities that issue whatever a test wants: good certificates, and bad ones that no honest tool would write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from culvert import der
from culvert.crypto.certificates.certificate import Certificate, parse_certificate
from culvert.crypto.certificates.revocation import RevocationList, parse_crl
from culvert.crypto.public_keys import AnyPrivateKey, PrivateKey, private_key
from culvert.distinguished_names import DistinguishedName

NOW_S = 1_800_000_000
"""The instant at which tests judge: 2027-01-15."""
DAY_S = 86_400
Extension = tuple[x509.ExtensionType, bool]


@cache
def key(kind: str = "ecdsa256", number: int = 0) -> PrivateKey:
    """Make a key once; `number` tells several of a kind apart."""
    made: AnyPrivateKey
    if kind.startswith("rsa"):
        made = rsa.generate_private_key(65_537, int(kind[3:]))
    elif kind == "ed25519":
        made = ed25519.Ed25519PrivateKey.generate()
    else:
        made = ec.generate_private_key({"256": ec.SECP256R1(), "384": ec.SECP384R1(), "521": ec.SECP521R1()}[kind[5:]])
    return private_key(made)


def usage(*names: str) -> x509.KeyUsage:
    every = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ]
    return x509.KeyUsage(**{name: name in names for name in every})


def subject(text: str) -> x509.Name:
    """Give the library's name for one of ours."""
    parsed = DistinguishedName.parse(text)
    return x509.Name(
        x509.RelativeDistinguishedName(
            x509.NameAttribute(x509.ObjectIdentifier(one.type), one.text or "", _validate=False) for one in rdn
        )
        for rdn in parsed.rdns
    )


CA_USAGE: Extension = (usage("key_cert_sign", "crl_sign"), True)
LEAF_USAGE: Extension = (usage("digital_signature"), True)


def constraint(path_length: int | None = None, ca: bool = True) -> Extension:
    return x509.BasicConstraints(ca, path_length), True


def dns(*names: str) -> Extension:
    return x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False


@dataclass
class Authority:
    """One that issues. `certificate` is its own, `key` its private key."""

    certificate: Certificate
    key: PrivateKey
    hash: HashAlgorithm | None = field(default_factory=SHA256)
    serial: int = 100

    def issue(
        self,
        name: str,
        extensions: Sequence[Extension] = (LEAF_USAGE,),
        *,
        holder: PrivateKey | None = None,
        from_s: int = NOW_S - DAY_S,
        until_s: int = NOW_S + DAY_S,
        pss: bool = False,
    ) -> Certificate:
        self.serial += 1
        return certificate(
            name,
            str(self.certificate.subject),
            holder or key("ecdsa256", 99),
            self.key,
            extensions,
            serial=self.serial,
            validity=(from_s, until_s),
            hash_=self.hash,
            pss=pss,
        )

    def authority(self, name: str, *extensions: Extension, number: int = 0, kind: str = "ecdsa256") -> Authority:
        """Issue to another authority; with no extensions it is a plain good one."""
        own = key(kind, number or hash(name) % 10**9)
        return Authority(self.issue(name, extensions or (constraint(), CA_USAGE), holder=own), own, _hash_for(own))

    def crl(
        self,
        *revoked: int,
        from_s: int = NOW_S - DAY_S,
        until_s: int = NOW_S + DAY_S,
        extensions: Sequence[Extension] = (),
        signer: PrivateKey | None = None,
    ) -> RevocationList:
        builder = x509.CertificateRevocationListBuilder(
            subject(str(self.certificate.subject)), _time(from_s), _time(until_s)
        )
        for number in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder(number, _time(NOW_S - DAY_S)).build()
            )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        made = builder.sign((signer or self.key).key, self.hash)
        return parse_crl(made.public_bytes(Encoding.DER))


def _hash_for(owner: PrivateKey) -> HashAlgorithm | None:
    return None if owner.kind == "ed25519" else SHA256()


def _time(instant_s: int) -> datetime:
    return datetime.fromtimestamp(instant_s, UTC)


def root(name: str = "C=DE, O=Example, CN=Root", *extensions: Extension, kind: str = "ecdsa256") -> Authority:
    """Make an authority that signs for itself."""
    own = key(kind, hash(name) % 10**9)
    made = certificate(name, name, own, own, extensions or (constraint(), CA_USAGE), hash_=_hash_for(own))
    return Authority(made, own, _hash_for(own))


def certificate(
    name: str,
    issuer: str,
    holder: PrivateKey,
    signer: PrivateKey,
    extensions: Sequence[Extension] = (),
    *,
    serial: int = 1,
    validity: tuple[int, int] = (NOW_S - 10 * DAY_S, NOW_S + 10 * DAY_S),
    hash_: HashAlgorithm | None = None,
    pss: bool = False,
) -> Certificate:
    builder = x509.CertificateBuilder(
        subject(issuer),
        subject(name) if name else x509.Name([]),
        holder.public.key,
        serial,
        _time(validity[0]),
        _time(validity[1]),
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    scheme = padding.PSS(padding.MGF1(hash_), hash_.digest_size) if pss and hash_ else None
    return parse_certificate(builder.sign(signer.key, hash_, rsa_padding=scheme).public_bytes(Encoding.DER))


def resigned(original: Certificate, signer: PrivateKey, tbs: bytes) -> Certificate:
    """Put other contents under a signature made anew (ECDSA with SHA-256)."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    assert isinstance(signer.key, ec.EllipticCurvePrivateKey)
    algorithm = der.only(original.der, der.SEQUENCE).elements()[1].whole
    signature = signer.key.sign(tbs, ECDSA(SHA256()))
    return parse_certificate(der.encode(der.SEQUENCE, tbs, algorithm, der.encode(der.BIT_STRING, b"\0" + signature)))
