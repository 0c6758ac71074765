"""Our own message on packets that were dropped, of which a few are told where that is wanted (engine-protocol.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from culvert.addresses import SocketAddress
from culvert.wire.netlink.family import emit_socket_address, parse_socket_address, required, u32
from culvert.wire.netlink.framing import ParseError, emit_attribute, parse_attributes
from culvert.wire.netlink.numbers import OwnAttribute

_U32 = struct.Struct("=I")
_INBOUND = 1
SPI_OCTETS = 4


@dataclass(frozen=True, slots=True)
class SampleWire:
    """The body of DROPPED. Ends and protocol are the outermost header's; ports and SPI are 0 where there are none."""

    reason: int
    inbound: bool
    source: SocketAddress
    destination: SocketAddress
    protocol: int
    spi: int
    octets: int


def emit_sample(value: SampleWire) -> bytes:
    """Give the body of DROPPED."""
    return (
        emit_attribute(OwnAttribute.REASON, _U32.pack(value.reason))
        + emit_attribute(OwnAttribute.FLAGS, _U32.pack(_INBOUND * value.inbound))
        + emit_attribute(OwnAttribute.SOURCE, emit_socket_address(value.source))
        + emit_attribute(OwnAttribute.DESTINATION, emit_socket_address(value.destination))
        + emit_attribute(OwnAttribute.PROTOCOL, _U32.pack(value.protocol))
        + emit_attribute(OwnAttribute.SPI, value.spi.to_bytes(SPI_OCTETS, "big"))
        + emit_attribute(OwnAttribute.OCTETS, _U32.pack(value.octets))
    )


def parse_sample(body: bytes) -> SampleWire:
    """Read the body of DROPPED. Raise ParseError."""
    attributes = parse_attributes(body)
    spi = required(attributes, OwnAttribute.SPI)
    if len(spi) != SPI_OCTETS:
        raise ParseError(f"an SPI of {len(spi)} octets")
    return SampleWire(
        reason=u32(attributes, OwnAttribute.REASON),
        inbound=bool(u32(attributes, OwnAttribute.FLAGS) & _INBOUND),
        source=parse_socket_address(required(attributes, OwnAttribute.SOURCE)),
        destination=parse_socket_address(required(attributes, OwnAttribute.DESTINATION)),
        protocol=u32(attributes, OwnAttribute.PROTOCOL),
        spi=int.from_bytes(spi, "big"),
        octets=u32(attributes, OwnAttribute.OCTETS),
    )
