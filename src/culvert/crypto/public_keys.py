"""The keys that signatures are made and checked with: RSA, ECDSA on the NIST curves, Ed25519."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
)

from culvert.entropy import Entropy, below

T = TypeVar("T")
Kind = Literal["rsa", "ecdsa", "ed25519"]
AnyPublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
AnyPrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

MIN_RSA_BITS, MIN_LEGACY_RSA_BITS, MAX_RSA_BITS = 2048, 1024, 8192
"""Shorter ones are broken, or will be (RFC 8247 section 4.1); longer ones cost a peer's gateway too much to check."""
MIN_RSA_EXPONENT, MAX_RSA_EXPONENT = 65_537, 2**32
"""Small exponents make every leniency in checking a forgery (SP 800-56B section 6.2). Of 64 bits they cost more than
four times what 65537 does, and nobody has such keys.
"""
KEY_KINDS = ("ecdsa256", "rsa3072", "ed25519")
"""What keys are made of here; the first is the default: every peer knows it, and it is quick."""
MAX_REASON = 200
"""Most characters of what the library says about octets that it could not read."""
CURVES = {"secp256r1": 256, "secp384r1": 384, "secp521r1": 521}
"""The curves of RFC 4754, and their sizes in bits."""


class KeyRefused(ValueError):  # noqa: N818 - the name says what is the case
    """No key that can be used; the text says why, and holds nothing of it."""


def guarded(read: Callable[[], T]) -> T:
    """Call into the library with octets of others. Raise ValueError, whatever it raises, a panic included."""
    try:
        return read()
    except KeyRefused:
        raise
    except Exception as error:
        text = "".join(letter if letter.isprintable() else " " for letter in str(error)[:MAX_REASON])
        raise ValueError(text) from None
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise ValueError("the library gave up on it") from None
        raise


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key. `spki` is its SubjectPublicKeyInfo, by which keys are equal; `bits` its size."""

    spki: bytes
    kind: Kind = field(compare=False)
    bits: int = field(compare=False)
    key: AnyPublicKey = field(compare=False, repr=False)

    @property
    def weakness(self) -> str:
        """Why nobody should rely on this key; empty for a good one."""
        return self._weakness(MIN_RSA_BITS, MIN_RSA_EXPONENT)

    @property
    def hopelessness(self) -> str:
        """Why not even a `legacy` peer may use this key; empty where it may."""
        return self._weakness(MIN_LEGACY_RSA_BITS, 3)

    def _weakness(self, least_bits: int, least_exponent: int) -> str:
        if not isinstance(self.key, RSAPublicKey):
            return ""
        if self.bits < least_bits:
            return f"an RSA key of {self.bits} bits, and {least_bits} are the least"
        exponent = self.key.public_numbers().e
        return f"an RSA key with the exponent {exponent}" if exponent < least_exponent else ""

    def __str__(self) -> str:
        return {"rsa": f"RSA {self.bits}", "ecdsa": f"ECDSA P-{self.bits}", "ed25519": "Ed25519"}[self.kind]


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key. Equal to another by its public half; never shown."""

    public: PublicKey
    key: AnyPrivateKey = field(compare=False, repr=False)

    @property
    def kind(self) -> Kind:
        return self.public.kind

    def pem(self) -> bytes:
        """Write it as an unencrypted PKCS #8 file."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_key(spki: bytes) -> PublicKey:
    """Read a SubjectPublicKeyInfo. Raise KeyRefused, also where it is not written the usual way."""
    try:
        key = guarded(lambda: load_der_public_key(spki))
    except ValueError:
        raise KeyRefused("a public key that cannot be read, or of a kind that is not known here") from None
    found = _wrapped(key)
    if found.spki != spki:
        raise KeyRefused("a public key that is written in an unusual way")
    return found


def load_private_key(data: bytes, password: bytes | None = None) -> PrivateKey:
    """Read a private key: PEM (PKCS #8, PKCS #1, SEC 1) or DER. Raise KeyRefused."""
    load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key

    def read() -> object:
        try:
            return load(data, password)
        except TypeError:
            what = "it is encrypted" if password is None else "it has no password"
            raise KeyRefused(f"no private key that can be used: {what}") from None

    try:
        return private_key(guarded(read))
    except KeyRefused:
        raise
    except ValueError:
        raise KeyRefused("no private key in PEM or DER, or of a kind that is not known here") from None


def generate_key(kind: str, entropy: Entropy) -> PrivateKey:
    """Make a private key of one of KEY_KINDS. For RSA the library draws from the host's generator itself."""
    if kind == "ecdsa256":
        curve = SECP256R1()
        return private_key(derive_private_key(1 + below(entropy, curve.group_order - 1), curve))
    if kind == "ed25519":
        return private_key(Ed25519PrivateKey.from_private_bytes(entropy.octets(32)))
    if kind == "rsa3072":
        return private_key(generate_private_key(MIN_RSA_EXPONENT, 3072))
    raise KeyRefused(f"{kind} is no kind of key that is made here")


def private_key(key: object) -> PrivateKey:
    """Wrap a key of the library. Raise KeyRefused where signatures cannot be made with it."""
    if not isinstance(key, AnyPrivateKey):
        raise KeyRefused("a private key of a kind that is not known here; RSA, ECDSA and Ed25519 are")
    return PrivateKey(_wrapped(key.public_key()), key)


def _wrapped(key: object) -> PublicKey:
    if not isinstance(key, AnyPublicKey):
        raise KeyRefused("a key of a kind that is not known here; RSA, ECDSA and Ed25519 are")
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(key, RSAPublicKey):
        if key.key_size > MAX_RSA_BITS or key.public_numbers().e >= MAX_RSA_EXPONENT:
            raise KeyRefused(f"an RSA key of more than {MAX_RSA_BITS} bits, or with a huge exponent")
        return PublicKey(spki, "rsa", key.key_size, key)
    if isinstance(key, EllipticCurvePublicKey):
        if key.curve.name not in CURVES:
            raise KeyRefused(f"an ECDSA key on the curve {key.curve.name}; P-256, P-384 and P-521 are known here")
        return PublicKey(spki, "ecdsa", CURVES[key.curve.name], key)
    return PublicKey(spki, "ed25519", 256, key)
