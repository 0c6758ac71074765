"""The Nonce payload (RFC 7296 section 3.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from culvert.wire.isakmp.errors import require
from culvert.wire.isakmp.numbers import PayloadType

MIN_NONCE_OCTETS, MAX_NONCE_OCTETS = 16, 256


@dataclass(frozen=True, slots=True)
class Nonce:
    """16 to 256 random octets."""

    value: bytes
    payload_type: ClassVar[PayloadType] = PayloadType.NONCE

    def __post_init__(self) -> None:
        fits = MIN_NONCE_OCTETS <= len(self.value) <= MAX_NONCE_OCTETS
        require(fits, f"a nonce of {len(self.value)} octets, where 16 to 256 are allowed")

    @classmethod
    def parse(cls, body: bytes) -> Nonce:
        return cls(body)

    def emit(self) -> bytes:
        return self.value
