"""The transforms of IKEv2 and ESP: IANA's numbers, names and sizes, written once.

Names are those of proposals (`aes256gcm16-prfsha256-x25519`). Numbers: IANA "IKEv2 Parameters", transform types 1 to 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class TransformType(IntEnum):
    """RFC 7296 section 3.3.2; type 4 was Diffie-Hellman Group before RFC 9370."""

    ENCR = 1
    PRF = 2
    INTEG = 3
    KE = 4
    ESN = 5


@dataclass(frozen=True, slots=True)
class Encryption:
    """An encryption transform with its key length.

    `key_octets` excludes the salt. `iv_octets` is what travels in each packet. `icv_octets` is 0 unless the transform
    authenticates by itself. `xfrm_name` is the kernel's name.
    """

    name: str
    id: int
    key_octets: int
    salt_octets: int
    iv_octets: int
    block_octets: int
    icv_octets: int
    xfrm_name: str
    key_length_attribute: bool = True

    @property
    def aead(self) -> bool:
        return self.icv_octets > 0


@dataclass(frozen=True, slots=True)
class Prf:
    """A pseudorandom function. `key_octets` is the preferred key length (RFC 7296 section 2.13)."""

    name: str
    id: int
    hash_name: str
    key_octets: int
    output_octets: int


@dataclass(frozen=True, slots=True)
class Integrity:
    """An integrity transform. `icv_octets` is the truncated length on the wire."""

    name: str
    id: int
    hash_name: str
    key_octets: int
    icv_octets: int
    xfrm_name: str


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """A key exchange method. `public_octets` is the length of the public value in the KE payload; 0 for NONE."""

    name: str
    id: int
    public_octets: int


class Esn(IntEnum):
    """Extended sequence numbers (RFC 7296 section 3.3.2, transform type 5)."""

    NO = 0
    YES = 1


Transform = Encryption | Prf | Integrity | KeyExchange | Esn

_GCM = "rfc4106(gcm(aes))"
ENCRYPTION: tuple[Encryption, ...] = (
    Encryption("aes128", 12, 16, 0, 16, 16, 0, "cbc(aes)"),
    Encryption("aes192", 12, 24, 0, 16, 16, 0, "cbc(aes)"),
    Encryption("aes256", 12, 32, 0, 16, 16, 0, "cbc(aes)"),
    Encryption("aes128gcm16", 20, 16, 4, 8, 1, 16, _GCM),
    Encryption("aes256gcm16", 20, 32, 4, 8, 1, 16, _GCM),
    Encryption("chacha20poly1305", 28, 32, 4, 8, 1, 16, "rfc7539esp(chacha20,poly1305)", False),
)
PRF: tuple[Prf, ...] = (
    Prf("prfsha256", 5, "sha256", 32, 32),
    Prf("prfsha384", 6, "sha384", 48, 48),
    Prf("prfsha512", 7, "sha512", 64, 64),
)
INTEGRITY: tuple[Integrity, ...] = (
    Integrity("sha256", 12, "sha256", 32, 16, "hmac(sha256)"),
    Integrity("sha384", 13, "sha384", 48, 24, "hmac(sha384)"),
    Integrity("sha512", 14, "sha512", 64, 32, "hmac(sha512)"),
)
NO_KEY_EXCHANGE = KeyExchange("none", 0, 0)
KEY_EXCHANGE: tuple[KeyExchange, ...] = (
    NO_KEY_EXCHANGE,
    KeyExchange("modp2048", 14, 256),
    KeyExchange("modp3072", 15, 384),
    KeyExchange("modp4096", 16, 512),
    KeyExchange("ecp256", 19, 64),
    KeyExchange("ecp384", 20, 96),
    KeyExchange("x25519", 31, 32),
)

ALIASES: dict[str, str] = {
    "aes": "aes128",
    "aes128gcm": "aes128gcm16",
    "aes256gcm": "aes256gcm16",
    "aes128gcm128": "aes128gcm16",
    "aes256gcm128": "aes256gcm16",
    "curve25519": "x25519",
    "sha2_256": "sha256",
    "sha2_384": "sha384",
    "sha2_512": "sha512",
}
"""Other spellings that people bring with them."""

BY_NAME: dict[str, Transform] = {
    **{transform.name: transform for transform in ENCRYPTION},
    **{transform.name: transform for transform in PRF},
    **{transform.name: transform for transform in INTEGRITY},
    **{transform.name: transform for transform in KEY_EXCHANGE},
    "noesn": Esn.NO,
    "esn": Esn.YES,
}


def transform_named(name: str) -> Transform:
    """Find a transform by a proposal's word. Raise KeyError where there is none."""
    return BY_NAME[ALIASES.get(name, name)]
