"""A path that takes less than a full Ethernet packet: known from the start, learnt from a router, and shrinking."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from culvert.addresses import NAT_PORT
from culvert.lab.chapter import OUTSIDE, SITE_A, SITE_B, TO_A, TO_B
from culvert.lab.host import Host
from culvert.wire.ip import checksum
from tests.netns.forge import Injector, ip_packet, udp_packet
from tests.netns.offices import PEER, Pair, two_offices

pytestmark = pytest.mark.root

PORT = 8000
PATIENCE_S = 20.0
OCTETS = 2 << 20


def shrink(pair: Pair, mtu: int) -> None:
    """Site B's cable takes no more than `mtu` octets; A learns of it from the router alone."""
    for host, interface in ((pair.chapter.internet, TO_B), (pair.b.host, OUTSIDE)):
        host.ip("link", "set", interface, "mtu", str(mtu))


def send(sender: Host, receiver: Host, address: str) -> int:
    """Send OCTETS over TCP, give how many arrived. Raise TimeoutError where they stall."""

    def receive(listener: socket.socket) -> int:
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(PATIENCE_S)
            return sum(len(octets) for octets in iter(lambda: accepted.recv(65536), b""))

    with receiver.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, ThreadPoolExecutor() as threads:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.settimeout(PATIENCE_S)
        listener.bind((address, PORT))
        listener.listen()
        arrived = threads.submit(receive, listener)
        with sender.socket(socket.AF_INET, socket.SOCK_STREAM) as opened:
            opened.settimeout(PATIENCE_S)
            opened.connect((address, PORT))
            opened.sendall(bytes(OCTETS))
        return arrived.result()


def ping(host: Host, target: str, octets: int, *options: str) -> str:
    return host.run(
        ["ping", "-n", "-c", "2", "-i", "0.2", "-W", "2", "-s", str(octets), *options, target], check=False
    ).stdout


def joined(pair: Pair) -> None:
    a, b = pair.chapter.host_a, pair.chapter.host_b
    assert send(a, b, SITE_B.host[0]) == OCTETS
    assert send(b, a, SITE_A.host[0]) == OCTETS


def settled(pair: Pair) -> int:
    """Give the size that both gateways say, as soon as it is one that crosses: they ask the host every few seconds."""
    host = pair.chapter.host_a
    for _ in range(30):
        mtu = int(pair.a.peer_status()["mtu"])
        host.ip("route", "flush", "cache")
        crosses = " 2 received" in ping(host, SITE_B.host[0], mtu - 28, "-M", "do")
        if crosses and mtu == pair.b.peer_status()["mtu"]:
            return mtu
    raise TimeoutError


def exact(pair: Pair) -> None:
    """What fits crosses, what does not is answered by the gateway with the size that would, and fragments cross."""
    host = pair.chapter.host_a
    # The first that is too long is what tells A's engine.
    assert any(" 2 received" in ping(host, SITE_B.host[0], 4000) for _ in range(10))
    mtu = settled(pair)
    refused = ping(host, SITE_B.host[0], mtu - 27, "-M", "do")
    assert " 0 received" in refused
    assert re.search(rf"From {SITE_A.gateway[0]} .*mtu = {mtu}\)", refused), refused


@pytest.mark.slow
@pytest.mark.parametrize("encapsulation", ["udp", "esp"])
def test_the_tunnel_fits_a_path_that_shrinks(tmp_path, encapsulation):
    with two_offices(tmp_path) as pair:
        for office in (pair.a, pair.b):
            office.write(peer=f'encapsulation = "{encapsulation}"')
        shrink(pair, 1400)
        pair.join()
        joined(pair)
        exact(pair)
        shrink(pair, 1300)
        joined(pair)
        exact(pair)
        for office in (pair.a, pair.b):
            office.culvert("rekey", PEER)
            office.culvert("rekey", PEER, "--ike")
        joined(pair)
        assert pair.a.peer_status()["mtu"] < 1300 - 20


def test_a_full_path_is_used_to_the_octet(tmp_path):
    with two_offices(tmp_path) as pair:
        pair.join()
        for office in (pair.a, pair.b):
            office.until(lambda office=office: office.peer_status()["mtu"] == 1438, "the MTU of what was negotiated")
        host = pair.chapter.host_a
        assert " 2 received" in ping(host, SITE_B.host[0], 1438 - 28, "-M", "do")
        refused = ping(host, SITE_B.host[0], 1439 - 28, "-M", "do")
        assert " 0 received" in refused
        assert re.search(rf"From {SITE_A.gateway[0]} .*mtu = 1438\)", refused), refused
        joined(pair)
        pair.b.culvert("disconnect", PEER)
        assert [office.peer_status()["mtu"] for office in (pair.a, pair.b)] == [1438, 1438]


def too_big(quoted: bytes, mtu: int) -> bytes:
    """Give the ICMP by which a router says that the packet `quoted` does not fit (RFC 1191 section 4)."""
    text = quoted[:60]
    head = struct.pack("!BBHHH", 3, 4, 0, 0, mtu)
    message = head[:2] + struct.pack("!H", checksum(head + text)) + head[4:] + text
    return ip_packet(SITE_A.router[0], SITE_A.outside[0], 1, message)


@pytest.mark.parametrize("encapsulation", ["udp", "esp"])
def test_what_anybody_says_of_the_path_changes_nothing(tmp_path, encapsulation):
    """Who quotes no SPI of ours cannot have seen our packets. Who does is believed, and at once."""
    ends = SITE_A.outside[0], SITE_B.outside[0]
    with ExitStack() as stack:
        pair = stack.enter_context(two_offices(tmp_path))
        for office in (pair.a, pair.b):
            office.write(peer=f'encapsulation = "{encapsulation}"')
        pair.join()
        (child,) = pair.a.peer_status()["children"]
        full = {"udp": 1438, "esp": 1446}[encapsulation]
        pair.a.until(lambda: pair.a.peer_status()["mtu"] == full, "the MTU of what was negotiated")
        injector = stack.enter_context(closing(Injector(pair.chapter.internet, TO_A, pair.a.host, OUTSIDE)))

        def say(spi: int, mtu: int, length: int = 1400) -> None:
            esp = struct.pack("!II", spi, 1) + bytes(length)
            for quoted in (udp_packet(ends, (NAT_PORT, NAT_PORT), esp), ip_packet(*ends, 50, esp)):
                injector.send(too_big(quoted, mtu))

        ours = int(child["spi_out"], 16)
        for spi, length in ((0x1234, 1400), (ours ^ 1, 1400), (int(child["spi_in"], 16), 1400), (ours, 100)):
            say(spi, 700, length)
        pair.a.until(lambda: pair.a.drops().get("ICMP_UNBELIEVED", 0) >= 8, "the refusal of all eight")
        say(ours, 1400)
        pair.a.until(lambda: pair.a.peer_status()["mtu"] != full, "another MTU", 2)
        assert pair.a.peer_status()["mtu"] == full - 100
        routes = pair.a.host.ip("route", "show", "table", "all", "proto", "145")
        assert re.search(rf"{SITE_B.network[0]} dev culvert0 .*mtu {full - 100}", routes), routes
        joined(pair)


def test_a_daemon_that_takes_over_knows_what_the_engine_learnt(tmp_path):
    with two_offices(tmp_path) as pair:
        pair.join()
        pair.chapter.internet.ip("link", "set", TO_B, "mtu", "1400")
        joined(pair)
        pair.a.until(lambda: pair.a.peer_status()["mtu"] == 1338, "what the router told", 5)
        pair.a.culvert("down", "--daemon")
        pair.a.up()
        assert pair.a.peer_status()["mtu"] <= 1338
        _, engine = pair.a.pids()
        os.kill(engine, signal.SIGKILL)
        pair.a.until(lambda: pair.a.peer_status()["mtu"] > 1400, "the end of what a former engine knew")
