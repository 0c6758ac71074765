"""IPv4 and IPv6 headers (RFC 791, RFC 8200), as far as capturing needs them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from culvert.addresses import IPAddress

ICMP, IPV4, TCP, UDP, IPV6, GRE, ESP, AH, ICMPV6 = 1, 4, 6, 17, 41, 47, 50, 51, 58
NO_NEXT_HEADER = 59
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION = 0, 43, 44, 60
_EXTENSIONS = frozenset({_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION})

_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")


class PacketError(ValueError):
    """Octets that are no such packet; the text says why."""


@dataclass(frozen=True, slots=True)
class IpPacket:
    """A packet with its upper layer's octets. `fragment_offset` is in octets; `length` is the header's word for it.

    `payload` is shorter than the length says where the packet was captured in part.
    """

    source: IPAddress
    destination: IPAddress
    protocol: int
    payload: bytes = field(repr=False)
    length: int = 0
    hop_limit: int = 64
    fragment_offset: int = 0
    more_fragments: bool = False

    @property
    def version(self) -> int:
        return self.source.version

    @property
    def fragment(self) -> bool:
        return self.fragment_offset > 0 or self.more_fragments


def parse_ip(octets: bytes) -> IpPacket:
    """Read a packet that begins with an IP header. Raise PacketError."""
    if not octets:
        raise PacketError("an empty packet")
    version = octets[0] >> 4
    if version == 4:
        return _parse_ipv4(octets)
    if version == 6:
        return _parse_ipv6(octets)
    raise PacketError(f"version {version} of IP")


def _parse_ipv4(octets: bytes) -> IpPacket:
    if len(octets) < _IPV4.size:
        raise PacketError(f"{len(octets)} octets are too few for an IPv4 header")
    first, _, length, _, fragment, hops, protocol, _, source, destination = _IPV4.unpack_from(octets)
    header = (first & 0x0F) * 4
    length = length or len(octets)  # segmentation offload leaves 0 where 16 bits are too few
    if header < _IPV4.size or header > min(len(octets), length):
        raise PacketError(f"an IPv4 header of {header} octets in {min(len(octets), length)}")
    return IpPacket(
        IPv4Address(source),
        IPv4Address(destination),
        protocol,
        octets[header:length],
        length,
        hops,
        (fragment & 0x1FFF) * 8,
        bool(fragment & 0x2000),
    )


def _parse_ipv6(octets: bytes) -> IpPacket:
    if len(octets) < _IPV6.size:
        raise PacketError(f"{len(octets)} octets are too few for an IPv6 header")
    _, payload_length, following, hops, source, destination = _IPV6.unpack_from(octets)
    length = _IPV6.size + payload_length if payload_length else len(octets)
    rest = octets[_IPV6.size : length]
    offset, more = 0, False
    while following in _EXTENSIONS:
        if following == _FRAGMENT and len(rest) >= 8:
            (word,) = struct.unpack_from("!H", rest, 2)
            offset, more = word & 0xFFF8, bool(word & 1)
        kind, following, rest = following, *_extension(following, rest)
        if kind == _FRAGMENT and offset:
            break  # what follows is the middle of something, no header
    return IpPacket(IPv6Address(source), IPv6Address(destination), following, rest, length, hops, offset, more)


def _extension(kind: int, rest: bytes) -> tuple[int, bytes]:
    """Take one extension header off; it has 8 octets at least, so every turn advances."""
    size = 8 if kind == _FRAGMENT else 8 + 8 * rest[1] if len(rest) > 1 else 8
    if len(rest) < size:
        raise PacketError(f"{len(rest)} octets are too few for an IPv6 extension header")
    return rest[0], rest[size:]


def checksum(octets: bytes, start: int = 0) -> int:
    """Give the Internet checksum (RFC 1071); `start` is a sum to begin with."""
    padded = octets + bytes(len(octets) % 2)
    total: int = start + sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
