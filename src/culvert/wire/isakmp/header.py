"""The IKE header (RFC 7296 section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from culvert.reasons import Refusal
from culvert.wire.isakmp.errors import ParseError, require
from culvert.wire.isakmp.numbers import ExchangeType, known
from culvert.wire.isakmp.reader import Reader, packed

HEADER_OCTETS = 28
SPI_OCTETS = 8
NO_SPI = bytes(SPI_OCTETS)
"""The responder's SPI in the first message of an IKE_SA_INIT exchange."""
MAJOR_VERSION = 2
_BEHIND_SPIS = Struct("!BBBBLL")
_INITIATOR, _VERSION, _RESPONSE = 0x08, 0x10, 0x20


@dataclass(frozen=True, slots=True)
class Header:
    """What every message begins with.

    `initiator`: the sender began the IKE SA. `version`: the sender could speak a higher major version. `length` is the
    whole message's, in octets. An exchange type that is not known here stays a number.
    """

    spi_i: bytes
    spi_r: bytes
    next_payload: int
    exchange: ExchangeType | int
    initiator: bool
    response: bool
    message_id: int
    length: int
    version: bool = False
    major: int = MAJOR_VERSION
    minor: int = 0

    def __post_init__(self) -> None:
        require(len(self.spi_i) == len(self.spi_r) == SPI_OCTETS, "an IKE SPI has 8 octets")
        require(0 <= self.major <= 15 and 0 <= self.minor <= 15, "a version has two halves of 4 bits")

    def emit(self) -> bytes:
        flags = _INITIATOR * self.initiator | _VERSION * self.version | _RESPONSE * self.response
        version = self.major << 4 | self.minor
        return b"".join(
            (
                self.spi_i,
                self.spi_r,
                packed(_BEHIND_SPIS, self.next_payload, version, self.exchange, flags, self.message_id, self.length),
            )
        )


def read_header(data: bytes) -> Header:
    """Read the first 28 octets without judging them. Raise ParseError where there are fewer."""
    reader = Reader(data, "the IKE header")
    spi_i, spi_r = reader.octets(SPI_OCTETS), reader.octets(SPI_OCTETS)
    next_payload, version, exchange, flags, message_id, length = reader.fields(_BEHIND_SPIS)
    return Header(
        spi_i=spi_i,
        spi_r=spi_r,
        next_payload=next_payload,
        exchange=known(ExchangeType, exchange),
        initiator=bool(flags & _INITIATOR),
        response=bool(flags & _RESPONSE),
        message_id=message_id,
        length=length,
        version=bool(flags & _VERSION),
        major=version >> 4,
        minor=version & 15,
    )


def peek(data: bytes) -> Header:
    """Read and judge the header of a whole datagram, and look no further.

    Raise ParseError: INVALID_MAJOR_VERSION where it is not IKEv2's (`read_header` still reads it, for the answer that
    RFC 7296 section 2.5 wants), INVALID_SYNTAX where the length is not the datagram's or the initiator has no SPI.
    """
    header = read_header(data)
    if header.major != MAJOR_VERSION:
        raise ParseError(
            Refusal.INVALID_MAJOR_VERSION, f"major version {header.major}, where {MAJOR_VERSION} is spoken"
        )
    if header.length != len(data):
        text = f"the header says {header.length} octets and {len(data)} came"
        raise ParseError(Refusal.INVALID_SYNTAX, text)
    require(header.spi_i != NO_SPI, "the initiator's SPI is zero")
    return header
