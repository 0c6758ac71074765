"""The Delete payload (RFC 7296 section 3.11)."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar

from culvert.wire.isakmp.errors import require
from culvert.wire.isakmp.limits import MAX_DELETED_SPIS
from culvert.wire.isakmp.numbers import PayloadType, ProtocolId, known
from culvert.wire.isakmp.reader import Reader, packed

CHILD_SPI_OCTETS = 4

_HEAD = Struct("!BBH")


@dataclass(frozen=True, slots=True)
class Delete:
    """The sender's inbound SPIs that are gone; none for the IKE SA itself, which the message's header names."""

    protocol: ProtocolId | int
    spis: tuple[bytes, ...] = ()
    payload_type: ClassVar[PayloadType] = PayloadType.DELETE

    def __post_init__(self) -> None:
        require(self.protocol != ProtocolId.IKE or not self.spis, "a Delete of the IKE SA lists SPIs")
        require(len(self.spis) <= MAX_DELETED_SPIS, f"{len(self.spis)} SPIs, where {MAX_DELETED_SPIS} are allowed")
        sizes = {len(spi) for spi in self.spis}
        require(len(sizes) <= 1 and 0 not in sizes, "the SPIs of a Delete differ in size or are empty")
        if self.protocol in (ProtocolId.AH, ProtocolId.ESP):
            require(sizes <= {CHILD_SPI_OCTETS}, "an SPI of ESP or AH has 4 octets")

    @classmethod
    def parse(cls, body: bytes) -> Delete:
        reader = Reader(body, "a Delete payload")
        protocol, size, count = reader.fields(_HEAD)
        require(count <= MAX_DELETED_SPIS, f"{count} SPIs, where {MAX_DELETED_SPIS} are allowed")
        require(reader.left == size * count, f"{count} SPIs of {size} octets in {reader.left} octets")
        # Some peers count the IKE SA as one SPI of no octets.
        return cls(known(ProtocolId, protocol), tuple(reader.octets(size) for _ in range(count if size else 0)))

    def emit(self) -> bytes:
        size = len(self.spis[0]) if self.spis else 0
        if self.protocol in (ProtocolId.AH, ProtocolId.ESP):
            size = CHILD_SPI_OCTETS
        head = packed(_HEAD, self.protocol, size, len(self.spis))
        return head + b"".join(self.spis)
