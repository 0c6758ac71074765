"""The part of ESP that is readable (RFC 4303 section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from culvert.addresses import NAT_PORT
from culvert.wire.ip import ESP, UDP, IpPacket, PacketError
from culvert.wire.udp import NatTraffic, nat_traffic, parse_udp

ESP_HEADER_OCTETS = 8


_HEADER = struct.Struct("!II")


@dataclass(frozen=True, slots=True)
class EspPacket:
    """SPI and sequence number, and what is behind them: IV, ciphertext, ICV."""

    spi: int
    sequence: int
    sealed: bytes = field(repr=False)


def parse_esp(octets: bytes) -> EspPacket:
    """Read the payload of protocol 50, or of a datagram on port 4500. Raise PacketError."""
    if len(octets) < _HEADER.size:
        raise PacketError(f"{len(octets)} octets are too few for ESP")
    spi, sequence = _HEADER.unpack_from(octets)
    return EspPacket(spi, sequence, octets[_HEADER.size :])


def esp_of(packet: IpPacket) -> EspPacket | None:
    """Find ESP in a packet, by itself or in UDP; None where there is none."""
    if packet.fragment_offset:
        return None
    try:
        if packet.protocol == ESP:
            return parse_esp(packet.payload)
        if packet.protocol != UDP:
            return None
        datagram = parse_udp(packet.payload)
        if NAT_PORT in (datagram.source_port, datagram.destination_port):
            return parse_esp(datagram.payload) if nat_traffic(datagram.payload) is NatTraffic.ESP else None
    except PacketError:
        return None
    return None
