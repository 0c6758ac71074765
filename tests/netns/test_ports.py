"""A child of one protocol and port goes through the tunnel, and everything else goes the way that it always went."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from culvert.lab.chapter import OUTSIDE, SITE_A, SITE_B, TO_B, UPLINK
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.host import Host
from culvert.wire.ip import checksum
from tests.netns.chapter_gateways import MARKER, Gateway, Picture, built, nothing_in_clear
from tests.netns.forge import Injector, ip_packet

TCP = 6

pytestmark = pytest.mark.root


@pytest.fixture(params=["0", "1"], ids=["loose", "strict"])
def picture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Picture]:
    """Only tcp/443 of site B is protected, gateway A hides its network, and the router knows that of site B."""
    with built(tmp_path) as picture:
        for gateway in (picture.a, picture.b):
            gateway.host.set_sysctl("net.ipv4.conf.all.rp_filter", request.param)
        write(picture.a, remote=f"{SITE_B.network[0]}[tcp/443]")
        write(picture.b, local=f"{SITE_B.network[0]}[tcp/443]")
        picture.chapter.internet.ip("route", "add", SITE_B.network[0], "via", SITE_B.outside[0])
        hiding = f"type nat hook postrouting priority srcnat; oifname {OUTSIDE} masquerade;"
        picture.a.host.run(["nft", f"table ip nat {{ chain post {{ {hiding} }}; }}"])
        picture.up()
        yield picture


def write(gateway: Gateway, local: str = "", remote: str = "") -> None:
    gateway.write()
    sides = f'local = "{local or gateway.site.network[0]}"\nremote = "{remote or gateway.other.network[0]}"\n'
    text = gateway.file.read_text().replace(f'networks = ["{gateway.other.network[0]}"]', "")
    gateway.file.write_text(f"{text}\n[peers.other.children.web]\n{sides}")


def seen_from(picture: Picture, port: int, source: Host | None = None) -> str:
    """Connect to a port of host B, and give the address from which host B sees that come."""
    with picture.chapter.host_b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.settimeout(5)
        listener.bind((SITE_B.host[0], port))
        listener.listen()
        with ThreadPoolExecutor() as threads:
            accepted = threads.submit(listener.accept)
            with (source or picture.chapter.host_a).socket(socket.AF_INET, socket.SOCK_STREAM) as client:
                client.settimeout(5)
                client.connect((SITE_B.host[0], port))
                connection, (address, _) = accepted.result()
                connection.close()
                return str(address)


def test_one_port_is_protected_and_another_is_not(picture: Picture) -> None:
    with nothing_in_clear(picture) as ear:
        assert seen_from(picture, 443) == SITE_A.host[0]
        assert ear.frames()
    assert seen_from(picture, 80) == SITE_A.outside[0]


def test_both_gateways_prove_it(picture: Picture) -> None:
    for gateway in (picture.a, picture.b):
        assert "other: proven." in gateway.culvert("prove").stdout


def test_the_gateway_s_own_traffic_of_the_port_has_a_protected_source(picture: Picture) -> None:
    with nothing_in_clear(picture):
        assert seen_from(picture, 443, picture.a.host) == SITE_A.gateway[0]
    assert seen_from(picture, 80, picture.a.host) == SITE_A.outside[0]


def test_what_should_have_come_protected_is_dropped(picture: Picture) -> None:
    """A segment for the port, a later fragment that may be of one, and a segment for another port."""
    injector = Injector(picture.chapter.internet, TO_B, picture.b.host, OUTSIDE)
    with Eavesdropper(picture.chapter.host_b, UPLINK) as ear:
        injector.send(segment(443))
        injector.send(as_later_fragment(segment(443)))
        injector.send(segment(80))
        picture.b.until(lambda: bool(ear.matching(is_segment)), "the segment for the other port")
        assert [port_of(frame) for frame in ear.matching(is_segment)] == [80]
    injector.close()
    assert picture.b.status()["gateway"]["drops"]["FENCED_IN"] == 2


def segment(port: int) -> bytes:
    syn = struct.pack("!HHIIBBHHH", 40_000, port, 1, 0, 5 << 4, 2, 1000, 0, 0)
    return ip_packet(SITE_A.host[0], SITE_B.host[0], TCP, syn + bytes.fromhex(MARKER) * 4)


def as_later_fragment(packet: bytes) -> bytes:
    header = packet[:6] + struct.pack("!H", 100) + packet[8:10] + b"\0\0" + packet[12:20]
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + packet[20:]


def is_segment(frame: bytes) -> bool:
    return bytes.fromhex(MARKER) in frame


def port_of(frame: bytes) -> int:
    return int.from_bytes(frame[36:38], "big")
