"""Datagrams that segmentation offload joined are taken apart again; everything else stays as it is."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from culvert.capture.offload import wire_packets
from culvert.entropy import SeededEntropy
from culvert.wire.esp import esp_of
from culvert.wire.ip import checksum, parse_ip
from culvert.wire.udp import parse_udp

SPI = 0xC0FFEE01


def esp(sequence: int, octets: int) -> bytes:
    return struct.pack("!II", SPI, sequence) + SeededEntropy(sequence).octets(octets)


def packet(payload: bytes, version: int = 4, port: int = 4500, fragment: int = 0) -> bytes:
    datagram = struct.pack("!4H", port, port, 8 + len(payload), 0xABCD) + payload
    if version == 6:
        ends = ip_address("2001:db8::1").packed + ip_address("2001:db8::2").packed
        return struct.pack("!IHBB", 6 << 28, len(datagram), 17, 64) + ends + datagram
    ends = ip_address("203.0.113.1").packed + ip_address("198.51.100.1").packed
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 0xFFFF, fragment, 64, 17, 0) + ends + datagram


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("last", [300, 40])
def test_joined_packets_are_taken_apart(version: int, last: int) -> None:
    sizes = [300, 300, 300, last]
    joined = b"".join(esp(number, size) for number, size in enumerate(sizes))
    packets = [parse_ip(octets) for octets in wire_packets(packet(joined, version))]
    found = [esp_of(one) for one in packets]
    assert [(one.spi, one.sequence, len(one.sealed)) for one in found if one] == [
        (SPI, number, size) for number, size in enumerate(sizes)
    ]
    assert [parse_udp(one.payload).length for one in packets] == [16 + size for size in sizes]
    assert [one.length for one in packets] == [(20 if version == 4 else 40) + 16 + size for size in sizes]


def test_the_pieces_have_a_checksum_and_a_number_of_their_own() -> None:
    first, second = wire_packets(packet(esp(1, 64) + esp(2, 64)))
    assert checksum(first[:20]) == checksum(second[:20]) == 0
    assert (first[4:6], second[4:6]) == (b"\xff\xff", b"\x00\x00")


@pytest.mark.parametrize(
    "octets",
    [
        packet(esp(1, 1400)),
        packet(esp(1, 64) + esp(2, 64), port=53),
        packet(esp(1, 64) + esp(2, 64), fragment=0x2000),
        packet(bytes(4) + esp(1, 64) + esp(2, 64)),
        packet(esp(1, 64) + esp(2, 64) + b"x" * 100),
        packet(b"\xff"),
        packet(b"\xff\xff"),
        b"nonsense",
        b"",
    ],
)
def test_what_was_not_joined_stays_as_it_is(octets: bytes) -> None:
    assert wire_packets(octets) == [octets]
