"""Pseudorandom functions and key expansion (RFC 7296 section 2.13)."""

from __future__ import annotations

import hmac

from culvert.crypto.transforms import Prf

MAX_ROUNDS = 255
"""The round is counted in one octet."""


def prf(transform: Prf, key: bytes, data: bytes) -> bytes:
    """Compute prf(key, data), `transform.output_octets` long. A key of any length will do (RFC 4868 section 2.1.2)."""
    return hmac.digest(key, data, transform.hash_name)


def prf_plus(transform: Prf, key: bytes, seed: bytes, octets: int) -> bytes:
    """Compute the first `octets` of prf+(key, seed). Raise ValueError where that takes more than 255 rounds."""
    rounds = -(-octets // transform.output_octets)
    if not 0 <= rounds <= MAX_ROUNDS:
        raise ValueError(f"{octets} octets are more than prf+ gives")
    block, blocks = b"", list[bytes]()
    for number in range(1, rounds + 1):
        block = prf(transform, key, block + seed + bytes((number,)))
        blocks.append(block)
    return b"".join(blocks)[:octets]
