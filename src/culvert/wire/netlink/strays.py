"""Our own message on packets of associations that are not there (engine-protocol.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from culvert.addresses import SocketAddress
from culvert.wire.netlink.family import emit_socket_address, parse_socket_address, required, u32
from culvert.wire.netlink.framing import ParseError, emit_attribute, parse_attributes
from culvert.wire.netlink.numbers import OwnAttribute

_U32 = struct.Struct("=I")
SPI_OCTETS = 4
PROTOCOLS = (50, 51)
"""ESP and AH."""


@dataclass(frozen=True, slots=True)
class StrayWire:
    """The body of UNKNOWN_SPI. Ports are 0 where the packet did not come in UDP."""

    local: SocketAddress
    remote: SocketAddress
    protocol: int
    spi: int


def emit_stray(value: StrayWire) -> bytes:
    """Give the body of UNKNOWN_SPI."""
    return (
        emit_attribute(OwnAttribute.LOCAL, emit_socket_address(value.local))
        + emit_attribute(OwnAttribute.REMOTE, emit_socket_address(value.remote))
        + emit_attribute(OwnAttribute.PROTOCOL, _U32.pack(value.protocol))
        + emit_attribute(OwnAttribute.SPI, value.spi.to_bytes(SPI_OCTETS, "big"))
    )


def parse_stray(body: bytes) -> StrayWire:
    """Read the body of UNKNOWN_SPI. Raise ParseError."""
    attributes = parse_attributes(body)
    protocol, spi = u32(attributes, OwnAttribute.PROTOCOL), required(attributes, OwnAttribute.SPI)
    if protocol not in PROTOCOLS or len(spi) != SPI_OCTETS:
        raise ParseError("a packet of neither ESP nor AH, or without an SPI")
    local = parse_socket_address(required(attributes, OwnAttribute.LOCAL))
    remote = parse_socket_address(required(attributes, OwnAttribute.REMOTE))
    return StrayWire(local, remote, protocol, int.from_bytes(spi, "big"))
