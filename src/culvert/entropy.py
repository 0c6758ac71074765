"""Randomness. Only this file reads the host's; everything else is handed a source."""

from __future__ import annotations

import random
import secrets
from typing import Protocol


class Entropy(Protocol):
    """A source of random octets."""

    def octets(self, count: int) -> bytes: ...


class RealEntropy:
    """The kernel's generator."""

    def octets(self, count: int) -> bytes:
        return secrets.token_bytes(count)


class SeededEntropy:
    """A reproducible source for simulation and tests; never for keys that protect anything."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311

    def octets(self, count: int) -> bytes:
        return self._random.randbytes(count)


def below(entropy: Entropy, bound: int) -> int:
    """Draw a number from 0 to `bound - 1`, evenly to within 2^-64."""
    if bound < 1:
        raise ValueError("bound must be positive")
    return int.from_bytes(entropy.octets((bound.bit_length() + 7) // 8 + 8), "big") % bound
