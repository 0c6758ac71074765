"""Lines of text for packets."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from culvert.capture.packets import ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Captured
from culvert.capture.summary import describe, summarise
from culvert.wire.icmp import Echo, emit_echo


def packet(protocol: int, payload: bytes, fragment: int = 0) -> bytes:
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, fragment, 64, protocol, 0)
    return header + ip_address("203.0.113.1").packed + ip_address("198.51.100.1").packed + payload


def udp(source: int, destination: int, payload: bytes) -> bytes:
    return struct.pack("!4H", source, destination, 8 + len(payload), 0) + payload


ESP = struct.pack("!II", 0xC0FFEE01, 0x1F) + bytes(100)
IKE = bytes(range(16)) + bytes([0, 0x20, 34, 0x08]) + struct.pack("!II", 0, 28)
ICMP6 = struct.pack("!IHBB", 6 << 28, 8, 58, 64) + bytes(15) + b"\x01" + bytes(15) + b"\x02"
ENDS = "IP 203.0.113.1 > 198.51.100.1: "


@pytest.mark.parametrize(
    ("octets", "line"),
    [
        (packet(50, ESP), ENDS + "ESP(spi=0xc0ffee01,seq=0x1f), length 108"),
        (
            packet(17, udp(4500, 33_000, ESP)),
            "IP 203.0.113.1.4500 > 198.51.100.1.33000: UDP-encap: ESP(spi=0xc0ffee01,seq=0x1f), length 108",
        ),
        (
            packet(17, udp(500, 500, IKE)),
            "IP 203.0.113.1.500 > 198.51.100.1.500: isakmp: IKE_SA_INIT request 0, spi 0x0001020304050607, length 28",
        ),
        (
            packet(17, udp(4500, 4500, bytes(4) + IKE[:19] + b"\x20" + IKE[20:])),
            "IP 203.0.113.1.4500 > 198.51.100.1.4500: NONESP-encap: isakmp: IKE_SA_INIT response 0, "
            "spi 0x0001020304050607, length 28",
        ),
        (packet(17, udp(4500, 4500, b"\xff")), "IP 203.0.113.1.4500 > 198.51.100.1.4500: isakmp-nat-keep-alive"),
        (packet(17, udp(53, 53, b"dns")), "IP 203.0.113.1.53 > 198.51.100.1.53: UDP, length 3"),
        (packet(17, udp(500, 500, b"x")), "IP 203.0.113.1.500 > 198.51.100.1.500: isakmp, length 1"),
        (packet(1, emit_echo(Echo(8, 7, 2, bytes(32)))), ENDS + "ICMP echo request, id 7, seq 2, length 40"),
        (packet(1, emit_echo(Echo(0, 7, 2, b""))), ENDS + "ICMP echo reply, id 7, seq 2, length 8"),
        (packet(1, bytes([3, 1]) + bytes(6)), ENDS + "ICMP type 3, length 8"),
        (
            packet(6, struct.pack("!HHIIBB", 1000, 22, 0, 0, 0x50, 0x12) + bytes(6) + b"data"),
            "IP 203.0.113.1.1000 > 198.51.100.1.22: TCP [S.], length 4",
        ),
        (packet(4, packet(47, b"gre")), ENDS + ENDS + "protocol 47, length 3"),
        (packet(17, b"rest", fragment=10), ENDS + "fragment of protocol 17 at 80, length 4"),
        (packet(6, b"short"), ENDS + "malformed: 5 octets are too few for TCP"),
    ],
)
def test_packets_of_ipv4(octets: bytes, line: str) -> None:
    assert describe(Captured(0, "eth0", ETHERTYPE_IPV4, 4, octets)) == line


def test_other_packets() -> None:
    assert describe(Captured(0, "e", ETHERTYPE_IPV6, 4, ICMP6 + bytes([135]) + bytes(7))) == (
        "IP6 ::1 > ::2: ICMP6 type 135, length 8"
    )
    assert describe(Captured(0, "e", ETHERTYPE_ARP, 4, bytes(28))) == "ARP, length 28"
    assert describe(Captured(0, "e", 0x88CC, 4, bytes(5))) == "ethertype 0x88cc, length 5"
    assert describe(Captured(0, "e", ETHERTYPE_IPV4, 4, b"")) == "IP malformed: an empty packet"


def test_the_time_of_day_comes_first() -> None:
    line = summarise(Captured(1_700_000_000_123_456_789, "e", ETHERTYPE_ARP, 0, b""))
    assert line[2] == line[5] == ":"
    assert line[8:] == ".123457 ARP, length 0" or line[8:] == ".123456 ARP, length 0"
