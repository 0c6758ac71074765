"""Keys of IKE and child SAs, and what a shared secret proves (RFC 7296 sections 2.14 to 2.18)."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.crypto.prf import prf, prf_plus
from culvert.crypto.transforms import Encryption, Integrity, Prf

_KEY_PAD = b"Key Pad for IKEv2"


@dataclass(frozen=True, slots=True)
class IkeKeys:
    """The keys of an IKE SA (RFC 7296 section 2.14). SK_e* end with the salt; SK_a* are empty with an AEAD."""

    sk_d: bytes = field(repr=False)
    sk_ai: bytes = field(repr=False)
    sk_ar: bytes = field(repr=False)
    sk_ei: bytes = field(repr=False)
    sk_er: bytes = field(repr=False)
    sk_pi: bytes = field(repr=False)
    sk_pr: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChildKeys:
    """Keys of two child SAs: `_i` protects what the exchange's initiator sends. Encryption keys end with the salt."""

    encryption_i: bytes = field(repr=False)
    integrity_i: bytes = field(repr=False)
    encryption_r: bytes = field(repr=False)
    integrity_r: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RekeyedFrom:
    """What an IKE SA leaves to the one that replaces it: its PRF and SK_d (RFC 7296 section 2.18)."""

    prf: Prf
    sk_d: bytes = field(repr=False)


def derive_ike_keys(
    transform: Prf,
    encryption: Encryption,
    integrity: Integrity | None,
    *,
    shared: bytes,
    nonce_i: bytes,
    nonce_r: bytes,
    spi_i: bytes,
    spi_r: bytes,
    rekeyed_from: RekeyedFrom | None = None,
) -> IkeKeys:
    """Derive the keys of a new IKE SA; nonces and SPIs are those of its own exchange (RFC 7296 sections 2.14, 2.18).

    `shared` is the key exchange's result, of full length. All other arguments belong to the new IKE SA.
    """
    nonces = nonce_i + nonce_r
    if rekeyed_from is None:
        skeyseed = prf(transform, nonces, shared)
    else:
        skeyseed = prf(rekeyed_from.prf, rekeyed_from.sk_d, shared + nonces)
    d = p = transform.key_octets
    a = integrity.key_octets if integrity else 0
    e = encryption.key_octets + encryption.salt_octets
    sizes = (d, a, a, e, e, p, p)
    return IkeKeys(*_cut(prf_plus(transform, skeyseed, nonces + spi_i + spi_r, sum(sizes)), sizes))


def derive_child_keys(
    transform: Prf,
    encryption: Encryption | None,
    integrity: Integrity | None,
    *,
    sk_d: bytes,
    nonce_i: bytes,
    nonce_r: bytes,
    shared: bytes = b"",
) -> ChildKeys:
    """Derive the keys of a pair of child SAs (RFC 7296 section 2.17); AH has no encryption.

    `transform` and `sk_d` are the IKE SA's. The nonces are those of the exchange that makes the children (for IKE_AUTH
    those of IKE_SA_INIT); `shared` is the result of its key exchange, if it has one.
    """
    a = integrity.key_octets if integrity else 0
    e = encryption.key_octets + encryption.salt_octets if encryption else 0
    sizes = (e, a, e, a)
    return ChildKeys(*_cut(prf_plus(transform, sk_d, shared + nonce_i + nonce_r, sum(sizes)), sizes))


def signed_octets(transform: Prf, message: bytes, peer_nonce: bytes, sk_p: bytes, identification: bytes) -> bytes:
    """Give what the AUTH payload covers (RFC 7296 section 2.15).

    `message` is the signer's own IKE_SA_INIT message as it travelled, `peer_nonce` the other's nonce, `sk_p` the
    signer's SK_p, `identification` the body of its ID payload, reserved octets and all.
    """
    return message + peer_nonce + prf(transform, sk_p, identification)


def psk_auth(transform: Prf, secret: bytes, octets: bytes) -> bytes:
    """Compute the AUTH payload's data for a shared secret (RFC 7296 section 2.15). Compare it in constant time."""
    return prf(transform, prf(transform, secret, _KEY_PAD), octets)


def _cut(material: bytes, sizes: tuple[int, ...]) -> list[bytes]:
    parts, start = list[bytes](), 0
    for size in sizes:
        parts.append(material[start : start + size])
        start += size
    return parts
