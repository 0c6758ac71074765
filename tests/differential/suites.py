"""Every algorithm of the issue's ESP and AH as XFRM names it, with fixed keys; which of them others have too."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from culvert.wire.netlink.algorithms import Algorithm

ESP, AH = 50, 51


@dataclass(frozen=True, slots=True)
class Suite:
    """One transform. Sizes are in octets, `icv` too; an AEAD's key includes its salt."""

    name: str
    protocol: int = ESP
    cipher: str = ""
    key: int = 0
    icv: int = 0
    integrity: str = ""
    integrity_key: int = 0
    aead: bool = False
    legacy: bool = False

    def attributes(self) -> dict[str, Algorithm]:
        """Give the fields of `SaWire` that carry it."""
        fields = {}
        if self.aead:
            fields["aead"] = Algorithm(self.cipher, octets(self.key), self.icv * 8)
        elif self.cipher:
            fields["crypt"] = Algorithm(self.cipher, octets(self.key))
        if self.integrity:
            fields["auth_truncated"] = Algorithm(self.integrity, octets(self.integrity_key, 1), self.icv * 8)
        return fields


def octets(count: int, which: int = 0) -> bytes:
    """Give a key: the same at every run, and none that a cipher calls weak."""
    return hashlib.shake_128(f"only for tests {which}".encode()).digest(count)


def _combined() -> list[Suite]:
    suites = []
    for bits in (128, 192, 256):
        for icv in (8, 12, 16):
            gcm, ccm = "rfc4106(gcm(aes))", "rfc4309(ccm(aes))"
            suites.append(Suite(f"aes{bits}gcm{icv}", ESP, gcm, bits // 8 + 4, icv, aead=True))
            suites.append(Suite(f"aes{bits}ccm{icv}", ESP, ccm, bits // 8 + 3, icv, aead=True))
        suites.append(Suite(f"aes{bits}gmac", ESP, "rfc4543(gcm(aes))", bits // 8 + 4, 16, aead=True))
    return [*suites, Suite("chacha20poly1305", ESP, "rfc7539esp(chacha20,poly1305)", 36, 16, aead=True)]


INTEGRITIES = {
    "md5": ("hmac(md5)", 16, 12),
    "sha1": ("hmac(sha1)", 20, 12),
    "sha256_96": ("hmac(sha256)", 32, 12),
    "sha256": ("hmac(sha256)", 32, 16),
    "sha384": ("hmac(sha384)", 48, 24),
    "sha512": ("hmac(sha512)", 64, 32),
    "aesxcbc": ("xcbc(aes)", 16, 12),
    "aescmac": ("cmac(aes)", 16, 12),
}
"""XFRM name, octets of key, octets of ICV."""
CIPHERS = {
    "aes128": ("cbc(aes)", 16),
    "aes192": ("cbc(aes)", 24),
    "aes256": ("cbc(aes)", 32),
    "3des": ("cbc(des3_ede)", 24),
    "camellia128": ("cbc(camellia)", 16),
    "camellia192": ("cbc(camellia)", 24),
    "camellia256": ("cbc(camellia)", 32),
    "aes128ctr": ("rfc3686(ctr(aes))", 20),
    "aes192ctr": ("rfc3686(ctr(aes))", 28),
    "aes256ctr": ("rfc3686(ctr(aes))", 36),
    "null": ("ecb(cipher_null)", 0),
}
"""XFRM name, octets of key with its salt."""
LEGACY = {"md5", "3des"}


def _with_integrity(cipher: str, integrity: str) -> Suite:
    name, key, icv = INTEGRITIES[integrity]
    legacy = not LEGACY.isdisjoint((cipher, integrity))
    return Suite(f"{cipher}-{integrity}", ESP, *CIPHERS[cipher], icv, name, key, legacy=legacy)


ESP_SUITES = (
    *_combined(),
    *(_with_integrity(cipher, "sha256") for cipher in CIPHERS),
    *(_with_integrity("aes128", integrity) for integrity in INTEGRITIES if integrity != "sha256"),
    *(_with_integrity("null", integrity) for integrity in INTEGRITIES if integrity != "sha256"),
)
"""Each AEAD; each cipher with one integrity; each integrity with one cipher, and alone."""
AH_SUITES = tuple(
    Suite(f"ah-{name}", AH, "", 0, icv, xfrm, key, legacy=name in LEGACY)
    for name, (xfrm, key, icv) in INTEGRITIES.items()
)
SUITES = {suite.name: suite for suite in (*ESP_SUITES, *AH_SUITES)}
