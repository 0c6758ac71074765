"""The Authentication payload (RFC 7296 section 3.8)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from culvert.wire.isakmp.numbers import PayloadType, known
from culvert.wire.isakmp.reader import Reader, octets_of


class AuthMethod(IntEnum):
    """How the sender proves who it is (IANA "IKEv2 Authentication Method")."""

    RSA_SIGNATURE = 1
    SHARED_KEY = 2
    DSS_SIGNATURE = 3
    ECDSA_SHA256_P256 = 9
    ECDSA_SHA384_P384 = 10
    ECDSA_SHA512_P521 = 11
    GENERIC_SECURE_PASSWORD = 12
    NULL = 13
    DIGITAL_SIGNATURE = 14


@dataclass(frozen=True, slots=True)
class Authentication:
    """The proof, over the octets that RFC 7296 section 2.15 lists."""

    method: AuthMethod | int
    data: bytes
    payload_type: ClassVar[PayloadType] = PayloadType.AUTH

    @classmethod
    def parse(cls, body: bytes) -> Authentication:
        reader = Reader(body, "the authentication payload")
        method, _reserved = reader.number(1), reader.octets(3)
        return cls(known(AuthMethod, method), reader.rest())

    def emit(self) -> bytes:
        return octets_of(self.method, 1) + bytes(3) + self.data
