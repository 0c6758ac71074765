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
    authenticates by itself. `xfrm_name` is the kernel's name, `setkey_name` setkey's, "" where setkey has none.
    `legacy`: RFC 8221 advises against it. `ike`: an IKE SA may use it too.
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
    setkey_name: str = ""
    legacy: bool = False
    ike: bool = False

    @property
    def aead(self) -> bool:
        return self.icv_octets > 0

    @property
    def counter(self) -> bool:
        """Whether one key must never see one IV twice: a key written by hand, used again after a start, breaks it."""
        return self.salt_octets > 0


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
    """An integrity transform. `icv_octets` is the truncated length on the wire.

    `hash_name` is that of HMAC's hash, "" where it is no HMAC. The other fields are those of `Encryption`.
    """

    name: str
    id: int
    hash_name: str
    key_octets: int
    icv_octets: int
    xfrm_name: str
    setkey_name: str = ""
    legacy: bool = False
    ike: bool = False


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """A key exchange method. `public_octets` is the length of the public value in the KE payload; 0 for NONE.

    `legacy`: RFC 8247 section 2.4 advises against it.
    """

    name: str
    id: int
    public_octets: int
    legacy: bool = False


class Esn(IntEnum):
    """Extended sequence numbers (RFC 7296 section 3.3.2, transform type 5)."""

    NO = 0
    YES = 1


Transform = Encryption | Prf | Integrity | KeyExchange | Esn

_AES = (128, 192, 256)
_ICV = (8, 12, 16)


def _cbc(name: str, number: int, bits: int, cipher: str, *, ike: bool = False) -> Encryption:
    word, kernel, setkey = f"{name}{bits}", f"cbc({cipher})", f"{cipher}-cbc"
    return Encryption(word, number, bits // 8, 0, 16, 16, 0, kernel, True, setkey, ike=ike)


def _ctr(bits: int) -> Encryption:
    return Encryption(f"aes{bits}ctr", 13, bits // 8, 4, 8, 1, 0, "rfc3686(ctr(aes))", True, "aes-ctr")


def _ccm(bits: int, icv: int) -> Encryption:
    name, number = f"aes{bits}ccm{icv}", {8: 14, 12: 15, 16: 16}[icv]
    return Encryption(name, number, bits // 8, 3, 8, 1, icv, "rfc4309(ccm(aes))", True, f"aes-ccm-{icv}")


def _gcm(bits: int, icv: int) -> Encryption:
    name, number = f"aes{bits}gcm{icv}", {8: 18, 12: 19, 16: 20}[icv]
    setkey, ike = f"aes-gcm-{icv}", icv == 16
    return Encryption(name, number, bits // 8, 4, 8, 1, icv, "rfc4106(gcm(aes))", True, setkey, ike=ike)


def _gmac(bits: int) -> Encryption:
    return Encryption(f"aes{bits}gmac", 21, bits // 8, 4, 8, 1, 16, "rfc4543(gcm(aes))", True, "aes-gmac")


_CHACHA = "rfc7539esp(chacha20,poly1305)"
ENCRYPTION: tuple[Encryption, ...] = (
    *(_cbc("aes", 12, bits, "aes", ike=True) for bits in _AES),
    *(_gcm(bits, icv) for icv in reversed(_ICV) for bits in _AES),
    Encryption("chacha20poly1305", 28, 32, 4, 8, 1, 16, _CHACHA, False, "chacha20-poly1305", ike=True),
    *(_ccm(bits, icv) for icv in reversed(_ICV) for bits in _AES),
    *(_ctr(bits) for bits in _AES),
    *(_cbc("camellia", 23, bits, "camellia") for bits in _AES),
    *(_gmac(bits) for bits in _AES),
    Encryption("null", 11, 0, 0, 0, 1, 0, "ecb(cipher_null)", False, "null"),
    Encryption("3des", 3, 24, 0, 8, 8, 0, "cbc(des3_ede)", False, "3des-cbc", legacy=True),
)
"""GMAC encrypts nothing (RFC 4543): it is an AEAD whose text stays readable, and NULL with an integrity likewise."""
PRF: tuple[Prf, ...] = (
    Prf("prfsha256", 5, "sha256", 32, 32),
    Prf("prfsha384", 6, "sha384", 48, 48),
    Prf("prfsha512", 7, "sha512", 64, 64),
)
INTEGRITY: tuple[Integrity, ...] = (
    Integrity("sha256", 12, "sha256", 32, 16, "hmac(sha256)", "hmac-sha2-256", ike=True),
    Integrity("sha384", 13, "sha384", 48, 24, "hmac(sha384)", "hmac-sha2-384", ike=True),
    Integrity("sha512", 14, "sha512", 64, 32, "hmac(sha512)", "hmac-sha2-512", ike=True),
    Integrity("sha256_96", 1022, "sha256", 32, 12, "hmac(sha256)", "hmac-sha2-256-96"),
    Integrity("sha1", 2, "sha1", 20, 12, "hmac(sha1)", "hmac-sha1", ike=True),
    Integrity("aesxcbc", 5, "", 16, 12, "xcbc(aes)", "aes-xcbc-mac"),
    Integrity("aescmac", 8, "", 16, 12, "cmac(aes)", "aes-cmac"),
    Integrity("md5", 1, "md5", 16, 12, "hmac(md5)", "hmac-md5", legacy=True),
)
"""sha256_96 is what Linux before 2.6.33 made of SHA-256; its number is strongSwan's, of those for private use."""
NO_KEY_EXCHANGE = KeyExchange("none", 0, 0)
KEY_EXCHANGE: tuple[KeyExchange, ...] = (
    NO_KEY_EXCHANGE,
    KeyExchange("modp2048", 14, 256),
    KeyExchange("modp3072", 15, 384),
    KeyExchange("modp4096", 16, 512),
    KeyExchange("ecp256", 19, 64),
    KeyExchange("ecp384", 20, 96),
    KeyExchange("x25519", 31, 32),
    KeyExchange("modp1024", 2, 128, legacy=True),
    KeyExchange("modp1536", 5, 192, legacy=True),
)

ALIASES: dict[str, str] = {
    "aes": "aes128",
    **{f"aes{bits}gcm": f"aes{bits}gcm16" for bits in _AES},
    **{f"aes{bits}gcm{icv * 8}": f"aes{bits}gcm{icv}" for bits in _AES for icv in _ICV},
    **{f"aes{bits}ccm{icv * 8}": f"aes{bits}ccm{icv}" for bits in _AES for icv in _ICV},
    "camellia": "camellia128",
    "curve25519": "x25519",
    "sha": "sha1",
    "sha2_256_96": "sha256_96",
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


SETKEY_ALIASES: dict[str, str] = {
    "rijndael-cbc": "aes-cbc",
    "aes-gcm": "aes-gcm-16",
    "aes-ccm": "aes-ccm-16",
    "simple": "null",
    "hmac-sha256": "hmac-sha2-256",
    "hmac-sha384": "hmac-sha2-384",
    "hmac-sha512": "hmac-sha2-512",
}
"""Names of one algorithm that differ between setkeys; the value is the one that is printed."""

_NO_CIPHER = "RFC 8221 section 5 says MUST NOT: its keys or blocks are too short. Use aes-gcm-16 or aes-cbc"
_NO_HASH = "it is too weak, and RFC 8221 section 6 does not have it. Use hmac-sha2-256"
_NO_IPCOMP = "IPComp is not done here: it helps little, and what compresses well says what it is by its length"
REFUSED: dict[str, str] = {
    **dict.fromkeys(("des-cbc", "des-deriv", "des-32iv", "blowfish-cbc"), _NO_CIPHER),
    "cast128-cbc": "its blocks of 64 bits are too short (RFC 8221 section 5 on 3DES). Use aes-gcm-16 or aes-cbc",
    "skipjack-cbc": "its keys of 80 bits are too short. Use aes-gcm-16 or aes-cbc",
    "twofish-cbc": "no other implementation has it any more. Use aes-gcm-16 or aes-cbc",
    **dict.fromkeys(("keyed-md5", "keyed-sha1", "hmac-ripemd160"), _NO_HASH),
    "tcp-md5": "it protects TCP segments, not IP packets (RFC 2385). The program that has the connection sets its key",
    **dict.fromkeys(("deflate", "lzs", "oui"), _NO_IPCOMP),
}
"""What setkey knows by name and is never done here, `legacy` or not, with the reason."""


def setkey_encryption(name: str) -> tuple[Encryption, ...]:
    """Give the ciphers that setkey calls so, one for each length of key; none where it is no cipher that we have."""
    return _SETKEY_ENCRYPTION.get(SETKEY_ALIASES.get(name, name), ())


def setkey_integrity(name: str) -> Integrity | None:
    """Give the integrity algorithm that setkey calls so, or None."""
    return _SETKEY_INTEGRITY.get(SETKEY_ALIASES.get(name, name))


_SETKEY_ENCRYPTION: dict[str, tuple[Encryption, ...]] = {
    name: tuple(one for one in ENCRYPTION if one.setkey_name == name)
    for name in dict.fromkeys(one.setkey_name for one in ENCRYPTION)
}
_SETKEY_INTEGRITY: dict[str, Integrity] = {one.setkey_name: one for one in INTEGRITY}
