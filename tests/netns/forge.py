"""Packets that nobody honest sends, and how they get onto the wire with whatever source one likes."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from culvert.addresses import IKE_PORT, NAT_PORT
from culvert.capture.offload import wire_packets
from culvert.capture.packets import ETHERTYPE_IPV4, ETHERTYPE_IPV6
from culvert.lab.host import Host
from culvert.wire.ip import ESP, UDP, PacketError, checksum, parse_ip
from culvert.wire.udp import NON_ESP_MARKER, NatTraffic, nat_traffic, parse_udp

ETHERNET_OCTETS = 14
PULSE_PORT = 7007
PULSE_S = 5.0


def ip_packet(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    """Give an IPv4 or IPv6 packet (RFC 791, RFC 8200) without options."""
    ends = ip_address(source).packed, ip_address(destination).packed
    if len(ends[0]) == 16:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + ends[0] + ends[1] + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, *ends)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def udp_packet(ends: tuple[str, str], ports: tuple[int, int], payload: bytes) -> bytes:
    """Give an IP packet with a UDP datagram; `ends` and `ports` are source and destination."""
    source, destination = (ip_address(end).packed for end in ends)
    head = struct.pack("!HHHH", *ports, 8 + len(payload), 0)
    pseudo = source + destination + struct.pack("!II", 8 + len(payload), UDP)
    total = checksum(pseudo + head + payload) or 0xFFFF
    return ip_packet(*ends, UDP, head[:6] + struct.pack("!H", total) + payload)


class Injector:
    """Puts packets on a cable of `host`, addressed to whoever holds the other end."""

    def __init__(self, host: Host, interface: str, target: Host, target_interface: str) -> None:
        self._socket = host.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        shown = target.ip("-o", "link", "show", "dev", target_interface)
        mac = bytes.fromhex(shown.split("link/ether ")[1].split()[0].replace(":", ""))
        self._to = {4: (interface, ETHERTYPE_IPV4, 0, 0, mac), 6: (interface, ETHERTYPE_IPV6, 0, 0, mac)}

    def send(self, packet: bytes) -> None:
        self._socket.sendto(packet, self._to[packet[0] >> 4])

    def close(self) -> None:
        self._socket.close()


@dataclass
class Pulse:
    """A datagram from host to host and back: traffic that must never be lost; all before it was read when it is."""

    near: socket.socket
    far: socket.socket
    to: tuple[str, int]
    count: int = 0

    def beat(self) -> None:
        """Raise TimeoutError where it does not come back."""
        self.count += 1
        word = self.count.to_bytes(8, "big")
        self.near.sendto(word, self.to)
        octets, back = self.far.recvfrom(64)
        assert octets == word
        self.far.sendto(octets, back)
        assert self.near.recv(64) == word


@contextmanager
def pulse(near: Host, far: Host, address: str) -> Iterator[Pulse]:
    with near.socket(socket.AF_INET, socket.SOCK_DGRAM) as here, far.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.bind((address, PULSE_PORT))
        for end in (here, there):
            end.settimeout(PULSE_S)
        yield Pulse(here, there, (address, PULSE_PORT))


@dataclass(frozen=True)
class Overheard:
    """What really passed: IKE messages without marker, and ESP packets from the SPI on, towards one address."""

    ike: tuple[bytes, ...]
    esp: tuple[bytes, ...]


def overheard(frames: Iterable[bytes], destination: str) -> Overheard:
    """Sort the frames of an eavesdropper."""
    ike: list[bytes] = []
    esp: list[bytes] = []
    for octets in (part for frame in frames if is_ip(frame) for part in wire_packets(frame[ETHERNET_OCTETS:])):
        try:
            packet = parse_ip(octets)
            if packet.destination != ip_address(destination):
                continue
            if packet.protocol == ESP:
                esp.append(packet.payload)
            if packet.protocol != UDP:
                continue
            datagram = parse_udp(packet.payload)
        except PacketError:
            continue
        if datagram.destination_port == IKE_PORT:
            ike.append(datagram.payload)
        elif datagram.destination_port == NAT_PORT and nat_traffic(datagram.payload) is NatTraffic.ESP:
            esp.append(datagram.payload)
        elif datagram.destination_port == NAT_PORT and datagram.payload.startswith(NON_ESP_MARKER):
            ike.append(datagram.payload[4:])
    return Overheard(tuple(ike), tuple(esp))


def is_ip(frame: bytes) -> bool:
    return int.from_bytes(frame[12:14], "big") in (ETHERTYPE_IPV4, ETHERTYPE_IPV6)


def mutated(source: random.Random, octets: bytes) -> bytes:
    """Flip, cut, stretch, overwrite or splice; sometimes nothing but the length field is right afterwards."""
    changed = bytearray(octets)
    for _ in range(source.choice((1, 1, 1, 2, 5, 20))):
        at = source.randrange(len(changed)) if changed else 0
        match source.randrange(6):
            case 0 if changed:
                changed[at] ^= 1 << source.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                changed[at:at] = source.randbytes(source.choice((1, 4, 40)))
            case 3 if changed:
                changed[at] = source.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 4:
                del changed[at : at + source.choice((1, 2, 4, 16))]
            case _ if len(changed) > at + 4:
                struct.pack_into("!H", changed, at, source.choice((0, 1, 4, 0x7FFF, 0xFFFF)))
    if source.random() < 0.7 and len(changed) >= 28:
        struct.pack_into("!I", changed, 24, len(changed))
    return bytes(changed[:1400])


def plausible_ike(source: random.Random) -> bytes:
    """Give a message whose header is one of IKE and whose rest is anything."""
    body = source.randbytes(source.choice((0, 1, 4, 28, 200, 1200)))
    known = source.randbytes(8), source.choice((bytes(8), source.randbytes(8)))
    head = struct.pack(
        "!8s8sBBBBII",
        *known,
        source.choice((0, 33, 34, 40, 41, 46, 53, source.randrange(256))),
        source.choice((0x20, 0x20, 0x20, 0x10, 0x30, source.randrange(256))),
        source.choice((34, 34, 35, 36, 37, source.randrange(256))),
        source.choice((0x08, 0x20, 0x28, 0x00, source.randrange(256))),
        source.choice((0, 0, 1, 2, 0xFFFFFFFF)),
        source.choice((28 + len(body), 28 + len(body), 0, 0xFFFFFFFF)),
    )
    return head + body
