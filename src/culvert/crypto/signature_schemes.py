"""Signature algorithms as X.509 and RFC 7427 name them: by the DER of an AlgorithmIdentifier, compared octet by octet.

Nothing of an AlgorithmIdentifier is ever interpreted: it stands in this table, or it is not known. So there is no way
to smuggle another hash, salt length or generator past the check (RFC 7427 section 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm

from culvert.crypto.public_keys import Kind, PrivateKey, PublicKey, guarded
from culvert.der import INTEGER, NULL, SEQUENCE, encode, encode_oid


class SignatureHash(IntEnum):
    """Hash Algorithm Identifiers of SIGNATURE_HASH_ALGORITHMS (RFC 7427 section 4, RFC 8420 section 2)."""

    SHA1 = 1
    SHA2_256 = 2
    SHA2_384 = 3
    SHA2_512 = 4
    IDENTITY = 5


@dataclass(frozen=True, slots=True)
class Scheme:
    """One algorithm. `identifiers` are all ways in which it is written; the first is ours."""

    name: str
    kind: Kind
    hash: SignatureHash
    identifiers: tuple[bytes, ...]
    pss: bool = False

    @property
    def weak(self) -> bool:
        """Tell whether it rests on SHA-1."""
        return self.hash is SignatureHash.SHA1

    @property
    def identifier(self) -> bytes:
        return self.identifiers[0]


_HASHES: dict[SignatureHash, HashAlgorithm] = {
    SignatureHash.SHA1: SHA1(),  # noqa: S303 - for `legacy` peers alone
    SignatureHash.SHA2_256: SHA256(),
    SignatureHash.SHA2_384: SHA384(),
    SignatureHash.SHA2_512: SHA512(),
}
_HASH_OIDS = {
    SignatureHash.SHA2_256: "2.16.840.1.101.3.4.2.1",
    SignatureHash.SHA2_384: "2.16.840.1.101.3.4.2.2",
    SignatureHash.SHA2_512: "2.16.840.1.101.3.4.2.3",
}
_NULL = encode(NULL)
_PSS, _MGF1 = "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.8"


def _algorithm(oid: str, *parameters: bytes) -> bytes:
    return encode(SEQUENCE, encode_oid(oid), *parameters)


def _pss(hash_: SignatureHash) -> tuple[bytes, ...]:
    """Give the identifiers of RSASSA-PSS where salt and hash are of one length (RFC 4055 section 3.1).

    The hash's parameters are NULL or absent, and the trailer field, though it is the default, may be written
    (RFC 7427 appendix A.4 does): so there are four.
    """
    salt = encode(0xA2, encode(INTEGER, bytes((_HASHES[hash_].digest_size,))))
    found = []
    for trailer in (b"", encode(0xA3, encode(INTEGER, b"\x01"))):
        for null in (_NULL, b""):
            digest = _algorithm(_HASH_OIDS[hash_], null)
            mask = encode(0xA1, _algorithm(_MGF1, digest))
            found.append(_algorithm(_PSS, encode(SEQUENCE, encode(0xA0, digest), mask, salt, trailer)))
    return tuple(found)


def _pkcs1(name: str, last: int, hash_: SignatureHash) -> Scheme:
    return Scheme(name, "rsa", hash_, (_algorithm(f"1.2.840.113549.1.1.{last}", _NULL),))


def _ecdsa(name: str, oid: str, hash_: SignatureHash) -> Scheme:
    return Scheme(name, "ecdsa", hash_, (_algorithm(oid),))


SCHEMES: tuple[Scheme, ...] = (
    *(
        Scheme(f"RSASSA-PSS-{hash_.name.replace('SHA2_', 'SHA')}", "rsa", hash_, _pss(hash_), pss=True)
        for hash_ in _HASH_OIDS
    ),
    _pkcs1("sha256WithRSAEncryption", 11, SignatureHash.SHA2_256),
    _pkcs1("sha384WithRSAEncryption", 12, SignatureHash.SHA2_384),
    _pkcs1("sha512WithRSAEncryption", 13, SignatureHash.SHA2_512),
    _ecdsa("ecdsa-with-SHA256", "1.2.840.10045.4.3.2", SignatureHash.SHA2_256),
    _ecdsa("ecdsa-with-SHA384", "1.2.840.10045.4.3.3", SignatureHash.SHA2_384),
    _ecdsa("ecdsa-with-SHA512", "1.2.840.10045.4.3.4", SignatureHash.SHA2_512),
    Scheme("Ed25519", "ed25519", SignatureHash.IDENTITY, (_algorithm("1.3.101.112"),)),
    _pkcs1("sha1WithRSAEncryption", 5, SignatureHash.SHA1),
    _ecdsa("ecdsa-with-SHA1", "1.2.840.10045.4.1", SignatureHash.SHA1),
)
_BY_IDENTIFIER = {identifier: scheme for scheme in SCHEMES for identifier in scheme.identifiers}


def scheme_of(identifier: bytes) -> Scheme | None:
    """Give the algorithm that an AlgorithmIdentifier names; None for one that is not known."""
    return _BY_IDENTIFIER.get(identifier)


def find_scheme(kind: Kind, hash_: SignatureHash, pss: bool = False) -> Scheme | None:
    """Give the algorithm for a kind of key with a hash; `pss` is for RSA alone."""
    return next((one for one in SCHEMES if (one.kind, one.hash, one.pss) == (kind, hash_, pss)), None)


def sign_with(scheme: Scheme, key: PrivateKey, data: bytes) -> bytes:
    """Sign. Raise ValueError where key and scheme do not go together, or the key is too short for the hash."""
    if key.kind != scheme.kind:
        raise ValueError(f"{scheme.name} with a key of {key.public}")
    if isinstance(key.key, RSAPrivateKey):
        return key.key.sign(data, _padding(scheme), _HASHES[scheme.hash])
    if isinstance(key.key, EllipticCurvePrivateKey):
        return key.key.sign(data, ECDSA(_HASHES[scheme.hash]))
    return key.key.sign(data)


def verifies(scheme: Scheme, public: PublicKey, signature: bytes, data: bytes) -> bool:
    """Tell whether `signature` is one over `data`. The strength of key and hash is judged elsewhere."""
    if public.kind != scheme.kind:
        return False
    try:
        guarded(lambda: _verify(scheme, public, signature, data))
    except ValueError:
        return False
    return True


def _verify(scheme: Scheme, public: PublicKey, signature: bytes, data: bytes) -> None:
    """Return where the library calls it good; everything else it raises."""
    if isinstance(public.key, RSAPublicKey):
        public.key.verify(signature, data, _padding(scheme), _HASHES[scheme.hash])
    elif isinstance(public.key, EllipticCurvePublicKey):
        public.key.verify(signature, data, ECDSA(_HASHES[scheme.hash]))
    else:
        public.key.verify(signature, data)


def _padding(scheme: Scheme) -> AsymmetricPadding:
    hash_ = _HASHES[scheme.hash]
    return PSS(MGF1(hash_), hash_.digest_size) if scheme.pss else PKCS1v15()
