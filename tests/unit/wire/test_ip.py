"""Headers as far as capturing needs them: read where they are whole, refused by PacketError where not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_address

import pytest

from culvert.wire.esp import esp_of, parse_esp
from culvert.wire.icmp import ECHO_REQUEST, Echo, emit_echo, parse_echo
from culvert.wire.ip import ESP, UDP, PacketError, checksum, parse_ip
from culvert.wire.udp import NatTraffic, nat_traffic, parse_udp

A, B = ip_address("192.168.1.20"), ip_address("192.168.2.34")
A6, B6 = ip_address("2001:db8:1::20"), ip_address("2001:db8:2::34")


def ipv4(protocol: int, payload: bytes, *, fragment: int = 0, options: bytes = b"") -> bytes:
    words = (0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), 1, fragment, 64, protocol, 0)
    return struct.pack("!BBHHHBBH", *words) + A.packed + B.packed + options + payload


def ipv6(following: int, payload: bytes) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(payload), following, 64) + A6.packed + B6.packed + payload


def test_an_ipv4_packet_with_options_and_trailing_octets() -> None:
    packet = parse_ip(ipv4(17, b"payload", options=bytes(4)) + b"padding of the link")
    assert (packet.source, packet.destination, packet.protocol, packet.payload) == (A, B, 17, b"payload")
    assert (packet.version, packet.length, packet.hop_limit, packet.fragment) == (4, 31, 64, False)


def test_fragments_say_so() -> None:
    first, later = parse_ip(ipv4(17, b"x", fragment=0x2000)), parse_ip(ipv4(17, b"x", fragment=185))
    assert (first.more_fragments, first.fragment_offset, first.fragment) == (True, 0, True)
    assert (later.more_fragments, later.fragment_offset, later.fragment) == (False, 1480, True)


def test_ipv6_extension_headers_are_walked() -> None:
    hop_by_hop = bytes([60, 0]) + bytes(6)
    destination = bytes([44, 1]) + bytes(14)
    fragment = struct.pack("!BBHI", 17, 0, 1, 7)
    packet = parse_ip(ipv6(0, hop_by_hop + destination + fragment + b"udp"))
    assert (packet.source, packet.destination, packet.protocol, packet.payload) == (A6, B6, 17, b"udp")
    assert packet.more_fragments


def test_what_follows_a_later_fragments_header_is_no_header() -> None:
    fragment = struct.pack("!BBHI", 0, 0, 8, 7)
    packet = parse_ip(ipv6(44, fragment + b"any"))
    assert (packet.protocol, packet.payload, packet.fragment_offset) == (0, b"any", 8)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x50",
        ipv4(1, b"")[:19],
        b"\x44" + ipv4(1, b"")[1:],
        b"\x4f" + ipv4(1, b"")[1:],
        ipv6(1, b"")[:39],
        ipv6(0, b"\x01"),
        ipv6(0, b"\x01\x05" + bytes(6)),
    ],
)
def test_broken_packets_are_refused(octets: bytes) -> None:
    with pytest.raises(PacketError):
        parse_ip(octets)


@pytest.mark.parametrize("parse", [parse_udp, parse_esp, parse_echo])
def test_short_upper_layers_are_refused(parse: Callable[[bytes], object]) -> None:
    with pytest.raises(PacketError, match="7 octets are too few"):
        parse(bytes(7))


def test_port_4500_carries_three_things() -> None:
    assert nat_traffic(b"\xff") is NatTraffic.KEEPALIVE
    assert nat_traffic(bytes(4) + b"ike") is NatTraffic.IKE
    assert nat_traffic(b"\0\0\0\x01esp!") is NatTraffic.ESP
    with pytest.raises(PacketError):
        nat_traffic(b"\xff\xff")


def udp(source: int, destination: int, payload: bytes) -> bytes:
    return struct.pack("!4H", source, destination, 8 + len(payload), 0) + payload


SEALED = struct.pack("!II", 0xC0FFEE01, 5) + b"sealed"


def test_esp_is_found_by_itself_and_in_udp() -> None:
    for octets in (ipv4(ESP, SEALED), ipv4(UDP, udp(4500, 33_000, SEALED)), ipv6(UDP, udp(1, 4500, SEALED))):
        esp = esp_of(parse_ip(octets))
        assert esp is not None
        assert (esp.spi, esp.sequence, esp.sealed) == (0xC0FFEE01, 5, b"sealed")


@pytest.mark.parametrize(
    "octets",
    [
        ipv4(ESP, b"short"),
        ipv4(ESP, SEALED, fragment=1),
        ipv4(UDP, udp(53, 53, SEALED)),
        ipv4(UDP, udp(4500, 4500, b"\xff")),
        ipv4(UDP, udp(4500, 4500, bytes(4) + SEALED)),
        ipv4(UDP, udp(4500, 4500, b"xx")),
        ipv4(UDP, b"short"),
        ipv4(6, SEALED),
    ],
)
def test_what_is_no_esp_is_not_found(octets: bytes) -> None:
    assert esp_of(parse_ip(octets)) is None


def test_an_echo_is_read_as_written_and_its_checksum_is_right() -> None:
    echo = Echo(ECHO_REQUEST[4], 7, 1, b"odd")
    octets = emit_echo(echo)
    assert parse_echo(octets) == echo
    assert checksum(octets) == 0
    with pytest.raises(PacketError, match="is no echo"):
        parse_echo(bytes([3]) + octets[1:])


def test_the_checksum_of_rfc_1071() -> None:
    """The example of RFC 1071 section 3: the sum of 0001 f203 f4f5 f6f7 is ddf2."""
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF
