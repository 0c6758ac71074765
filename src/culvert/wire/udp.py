"""UDP headers (RFC 768), and what a datagram on port 4500 is (RFC 3948 section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum, auto

from culvert.wire.ip import PacketError

UDP_HEADER_OCTETS = 8
NON_ESP_MARKER = bytes(4)
KEEPALIVE = b"\xff"

_HEADER = struct.Struct("!4H")


@dataclass(frozen=True, slots=True)
class UdpDatagram:
    """A datagram. `length` is the header's word for payload and header together."""

    source_port: int
    destination_port: int
    length: int
    payload: bytes = field(repr=False)


def parse_udp(octets: bytes) -> UdpDatagram:
    """Read the payload of an IP packet. Raise PacketError."""
    if len(octets) < _HEADER.size:
        raise PacketError(f"{len(octets)} octets are too few for a UDP header")
    source, destination, length, _ = _HEADER.unpack_from(octets)
    return UdpDatagram(source, destination, length, octets[_HEADER.size :])


class NatTraffic(Enum):
    """What travels on port 4500."""

    KEEPALIVE = auto()
    IKE = auto()
    ESP = auto()


def nat_traffic(payload: bytes) -> NatTraffic:
    """Tell IKE, ESP and keepalives on port 4500 apart. Raise PacketError where it is none of them."""
    if payload == KEEPALIVE:
        return NatTraffic.KEEPALIVE
    if len(payload) < len(NON_ESP_MARKER):
        raise PacketError(f"{len(payload)} octets on port 4500 are neither IKE nor ESP")
    return NatTraffic.IKE if payload.startswith(NON_ESP_MARKER) else NatTraffic.ESP
