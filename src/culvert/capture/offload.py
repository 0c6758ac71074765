"""Takes apart what segmentation offload joined: many ESP packets in one datagram, cut by the interface later.

A tap sees the datagram before it is cut, on a veth even at the other end. The kernel tells the size of the pieces only
since Linux 6.2, and not to every kind of socket, so the ESP headers show where they begin.
"""

from __future__ import annotations

import struct

from culvert.addresses import NAT_PORT
from culvert.wire.esp import ESP_HEADER_OCTETS
from culvert.wire.ip import UDP, IpPacket, PacketError, checksum, parse_ip
from culvert.wire.udp import UDP_HEADER_OCTETS, NatTraffic, nat_traffic, parse_udp

SPI_OCTETS = 4


def wire_packets(octets: bytes) -> list[bytes]:
    """Give the packets that go over the wire for one that was captured, from the IP header on: mostly itself."""
    try:
        packet = parse_ip(octets)
        payload = _esp_in_udp(packet)
    except PacketError:
        return [octets]
    size = _piece_octets(payload)
    if not size:
        return [octets]
    header = octets[: packet.length - len(payload)]
    pieces = (payload[start : start + size] for start in range(0, len(payload), size))
    return [_packet(header, number, piece) for number, piece in enumerate(pieces)]


def _esp_in_udp(packet: IpPacket) -> bytes:
    """Give the datagram's payload; nothing where it is no ESP. Raise PacketError."""
    if packet.protocol != UDP or packet.fragment:
        return b""
    datagram = parse_udp(packet.payload)
    if NAT_PORT not in (datagram.source_port, datagram.destination_port):
        return b""
    return datagram.payload if nat_traffic(datagram.payload) is NatTraffic.ESP else b""


def _piece_octets(payload: bytes) -> int:
    """All pieces but the last are of one size and begin with the same SPI; 0 where there is only one."""
    spi = payload[:SPI_OCTETS]
    size = payload.find(spi, ESP_HEADER_OCTETS)
    if size < 0 or any(payload[start : start + SPI_OCTETS] != spi for start in range(size, len(payload), size)):
        return 0
    return size


def _packet(header: bytes, number: int, piece: bytes) -> bytes:
    """Write the lengths, and for IPv4 identification and checksum, that the piece will have. UDP's sum stays out."""
    length = len(header) + len(piece)
    ip = bytearray(header[:-UDP_HEADER_OCTETS])
    if ip[0] >> 4 == 4:
        identification = (int.from_bytes(ip[4:6], "big") + number) & 0xFFFF
        struct.pack_into("!HH", ip, 2, length, identification)
        struct.pack_into("!H", ip, 10, 0)
        struct.pack_into("!H", ip, 10, checksum(bytes(ip)))
    else:
        struct.pack_into("!H", ip, 4, length - 40)
    ports = header[-UDP_HEADER_OCTETS : -UDP_HEADER_OCTETS + 4]
    return bytes(ip) + ports + struct.pack("!HH", UDP_HEADER_OCTETS + len(piece), 0) + piece
