"""Whole IP packets to protect, written out octet by octet: nothing of ours or of others computes them."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

TTL = 64


def checksum(octets: bytes) -> int:
    """Give the Internet checksum (RFC 1071)."""
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ipv4(source: str, destination: str, protocol: int, payload: bytes, options: bytes = b"") -> bytes:
    """Give an IPv4 packet; `options` are of whole words."""
    words = 5 + len(options) // 4
    header = struct.pack(
        "!BBHHHBBH4s4s",
        *(0x40 | words, 0, words * 4 + len(payload), 0x1234, 0, TTL, protocol, 0),
        *(IPv4Address(source).packed, IPv4Address(destination).packed),
    )
    header += options
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + payload


def ipv6(source: str, destination: str, next_header: int, payload: bytes) -> bytes:
    """Give an IPv6 packet; extension headers begin `payload`."""
    header = struct.pack("!IHBB", 6 << 28, len(payload), next_header, TTL)
    return header + IPv6Address(source).packed + IPv6Address(destination).packed + payload


def udp(source: str, destination: str, payload: bytes, ports: tuple[int, int] = (4000, 5000)) -> bytes:
    """Give a UDP datagram with its checksum over the pseudo-header."""
    length = 8 + len(payload)
    ends = ip_address(source).packed + ip_address(destination).packed
    tail = (0, 17, length) if len(ends) == 8 else (length, 17)
    pseudo = ends + struct.pack("!BBH" if len(ends) == 8 else "!II", *tail)
    datagram = struct.pack("!HHHH", *ports, length, 0) + payload
    return datagram[:6] + (checksum(pseudo + datagram) or 0xFFFF).to_bytes(2, "big") + datagram[8:]


def datagram(source: str, destination: str, payload: bytes) -> bytes:
    """Give a UDP datagram in a packet of its family."""
    upper = udp(source, destination, payload)
    return (ipv6 if ":" in source else ipv4)(source, destination, 17, upper)
