"""Whatever policies chance makes: each packet meets what a list, asked in its order, says about it.

The judge here is a dozen lines that know nothing of runs, sets and marks; the judged is a gateway with its engine and
the kernel's nftables, seen from the cables on both sides of it.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import product
from pathlib import Path

import pytest

from culvert.lab.chapter import LAN, OUTSIDE, SITE_A, SITE_B, TO_A, UPLINK
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.host import Host
from culvert.wire.ip import ESP, checksum
from tests.netns.chapter_gateways import Gateway, Picture, built
from tests.netns.forge import ETHERNET_OCTETS, ip_packet

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

A, B = SITE_A.outside[0], SITE_B.outside[0]
KEYS = f"add {A} {B} esp 0x1001 -m tunnel -E aes-cbc 0x{'a1' * 16} -A hmac-sha2-256 0x{'b2' * 32};\n"
UDP, TCP, GRE = 17, 6, 47
ICMP = {4: 1, 6: 58}
TYPES = {4: (8, 13), 6: (128, 200)}
PORTS = (53, 8080)
TUNNEL = f"ipsec esp/tunnel/{A}-{B}/"
ACTIONS = ("discard", "none", f"{TUNNEL}require", f"{TUNNEL}use")


@dataclass(frozen=True)
class Packet:
    """What the policies look at. With ICMP, ports are type and code."""

    source: str
    destination: str
    protocol: int
    ports: tuple[int, int] = (0, 0)

    def octets(self, number: int) -> bytes:
        """Give the packet with a name in it that no other has."""
        payload = self._head() + name(number)
        if self.protocol == ICMP[6]:
            pseudo = b"".join(ip_address(end).packed for end in (self.source, self.destination))
            total = checksum(pseudo + struct.pack("!II", len(payload), self.protocol) + payload)
            payload = payload[:2] + struct.pack("!H", total) + payload[4:]
        return ip_packet(self.source, self.destination, self.protocol, payload)

    def _head(self) -> bytes:
        if self.protocol == UDP:
            return struct.pack("!HHHH", *self.ports, 24, 0)
        if self.protocol == TCP:
            return struct.pack("!HHIIBBHHH", *self.ports, 0, 0, 0x50, 0, 0, 0, 0)
        if self.protocol in ICMP.values():
            return struct.pack("!BBHI", *self.ports, 0, 0)
        return b"\0\0\0\0"


@dataclass(frozen=True)
class Rule:
    """One spdadd line."""

    source: str
    destination: str
    protocol: int
    ports: tuple[int, int]
    direction: str
    action: str
    priority: int

    def line(self) -> str:
        icmp = self.protocol in ICMP.values()
        sides = [
            side + (f"[{port}]" if port and not icmp else "")
            for side, port in zip((self.source, self.destination), self.ports, strict=True)
        ]
        upper = f"{self.protocol or 'any'}" + (f" {self.ports[0]},{self.ports[1]}" if icmp and any(self.ports) else "")
        return f"spdadd {sides[0]} {sides[1]} {upper} -P {self.direction} prio {self.priority} {self.action};\n"

    def covers(self, packet: Packet) -> bool:
        return (
            ip_address(packet.source) in ip_network(self.source)
            and ip_address(packet.destination) in ip_network(self.destination)
            and self.protocol in (0, packet.protocol)
            and all(mine in (0, port) for mine, port in zip(self.ports, packet.ports, strict=True))
        )


def name(number: int) -> bytes:
    return b"by chance" + number.to_bytes(7, "big")


def judged(rules: list[Rule], direction: str, packet: Packet) -> str:
    """Give what the first of them says, the highest priority first and the older one before."""
    mine = sorted((rule for rule in rules if rule.direction == direction), key=lambda rule: -rule.priority)
    return next((rule.action for rule in mine if rule.covers(packet)), "none")


def arrives(rules: list[Rule], packet: Packet, *directions: str) -> bool:
    """Whether it may come in clear. What may be protected and need not be may."""
    return all(judged(rules, direction, packet) in ("none", f"{TUNNEL}use") for direction in directions)


class Chance:
    """Makes policies and packets out of few addresses, so that they overlap."""

    def __init__(self, seed: int, version: int) -> None:
        self._random, self.version = random.Random(seed), version
        number = (4, 6).index(version)
        self.here, self.there = SITE_A.network[number], SITE_B.network[number]
        self.host, self.host_b = SITE_A.host[number], SITE_B.host[number]
        self.gateway, self.outside, self.peer = SITE_A.gateway[number], SITE_A.outside[number], SITE_B.outside[number]
        self.other = self.host[:-1] + "7"
        bits = 32 if version == 4 else 128
        everything = "0.0.0.0/0" if version == 4 else "::/0"
        near = [self.here, *(f"{one}/{bits}" for one in (self.host, self.gateway, self.outside))]
        far = [self.there, *(f"{one}/{bits}" for one in (self.host_b, self.peer))]
        self._ends = [*near, everything], [*far, everything]

    def rules(self) -> list[Rule]:
        found = [self._rule() for _ in range(self._random.randrange(1, 14))]
        return list({(rule[:5]): Rule(*rule) for rule in found}.values())

    def _rule(self) -> tuple:
        pick = self._random.choice
        near, far, direction = pick(self._ends[0]), pick(self._ends[1]), pick(("out", "out", "in", "in", "fwd"))
        toward = direction == "out"
        if pick((False, False, True)):
            toward = not toward
        protocol = pick((0, 0, UDP, TCP, GRE, ICMP[self.version]))
        ports = (0, 0)
        if protocol in (UDP, TCP):
            ports = pick(((0, 0), (0, 53), (53, 0), (8080, 53)))
        elif protocol == ICMP[self.version]:
            ports = pick(((0, 0), (TYPES[self.version][0], 0), (TYPES[self.version][1], 3)))
        ends = (near, far) if toward else (far, near)
        return (*ends, protocol, ports, direction, pick(ACTIONS), pick((-1, 0, 0, 1)))

    def packets(self, sources: tuple[str, ...], destinations: tuple[str, ...]) -> list[Packet]:
        found = []
        for source, destination in product(sources, destinations):
            for protocol in (UDP, TCP):
                found += [Packet(source, destination, protocol, ports) for ports in product(PORTS, PORTS)]
            found += [
                Packet(source, destination, ICMP[self.version], (one, code))
                for one in TYPES[self.version]
                for code in (0, 3)
            ]
            found.append(Packet(source, destination, GRE))
        return found


class Mouth:
    """Sends whole packets from a host, by its routes."""

    def __init__(self, host: Host, version: int) -> None:
        self._socket = host.socket(
            socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW
        )

    def say(self, packets: list[Packet]) -> None:
        for number, packet in enumerate(packets):
            try:
                self._socket.sendto(packet.octets(number), (packet.destination, 0))
            except PermissionError:
                continue  # what a hook of the sender itself drops
            except OSError as error:
                raise AssertionError(f"{packet}: {error}") from error

    def close(self) -> None:
        self._socket.close()


def seen(ear: Eavesdropper, packets: list[Packet], since: int) -> set[Packet]:
    """Give those that passed as they are, from a frame on."""
    found = set()
    for frame in ear.frames()[since:]:
        packet = frame[ETHERNET_OCTETS:]
        at = packet.rfind(b"by chance")
        if at < 0:
            continue
        one = packets[int.from_bytes(packet[at + 9 : at + 16], "big")]
        version = packet[0] >> 4
        ends = (packet[12:16], packet[16:20]) if version == 4 else (packet[8:24], packet[24:40])
        protocol = packet[9] if version == 4 else packet[6]
        if (*ends, protocol) == (ip_address(one.source).packed, ip_address(one.destination).packed, one.protocol) and (
            protocol not in ICMP.values() or packet[20 if version == 4 else 40] == one.ports[0]
        ):
            found.add(one)
    return found


def protected(frames: list[bytes]) -> int:
    return sum(frame[12:14] == b"\x08\x00" and frame[23] == ESP for frame in frames)


@pytest.fixture(params=["0", "1", "2"])
def picture(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Picture]:
    with built(tmp_path, ipv6=True) as picture:
        gateway = picture.a
        gateway.file.write_text(f'[gateway]\naddress = "{A}"\n')
        gateway.host.forward()
        for interface in ("all", "default", OUTSIDE, LAN):
            gateway.host.set_sysctl(f"net.ipv4.conf.{interface}.rp_filter", request.param)
        # Answers to what nobody asked for would only take time.
        for host in (gateway.host, picture.chapter.host_a):
            host.set_sysctl("net.ipv4.icmp_echo_ignore_all", "1")
            host.set_sysctl("net.ipv6.icmp.echo_ignore_all", "1")
        chapter = picture.chapter
        chapter.internet.ip("route", "add", SITE_A.network[0], "via", A)
        chapter.internet.ip("-6", "route", "add", SITE_A.network[1], "via", SITE_A.outside[1])
        for host, to in ((gateway.host, SITE_A.host), (gateway.host, SITE_A.router), (chapter.host_a, SITE_A.gateway)):
            for address in to:
                host.run(["ping", "-c", "1", "-W", "1", address], check=False)
        gateway.up()
        yield picture


@pytest.mark.parametrize("version", [4, 6])
def test_what_passes_is_what_the_list_lets_pass(picture: Picture, version: int) -> None:
    wrong = []
    for seed in range(12):
        chance = Chance(seed, version)
        rules = chance.rules()
        file = picture.a.folder / "ipsec.conf"
        file.write_text("flush; spdflush;\n" + KEYS + "".join(rule.line() for rule in rules))
        picture.a.culvert("setkey", "-f", str(file))
        wrong += [(seed, *one) for one in compared(picture, chance, rules)]
        if wrong:
            print(file.read_text())
            break
    assert wrong == []


def compared(picture: Picture, chance: Chance, rules: list[Rule]) -> Iterator[tuple[str, Packet]]:
    yield from of_the_gateway(picture, chance, rules)
    yield from of_the_network(picture, chance, rules)
    yield from of_the_outside(picture, chance, rules)


def of_the_gateway(picture: Picture, chance: Chance, rules: list[Rule]) -> Iterator[tuple[str, Packet]]:
    packets = chance.packets((chance.outside, chance.gateway), (chance.peer, chance.host_b))
    may = {packet: judged(rules, "out", packet) for packet in packets}
    yield from leaving(picture, picture.a.host, chance, may)


def of_the_network(picture: Picture, chance: Chance, rules: list[Rule]) -> Iterator[tuple[str, Packet]]:
    packets = chance.packets((chance.host, chance.other), (chance.peer, chance.host_b))
    may = {
        packet: judged(rules, "out", packet) if arrives(rules, packet, "in", "fwd") else "discard" for packet in packets
    }
    yield from leaving(picture, picture.chapter.host_a, chance, may)


def leaving(picture: Picture, host: Host, chance: Chance, may: dict[Packet, str]) -> Iterator[tuple[str, Packet]]:
    packets, mouth = list(may), Mouth(host, chance.version)
    wanted = sum(action.startswith("ipsec") for action in may.values())
    with Eavesdropper(picture.chapter.internet, TO_A) as ear:
        mouth.say(packets)
        passed = seen(ear, packets, 0)
        yield from (("in clear", packet) for packet in passed if may[packet] != "none")
        yield from (("lost", packet) for packet in packets if packet not in passed and may[packet] == "none")
        with contextlib.suppress(AssertionError):
            picture.a.until(lambda: protected(ear.frames()) >= wanted, "what is protected", 5)
        if (came := protected(ear.frames())) != wanted:
            yield f"{came} protected, of {wanted}", packets[0]
    mouth.close()


def of_the_outside(picture: Picture, chance: Chance, rules: list[Rule]) -> Iterator[tuple[str, Packet]]:
    packets = chance.packets((chance.peer, chance.host_b), (chance.host, chance.outside, chance.gateway))
    mouth = Mouth(picture.chapter.internet, chance.version)
    with Eavesdropper(picture.chapter.host_a, UPLINK) as ear, Ears(picture.a, chance.version) as ears:
        mouth.say(packets)
        passed = seen(ear, packets, 0) | ears.heard(packets)
    mouth.close()
    for packet in packets:
        ways = ("in", "fwd", "out") if packet.destination == chance.host else ("in",)
        may = arrives(rules, packet, *ways) and ("out" not in ways or judged(rules, "out", packet) == "none")
        if may != (packet in passed):
            yield "in clear" if packet in passed else "lost", packet


class Ears:
    """Hears what a gateway takes for itself."""

    def __init__(self, gateway: Gateway, version: int) -> None:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
        self._sockets = [gateway.host.socket(family, kind, number) for number in (UDP, TCP, GRE, ICMP[version])]
        for one in self._sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def __enter__(self) -> Ears:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()

    def heard(self, packets: list[Packet]) -> set[Packet]:
        found = set()
        for one in self._sockets:
            while True:
                try:
                    octets = one.recv(65_536)
                except BlockingIOError:
                    break
                at = octets.rfind(b"by chance")
                if at >= 0:
                    found.add(packets[int.from_bytes(octets[at + 9 : at + 16], "big")])
        return found
