"""The Encrypted payload SK (RFC 7296 section 3.14) and its fragment SKF (RFC 7383 section 2.5), still sealed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from struct import Struct
from typing import ClassVar

from culvert.wire.isakmp.errors import require
from culvert.wire.isakmp.header import HEADER_OCTETS, Header
from culvert.wire.isakmp.numbers import PayloadType
from culvert.wire.isakmp.reader import Reader, packed

GENERIC_HEADER = Struct("!BBH")
"""Next payload, critical bit and reserved bits, length (RFC 7296 section 3.2)."""
GENERIC_HEADER_OCTETS = GENERIC_HEADER.size
PREFIX_OCTETS = HEADER_OCTETS + GENERIC_HEADER_OCTETS
"""What stands before the body of SK."""
_FRAGMENT = Struct("!HH")
FRAGMENT_PREFIX_OCTETS = PREFIX_OCTETS + _FRAGMENT.size
"""What stands before the body of SKF."""
_CRITICAL = 0x80


@dataclass(frozen=True, slots=True)
class Encrypted:
    """`body` runs from the IV to the ICV; `first_payload` is the type of the first one inside, 0 where there is none.

    It ends its message, so the IV stands at `len(datagram) - len(body)`.
    """

    first_payload: int
    body: bytes
    payload_type: ClassVar[PayloadType] = PayloadType.SK

    def __post_init__(self) -> None:
        require(0 <= self.first_payload <= 255, f"{self.first_payload} is no payload type")

    def emit(self) -> bytes:
        return self.body


@dataclass(frozen=True, slots=True)
class EncryptedFragment:
    """One of `total` fragments, counted from 1. `first_payload` is 0 in all but the first; `body` as in Encrypted."""

    first_payload: int
    number: int
    total: int
    body: bytes
    payload_type: ClassVar[PayloadType] = PayloadType.SKF

    def __post_init__(self) -> None:
        require(0 <= self.first_payload <= 255, f"{self.first_payload} is no payload type")
        require(1 <= self.number <= self.total <= 65_535, f"fragment {self.number} of {self.total}")
        require(self.number == 1 or self.first_payload == 0, "a later fragment names a first payload")

    @classmethod
    def parse(cls, first_payload: int, body: bytes) -> EncryptedFragment:
        reader = Reader(body, "an encrypted fragment")
        number, total = reader.fields(_FRAGMENT)
        return cls(first_payload if number == 1 else 0, number, total, reader.rest())

    def emit(self) -> bytes:
        return packed(_FRAGMENT, self.number, self.total) + self.body


def encrypted_prefix(header: Header, first_payload: int, body_octets: int) -> bytes:
    """Write the IKE header and the generic header of SK for a body (IV to ICV) of so many octets.

    `next_payload` and `length` of `header` are replaced. This is what RFC 5282 section 5.1 calls the associated data.
    """
    filled = replace(header, next_payload=PayloadType.SK, length=PREFIX_OCTETS + body_octets)
    return filled.emit() + generic_header(first_payload, False, body_octets)


def fragment_prefix(header: Header, fragment: EncryptedFragment, body_octets: int) -> bytes:
    """Do the same for a fragment: IKE header, generic header, number and total (RFC 7383 section 2.5).

    Of `fragment`, the body does not matter.
    """
    filled = replace(header, next_payload=PayloadType.SKF, length=FRAGMENT_PREFIX_OCTETS + body_octets)
    numbers = packed(_FRAGMENT, fragment.number, fragment.total)
    return filled.emit() + generic_header(fragment.first_payload, False, _FRAGMENT.size + body_octets) + numbers


def generic_header(next_payload: int, critical: bool, body_octets: int) -> bytes:
    """Write a generic payload header (RFC 7296 section 3.2)."""
    return packed(GENERIC_HEADER, next_payload, _CRITICAL * critical, GENERIC_HEADER_OCTETS + body_octets)
