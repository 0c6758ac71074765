"""Packets in packets that nobody honest sends: no way round a policy, no way into a network, no relay for strangers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from culvert.lab.chapter import OUTSIDE, SITE_A, SITE_B, TO_A, UPLINK
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.host import Host
from culvert.wire.ip import checksum
from tests.netns.by_hand import TRANSPORT, Wires, dropped, gif, joined, picture_of, pings, secured, setkey
from tests.netns.chapter_gateways import MARKER, Picture
from tests.netns.forge import Injector, ip_packet, udp_packet

pytestmark = pytest.mark.root

MARK = bytes.fromhex(MARKER) * 8
PORTS = (7777, 7778)
OURS, THEIRS = SITE_A.outside, SITE_B.outside
STRANGER = ("203.0.113.77", "2001:db8:a::77")
ELSEWHERE = "203.0.113.254"
ECHO = 8
INNER = ["10.99.0.1", "10.99.0.2"]


def echo(source: str, destination: str) -> bytes:
    """An echo request: whoever takes it for his own answers."""
    body = struct.pack("!BBHHH", ECHO, 0, 0, 1, 1) + MARK
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    return ip_packet(source, destination, 1, body)


def inner(version: int = 0, source: str = "", destination: str = "") -> bytes:
    ends = source or SITE_B.host[version], destination or SITE_A.host[version]
    return udp_packet(ends, PORTS, MARK)


def wrapped(packet: bytes, outer: tuple[str, str] = (THEIRS[0], OURS[0])) -> bytes:
    return ip_packet(*outer, 4 if packet[0] >> 4 == 4 else 41, packet)


def fragments(packet: bytes) -> list[bytes]:
    """Cut an IPv4 packet in two."""
    header, payload = packet[:20], packet[20:]
    parts = []
    for offset, part in ((0, payload[:24]), (24, payload[24:])):
        more = 0x2000 if offset == 0 else 0
        head = (
            header[:2]
            + struct.pack("!HHH", 20 + len(part), 0x4242, more | offset // 8)
            + header[8:10]
            + b"\0\0"
            + header[12:]
        )
        parts.append(head[:10] + struct.pack("!H", checksum(head)) + head[12:] + part)
    return parts


def mac_of(host: Host, interface: str) -> bytes:
    shown = host.ip("-o", "link", "show", "dev", interface)
    return bytes.fromhex(shown.split("link/ether ")[1].split()[0].replace(":", ""))


@dataclass
class Siege:
    """A gateway with links, somebody on the wire before it, and ears in its network and outside."""

    picture: Picture
    injector: Injector
    network: Eavesdropper
    wire: Eavesdropper

    def throw(self, *packets: bytes) -> None:
        """Send, and then let honest packets cross in both directions: the thrown ones have been judged by then."""
        for packet in packets:
            self.injector.send(packet)
        ping = ["ping", "-n", "-c", "1", "-W", "2", SITE_A.host[0]]
        self.picture.chapter.host_b.run(ping)

    def arrived(self) -> int:
        """Give how many marked packets came to the host in the network; its own answers quote the mark as well."""
        mac = mac_of(self.picture.chapter.host_a, UPLINK)
        return len(self.network.matching(lambda frame: MARK in frame and frame[:6] == mac))

    def came_out(self) -> int:
        """Give how many marked packets the gateway sent to the wire."""
        mac = mac_of(self.picture.chapter.gateway_a, OUTSIDE)
        return len(self.wire.matching(lambda frame: MARK in frame and frame[6:12] == mac))


@contextmanager
def siege(picture: Picture) -> Iterator[Siege]:
    chapter = picture.chapter
    injector = Injector(chapter.internet, TO_A, chapter.gateway_a, OUTSIDE)
    with Eavesdropper(chapter.host_a, UPLINK) as network, Eavesdropper(chapter.internet, TO_A) as wire:
        yield Siege(picture, injector, network, wire)
    injector.close()


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Picture]:
    with picture_of(tmp_path, ipv6=True) as picture:
        yield picture


BOTH = Wires(0, (0, 1))
BARE: dict[str, Callable[[], list[bytes]]] = {
    "IPv4 in IPv4": lambda: [wrapped(inner())],
    "IPv6 in IPv4": lambda: [wrapped(inner(1))],
    "nested": lambda: [wrapped(wrapped(inner())), wrapped(wrapped(wrapped(inner(1))))],
    "fragments": lambda: fragments(wrapped(inner())),
    "with ESP's number inside": lambda: [wrapped(ip_packet(THEIRS[0], OURS[0], 50, MARK))],
    "for the gateway": lambda: [wrapped(echo(SITE_B.host[0], SITE_A.gateway[0]))],
    "for elsewhere": lambda: [wrapped(echo(SITE_B.host[0], ELSEWHERE))],
    "a host of ours as source": lambda: [wrapped(inner(source="192.168.1.99"))],
}


@pytest.mark.parametrize("template", ["tunnel", "transport"])
def test_nothing_bare_passes_where_a_policy_wants_esp(by_hand: Picture, template: str) -> None:
    joined(by_hand, BOTH)
    if template == "tunnel":
        secured(by_hand, BOTH)
    else:
        secured(by_hand, BOTH, TRANSPORT, "transport")
    with siege(by_hand) as besieged:
        for name, packets in BARE.items():
            besieged.throw(*packets())
            assert (besieged.arrived(), besieged.came_out()) == (0, 0), name
        before = gif(by_hand.a)["packets_in"]
        besieged.throw(*(packet for packets in BARE.values() for packet in packets()))
        assert gif(by_hand.a)["packets_in"] - before == 1  # the honest one
    assert dropped(by_hand.a)["FENCED_IN"] >= 2 * len(BARE)
    assert pings(by_hand, BOTH) == []


def test_a_link_in_clear_takes_packets_of_its_other_end_alone(by_hand: Picture) -> None:
    joined(by_hand, BOTH)
    wrong = {
        "a stranger": (STRANGER[0], OURS[0]),
        "the pair the wrong way round": (OURS[0], THEIRS[0]),
        "another address of ours": (THEIRS[0], SITE_A.gateway[0]),
        "an IPv6 pair": (THEIRS[1], OURS[1]),
        "a stranger by IPv6": (STRANGER[1], OURS[1]),
    }
    with siege(by_hand) as besieged:
        for name, outer in wrong.items():
            besieged.throw(
                wrapped(inner(), outer), wrapped(inner(1), outer), wrapped(echo(SITE_B.host[0], ELSEWHERE), outer)
            )
            assert (besieged.arrived(), besieged.came_out()) == (0, 0), name
        assert dropped(by_hand.a)["NO_GIF"] >= 3
        besieged.throw(wrapped(inner()), wrapped(inner(1)))
        assert besieged.arrived() == 2  # which shows that the others were packets that could have passed


def test_a_link_in_clear_refuses_sources_that_cannot_be_there(by_hand: Picture) -> None:
    joined(by_hand, BOTH)
    sources = ("192.168.1.99", SITE_A.gateway[0], OURS[0], "127.0.0.1", "224.0.0.5", "255.255.255.255", "0.1.2.3")
    sources6 = ("2001:db8:1::99", SITE_A.gateway[1], OURS[1], "::1", "ff02::1", "::", "::ffff:192.168.2.34")
    with siege(by_hand) as besieged:
        for version, names in ((0, sources), (1, sources6)):
            for source in names:
                besieged.throw(wrapped(inner(version, source=source)))
                besieged.throw(wrapped(inner(version, source=source, destination=SITE_A.gateway[version])))
                assert (besieged.arrived(), besieged.came_out()) == (0, 0), source
    drops = dropped(by_hand.a)
    assert drops["GIF_SOURCE"] >= 14
    assert drops["FENCED_IN"] >= 10


def test_fragments_and_broken_packets_come_to_nothing(by_hand: Picture) -> None:
    joined(by_hand)
    whole = wrapped(inner())
    with siege(by_hand) as besieged:
        for packet in (
            wrapped(inner()[:19]),
            wrapped(b"\x45"),
            ip_packet(THEIRS[0], OURS[0], 4, b""),
            ip_packet(THEIRS[0], OURS[0], 4, inner(1)),
            ip_packet(THEIRS[0], OURS[0], 41, inner()),
            ip_packet(THEIRS[0], OURS[0], 4, MARK),
            fragments(whole)[1],
        ):
            besieged.throw(packet)
        assert (besieged.arrived(), besieged.came_out()) == (0, 0)
        besieged.throw(*fragments(whole))
        assert besieged.arrived() == 1  # put together by the host before the engine sees it
    assert pings(by_hand) == []


def test_a_link_in_clear_is_no_way_round_a_policy_for_what_it_carries(by_hand: Picture) -> None:
    """The networks are a protected pair of a peer; the link beside it carries what is not."""
    for gateway in (by_hand.a, by_hand.b):
        gateway.write()
        ends = INNER if gateway is by_hand.a else INNER[::-1]
        gateway.file.write_text(
            gateway.file.read_text()
            + f'[gif.gif0]\nouter = ["{gateway.site.outside[0]}", "{gateway.other.outside[0]}"]\n'
            + f"inner = {ends}\n"
        )
    by_hand.up()
    assert by_hand.ping() == 3
    with siege(by_hand) as besieged:
        besieged.throw(wrapped(inner()), wrapped(inner(destination=SITE_A.gateway[0])))
        assert (besieged.arrived(), besieged.came_out()) == (0, 0)
        assert dropped(by_hand.a)["FENCED_IN"] == 2
    assert by_hand.ping() == 3


def test_what_comes_in_esp_with_another_outer_pair_is_not_for_the_link(by_hand: Picture) -> None:
    """Gateway B knows the keys and is no friend: it sends what another link sends by the association of this one."""
    joined(by_hand)
    secured(by_hand)
    other = "198.51.100.77"
    by_hand.b.host.add_address(OUTSIDE, f"{other}/32")
    by_hand.b.culvert("ifconfig", "gif1", other, OURS[0])
    by_hand.b.culvert("ifconfig", "gif1", "inet", "10.98.0.2", "10.98.0.1")
    by_hand.b.culvert("route", "add", f"{SITE_A.host[0]}/32", "10.98.0.1")
    asked = f"ipsec esp/tunnel/{THEIRS[0]}-{OURS[0]}/require"
    setkey(by_hand.b, f"spdadd {other}/32 {OURS[0]}/32 ipencap -P out {asked};\n")
    with siege(by_hand) as besieged:
        assert by_hand.ping(count=2, source=by_hand.b.host, to=SITE_A.host[0], wait_s=1) == 0
        assert besieged.arrived() == 0
    assert dropped(by_hand.a)["INBOUND_POLICY_MISMATCH"] == 2
