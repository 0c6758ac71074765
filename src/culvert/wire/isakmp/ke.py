"""The Key Exchange payload (RFC 7296 section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from culvert.wire.isakmp.numbers import PayloadType
from culvert.wire.isakmp.reader import Reader, octets_of


@dataclass(frozen=True, slots=True)
class KeyExchangePayload:
    """`method` is the transform ID of type 4; the public value is judged by the method, not here."""

    method: int
    public: bytes
    payload_type: ClassVar[PayloadType] = PayloadType.KE

    @classmethod
    def parse(cls, body: bytes) -> KeyExchangePayload:
        reader = Reader(body, "the key exchange payload")
        method, _reserved = reader.number(2), reader.octets(2)
        return cls(method, reader.rest())

    def emit(self) -> bytes:
        return octets_of(self.method, 2) + bytes(2) + self.public
