"""The Certificate payload (RFC 7296 section 3.6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from culvert.wire.isakmp.numbers import PayloadType, known
from culvert.wire.isakmp.reader import Reader, octets_of


class CertificateEncoding(IntEnum):
    """What the octets of a certificate are, RFC 7296 section 3.6."""

    PKCS7_X509 = 1
    PGP = 2
    DNS_SIGNED_KEY = 3
    X509_SIGNATURE = 4
    KERBEROS_TOKEN = 6
    CRL = 7
    ARL = 8
    SPKI = 9
    X509_ATTRIBUTE = 10
    RAW_RSA_KEY = 11
    HASH_AND_URL = 12
    HASH_AND_URL_BUNDLE = 13
    OCSP_CONTENT = 14
    RAW_PUBLIC_KEY = 15


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate or its kin. Nothing in it is judged here."""

    encoding: CertificateEncoding | int
    data: bytes
    payload_type: ClassVar[PayloadType] = PayloadType.CERT

    @classmethod
    def parse(cls, body: bytes) -> Certificate:
        reader = Reader(body, "a certificate payload")
        return cls(known(CertificateEncoding, reader.number(1)), reader.rest())

    def emit(self) -> bytes:
        return octets_of(self.encoding, 1) + self.data
