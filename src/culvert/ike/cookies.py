"""Cookies: a first message proves its source before it costs us anything (RFC 7296 section 2.6)."""

from __future__ import annotations

import hashlib
import hmac

from culvert.addresses import IPAddress
from culvert.clock import SECOND
from culvert.crypto.compare import constant_time_equal
from culvert.entropy import Entropy

ROTATION_NS = 60 * SECOND
"""Age at which the secret is replaced; its predecessor is still taken for as long again."""
SECRET_OCTETS = 32


class Cookies:
    """Makes and checks cookies without remembering who asked. One octet of each names the secret's generation."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._secrets: dict[int, bytes] = {}

    def make(self, now: int, nonce_i: bytes, source: IPAddress, spi_i: bytes) -> bytes:
        """Give the cookie (33 octets) for a first message."""
        self._rotate(now)
        return self._cookie(now // ROTATION_NS, nonce_i, source, spi_i)

    def valid(self, now: int, cookie: bytes, nonce_i: bytes, source: IPAddress, spi_i: bytes) -> bool:
        """Tell whether `cookie` is one that we gave to this source for this message within two rotations."""
        self._rotate(now)
        return any(
            constant_time_equal(cookie, self._cookie(generation, nonce_i, source, spi_i))
            for generation in self._secrets
        )

    def _rotate(self, now: int) -> None:
        current = now // ROTATION_NS
        if current in self._secrets:
            return
        previous = {generation: secret for generation, secret in self._secrets.items() if generation == current - 1}
        self._secrets = previous | {current: self._entropy.octets(SECRET_OCTETS)}

    def _cookie(self, generation: int, nonce_i: bytes, source: IPAddress, spi_i: bytes) -> bytes:
        covered = len(nonce_i).to_bytes(2, "big") + nonce_i + source.packed + spi_i
        return bytes([generation & 0xFF]) + hmac.digest(self._secrets[generation], covered, hashlib.sha256)
