"""Signatures of the AUTH payload (RFC 7296 section 3.8, RFC 4754, RFC 7427, RFC 8420)."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from culvert.crypto.public_keys import KeyRefused, PrivateKey, PublicKey, load_private_key
from culvert.crypto.signature_schemes import (
    Scheme,
    SignatureHash,
    find_scheme,
    scheme_of,
    sign_with,
    verifies,
)

__all__ = [
    "Choice",
    "KeyRefused",
    "NoSignature",
    "PrivateKey",
    "PublicKey",
    "SignatureHash",
    "SignatureMethod",
    "describe",
    "load_private_key",
    "preferred",
    "sign",
    "verify",
]


class SignatureMethod(IntEnum):
    """Auth Method of the AUTH payload, as far as signatures go."""

    RSA = 1
    ECDSA_P256 = 9
    ECDSA_P384 = 10
    ECDSA_P521 = 11
    DIGITAL_SIGNATURE = 14


class NoSignature(ValueError):  # noqa: N818 - the name says what is the case
    """No signature can be made with this key that the peer would take; the text says why."""


class Choice(NamedTuple):
    """How we sign: the method and its hash."""

    method: SignatureMethod
    hash: SignatureHash


_BY_CURVE = {
    256: Choice(SignatureMethod.ECDSA_P256, SignatureHash.SHA2_256),
    384: Choice(SignatureMethod.ECDSA_P384, SignatureHash.SHA2_384),
    521: Choice(SignatureMethod.ECDSA_P521, SignatureHash.SHA2_512),
}
"""RFC 4754 section 3: the curve decides the method and the hash."""
_CURVE_OF = {choice.method: bits for bits, choice in _BY_CURVE.items()}
_STRENGTHS = (SignatureHash.SHA2_256, SignatureHash.SHA2_384, SignatureHash.SHA2_512)
ALLOWED_HASHES = (*_STRENGTHS, SignatureHash.IDENTITY)
"""What we announce and take; SHA-1 is never offered (RFC 8247 section 4.2)."""


def preferred(key: PrivateKey, peer_hashes: Collection[int], *, legacy: bool = False) -> Choice | None:
    """Choose how to sign for a peer that announced `peer_hashes` (empty: it does not know RFC 7427).

    None where there is nothing that the peer would take: RSA without RFC 7427 means SHA-1, which only a `legacy` peer
    gets.
    """
    for hash_ in _by_fitness(key):
        if hash_ in peer_hashes:
            return Choice(SignatureMethod.DIGITAL_SIGNATURE, hash_)
    if key.kind == "ecdsa":
        return _BY_CURVE[key.public.bits]
    if key.kind == "rsa" and legacy:
        return Choice(SignatureMethod.RSA, SignatureHash.SHA1)
    return None


def _by_fitness(key: PrivateKey) -> tuple[SignatureHash, ...]:
    """Give the hashes for a key, that of its own strength first, then stronger ones, then weaker ones."""
    if key.kind == "ed25519":
        return (SignatureHash.IDENTITY,)
    at = _STRENGTHS.index(_BY_CURVE[key.public.bits].hash) if key.kind == "ecdsa" else 0
    return (*_STRENGTHS[at:], *reversed(_STRENGTHS[:at]))


def sign(
    key: PrivateKey, data: bytes, method: int, hashes: Collection[int] = ALLOWED_HASHES, *, legacy: bool = False
) -> bytes:
    """Give the Authentication Data of an AUTH payload of `method` over `data`.

    With method 14 the hash is the fittest of `hashes`, and RSA signs by PSS, for a `legacy` peer by PKCS #1 v1.5.
    Raise NoSignature.
    """
    try:
        if method == SignatureMethod.DIGITAL_SIGNATURE:
            return _digital_signature(key, data, hashes, pkcs1=legacy)
        return _old_signature(key, data, method, legacy=legacy)
    except NoSignature:
        raise
    except ValueError as error:
        raise NoSignature(str(error)) from None


def _digital_signature(key: PrivateKey, data: bytes, hashes: Collection[int], *, pkcs1: bool) -> bytes:
    hash_ = next((one for one in _by_fitness(key) if one in hashes), None)
    scheme = None if hash_ is None else find_scheme(key.kind, hash_, pss=key.kind == "rsa" and not pkcs1)
    if scheme is None:
        raise NoSignature(f"the peer takes no hash that goes with a key of {key.public}")
    return bytes((len(scheme.identifier),)) + scheme.identifier + sign_with(scheme, key, data)


def _old_signature(key: PrivateKey, data: bytes, method: int, *, legacy: bool) -> bytes:
    scheme = _old_scheme(key.public, method, legacy=legacy)
    if scheme is None:
        raise NoSignature(f"method {method} does not go with a key of {key.public}")
    signature = sign_with(scheme, key, data)
    if method == SignatureMethod.RSA:
        return signature
    half = (key.public.bits + 7) // 8
    return b"".join(number.to_bytes(half, "big") for number in decode_dss_signature(signature))


def _old_scheme(public: PublicKey, method: int, *, legacy: bool) -> Scheme | None:
    """Give the one algorithm that a method without AlgorithmIdentifier means for a key."""
    if method == SignatureMethod.RSA and public.kind == "rsa" and legacy:
        return find_scheme("rsa", SignatureHash.SHA1)
    choice = _BY_CURVE.get(public.bits) if public.kind == "ecdsa" else None
    return find_scheme("ecdsa", choice.hash) if choice and choice.method == method else None


def verify(
    public: PublicKey,
    data: bytes,
    method: int,
    signature: bytes,
    allowed_hashes: Collection[int] = ALLOWED_HASHES,
    *,
    legacy: bool = False,
) -> bool:
    """Tell whether `signature` (the Authentication Data of an AUTH payload of `method`) is `public`'s over `data`.

    False for everything else: another method than the key's, an AlgorithmIdentifier that is not known, a hash that is
    not among `allowed_hashes`. SHA-1 and weak keys count only for a `legacy` peer.
    """
    if public.hopelessness or (public.weakness and not legacy):
        return False
    if method == SignatureMethod.DIGITAL_SIGNATURE:
        scheme, signature = _split(signature)
        if scheme is None or scheme.hash not in allowed_hashes or (scheme.weak and not legacy):
            return False
        return verifies(scheme, public, signature, data)
    scheme = _old_scheme(public, method, legacy=legacy)
    if scheme is None:
        return False
    if method != SignatureMethod.RSA:
        signature = _dss_of(signature, public.bits)
    return verifies(scheme, public, signature, data)


def _split(data: bytes) -> tuple[Scheme | None, bytes]:
    """Take the data of method 14 apart: a length, the AlgorithmIdentifier, the signature (RFC 7427 section 3)."""
    end = 1 + (data[0] if data else 0)
    return scheme_of(data[1:end]), data[end:]


def _dss_of(signature: bytes, bits: int) -> bytes:
    """Write r and s, each as long as the curve (RFC 4754 section 7), as the library wants them; empty: no such."""
    half = (bits + 7) // 8
    if len(signature) != 2 * half:
        return b""
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


_NAMES: dict[int, str] = {
    SignatureMethod.RSA: "RSA with SHA-1",
    SignatureMethod.ECDSA_P256: "ECDSA P-256",
    SignatureMethod.ECDSA_P384: "ECDSA P-384",
    SignatureMethod.ECDSA_P521: "ECDSA P-521",
}


def describe(method: int, signature: bytes) -> str:
    """Name the algorithm of an AUTH payload for people; what is not known, by its number or octets."""
    if method != SignatureMethod.DIGITAL_SIGNATURE:
        return _NAMES.get(method, f"method {method}")
    scheme, rest = _split(signature)
    return scheme.name if scheme else f"an unknown algorithm ({signature[1 : len(signature) - len(rest)].hex()})"
