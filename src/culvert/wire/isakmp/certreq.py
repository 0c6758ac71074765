"""The Certificate Request payload (RFC 7296 section 3.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from culvert.wire.isakmp.cert import CertificateEncoding
from culvert.wire.isakmp.numbers import PayloadType, known
from culvert.wire.isakmp.reader import Reader, octets_of


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """`authorities` is, for X.509, a row of SHA-1 hashes of trusted public keys, 20 octets each."""

    encoding: CertificateEncoding | int
    authorities: bytes = b""
    payload_type: ClassVar[PayloadType] = PayloadType.CERTREQ

    @classmethod
    def parse(cls, body: bytes) -> CertificateRequest:
        reader = Reader(body, "a certificate request payload")
        return cls(known(CertificateEncoding, reader.number(1)), reader.rest())

    def emit(self) -> bytes:
        return octets_of(self.encoding, 1) + self.authorities
