"""The fence on a real kernel, with no engine at all: what is protected never crosses the outside in clear."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from culvert.lab.chapter import LAN, OUTSIDE, TO_A, TO_B, UPLINK, Chapter
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.host import Host
from culvert.lab.lab import Lab
from culvert.network import routes, rules, sysctls
from culvert.network.firewall import Firewall as Driver
from culvert.network.netlink import open_netlink
from culvert.network.sweep import sweep_host
from culvert.plan.desired import (
    STEERED_METRIC,
    TUN,
    UNREACHABLE_METRIC,
    Attached,
    Clamp,
    Firewall,
    Pair,
    Route,
    RouteKind,
    Rule,
    Sysctl,
)

pytestmark = pytest.mark.root

SECRET = "c0ffee5ec2e7c0ffee5ec2e7c0ffee5e"  # sixteen octets, the payload of our pings
PAIRS = (
    Pair(ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24")),
    Pair(ip_network("2001:db8:1::/64"), ip_network("2001:db8:2::/64")),
)
FENCE = Firewall(fenced=PAIRS)
ROUTES = (
    Route(ip_network("192.168.2.0/24"), RouteKind.TUN, STEERED_METRIC, ip_address("192.168.1.1"), 1400),
    Route(ip_network("192.168.2.0/24"), RouteKind.UNREACHABLE, UNREACHABLE_METRIC),
    Route(ip_network("2001:db8:2::/64"), RouteKind.TUN, STEERED_METRIC, ip_address("2001:db8:1::1"), 1380),
    Route(ip_network("2001:db8:2::/64"), RouteKind.UNREACHABLE, UNREACHABLE_METRIC),
)
RULES = (
    Rule(ip_network("192.168.1.0/24")),
    Rule(ip_network("0.0.0.0/32"), own=True),
    Rule(ip_network("2001:db8:1::/64")),
    Rule(ip_network("::/128"), own=True),
)
TARGETS = ("192.168.2.34", "2001:db8:2::34")


def fence(host: Host, wanted: Firewall = FENCE) -> None:
    host.call(lambda: asyncio.run(Driver().apply(wanted)))


def counts(host: Host) -> dict[str, tuple[int, int]]:
    standing = host.call(lambda: asyncio.run(Driver().observe()))
    assert standing is not None
    return dict(standing.counts)


def steer(host: Host, wanted: tuple[Route, ...] = ROUTES, by: tuple[Rule, ...] = RULES) -> None:
    async def apply() -> None:
        async with open_netlink() as netlink:
            await routes.apply(wanted)
            await rules.apply(netlink, by)

    host.call(lambda: asyncio.run(apply()))


def make_tun(host: Host) -> None:
    host.ip("tuntap", "add", TUN, "mode", "tun", "multi_queue", "vnet_hdr")
    host.ip("link", "set", TUN, "up")


def ping(host: Host, target: str, *options: str) -> bool:
    arguments = ["ping", "-n", "-c", "2", "-i", "0.05", "-W", "0.2", "-p", SECRET, *options, target]
    return host.run(arguments, check=False).returncode == 0


def has_secret(frame: bytes) -> bool:
    return bytes.fromhex(SECRET) in frame


@contextmanager
def nothing_in_clear(chapter: Chapter) -> Iterator[None]:
    with Eavesdropper(chapter.internet, TO_A) as at_a, Eavesdropper(chapter.internet, TO_B) as at_b:
        yield
        assert at_a.matching(has_secret) == []
        assert at_b.matching(has_secret) == []


def test_without_the_fence_the_eavesdropper_reads_all(chapter: Chapter) -> None:
    """The other tests of this file could not fail otherwise."""
    with Eavesdropper(chapter.internet, TO_A) as outside:
        for target in TARGETS:
            ping(chapter.host_a, target)
        assert len(outside.matching(has_secret)) == 4


def nothing(_: Host) -> None: ...


def tun_deleted(host: Host) -> None:
    host.ip("link", "del", TUN)


def tun_down(host: Host) -> None:
    host.ip("link", "set", TUN, "down")


def routes_flushed(host: Host) -> None:
    host.ip("route", "flush", "table", "4500")
    host.ip("-6", "route", "flush", "table", "4500")


def rules_flushed(host: Host) -> None:
    for family in ("-4", "-6"):
        host.ip(family, "rule", "flush", "protocol", "145")
    assert "4500" not in host.ip("rule")


def routes_in_the_main_table(host: Host) -> None:
    host.ip("route", "add", "192.168.2.0/24", "via", "203.0.113.254")
    host.ip("rule", "add", "pref", "100", "lookup", "main")


def masquerading(host: Host) -> None:
    routes_flushed(host)
    host.run(["nft", "table inet nat { chain post { type nat hook postrouting priority srcnat; masquerade; }; }"])


@pytest.mark.parametrize(
    "disturb",
    [nothing, tun_deleted, tun_down, routes_flushed, rules_flushed, routes_in_the_main_table, masquerading],
    ids=lambda disturb: disturb.__name__,
)
def test_nothing_leaves_in_clear(chapter: Chapter, disturb: Callable[[Host], None]) -> None:
    gateway = chapter.gateway_a
    make_tun(gateway)
    fence(gateway)
    steer(gateway)
    disturb(gateway)
    with nothing_in_clear(chapter):
        assert not ping(gateway, "192.168.2.34")
        for target in TARGETS:
            assert not ping(chapter.host_a, target)
            assert not ping(gateway, target, "-I", "192.168.1.1" if "." in target else "2001:db8:1::1")


def test_the_fence_alone_counts_what_it_stops(chapter: Chapter) -> None:
    fence(chapter.gateway_a)
    with nothing_in_clear(chapter):
        for target in TARGETS:
            ping(chapter.host_a, target)
    assert counts(chapter.gateway_a)["fenced_out"][0] == 4


def test_the_rest_of_the_world_is_not_fenced(chapter: Chapter) -> None:
    fence(chapter.gateway_a)
    assert ping(chapter.gateway_a, "198.51.100.1")
    assert ping(chapter.gateway_a, "2001:db8:b::1")
    assert ping(chapter.host_a, "192.168.1.1")


def forge(chapter: Chapter) -> None:
    """Make the router an attacker who sends with a private source."""
    chapter.internet.ip("route", "add", "192.168.1.0/24", "via", "203.0.113.1")
    chapter.internet.ip("-6", "route", "add", "2001:db8:1::/64", "via", "2001:db8:a::1")
    chapter.internet.add_address("lo", "192.168.2.34/32")
    chapter.internet.add_address("lo", "2001:db8:2::34/128")


@pytest.mark.parametrize("fenced", [True, False])
@pytest.mark.parametrize(("source", "target"), [(TARGETS[0], "192.168.1.20"), (TARGETS[1], "2001:db8:1::20")])
def test_a_forged_clear_packet_never_reaches_the_lan(chapter: Chapter, source: str, target: str, fenced: bool) -> None:
    forge(chapter)
    if fenced:
        fence(chapter.gateway_a)
    with Eavesdropper(chapter.host_a, UPLINK) as lan:
        ping(chapter.internet, target, "-I", source)
        assert bool(lan.matching(has_secret)) is not fenced
    if fenced:
        assert counts(chapter.gateway_a)["fenced_in"][0] == 2


@pytest.mark.parametrize("fenced", [True, False])
def test_a_destination_nat_does_not_carry_it_over_the_fence(chapter: Chapter, fenced: bool) -> None:
    forge(chapter)
    chapter.gateway_a.run(
        [
            "nft",
            "table ip nat { chain pre { type nat hook prerouting priority dstnat; "
            "ip daddr 203.0.113.1 icmp type echo-request dnat to 192.168.1.20; }; }",
        ]
    )
    if fenced:
        fence(chapter.gateway_a)
    with Eavesdropper(chapter.host_a, UPLINK) as lan:
        ping(chapter.internet, "203.0.113.1", "-I", "192.168.2.34")
        assert bool(lan.matching(has_secret)) is not fenced


def test_an_attached_network_stays_local_inside_a_wider_range(lab: Lab, chapter: Chapter) -> None:
    """The peer claims 192.168.0.0/16; the gateway's own wires lie in it."""
    gateway, dmz = chapter.gateway_a, lab.host("dmz")
    lab.link((gateway, "dmz", ("192.168.77.1/24",)), (dmz, UPLINK, ("192.168.77.7/24",)))
    dmz.add_default_route("192.168.77.1")
    wide = ip_network("192.168.0.0/16")
    own = (Attached(LAN, ip_network("192.168.1.0/24")), Attached("dmz", ip_network("192.168.77.0/24")))
    make_tun(gateway)
    fence(gateway, Firewall(fenced=(Pair(ip_network("192.168.1.0/24"), wide),), attached=own))
    steer(
        gateway,
        (
            Route(wide, RouteKind.TUN, STEERED_METRIC, ip_address("192.168.1.1")),
            Route(wide, RouteKind.UNREACHABLE, UNREACHABLE_METRIC),
            *(Route(attached.network, RouteKind.THROW, STEERED_METRIC) for attached in own),
        ),
        RULES[:2],
    )
    assert ping(chapter.host_a, "192.168.77.7")
    assert ping(chapter.host_a, "192.168.1.1")
    assert ping(dmz, "192.168.1.20")
    assert ping(gateway, "192.168.1.20")
    assert ping(gateway, "192.168.1.1")
    with nothing_in_clear(chapter):
        assert not ping(chapter.host_a, "192.168.2.34")


@pytest.mark.parametrize("fenced", [True, False])
def test_esp_and_fragments_of_ike_pass_strict_reverse_path_filtering(chapter: Chapter, fenced: bool) -> None:
    """The peer's own address is steered, so its ESP seems to come from the wrong side."""
    gateway, peer = chapter.gateway_a, chapter.gateway_b
    make_tun(gateway)
    for interface in ("all", OUTSIDE):
        gateway.set_sysctl(f"net.ipv4.conf.{interface}.rp_filter", "1")
    gateway.set_sysctl("net.ipv4.conf.all.src_valid_mark", "1")
    local, remote = ip_network("203.0.113.1/32"), ip_network("198.51.100.1/32")
    if fenced:
        fence(gateway, Firewall(fenced=(Pair(local, remote),), peers=(remote,)))
    steer(gateway, (Route(remote, RouteKind.TUN, STEERED_METRIC, ip_address("203.0.113.1")),), (Rule(local),))
    with (
        gateway.socket(socket.AF_INET, socket.SOCK_RAW, 50) as esp,
        gateway.socket(socket.AF_INET, socket.SOCK_DGRAM) as ike,
        peer.socket(socket.AF_INET, socket.SOCK_RAW, 50) as sends_esp,
        peer.socket(socket.AF_INET, socket.SOCK_DGRAM) as sends_ike,
    ):
        ike.bind(("203.0.113.1", 500))
        sends_esp.sendto(b"\0\0\1\0 sealed", ("203.0.113.1", 0))
        sends_ike.sendto(b"k" * 4000, ("203.0.113.1", 500))
        assert received(esp) is fenced
        assert received(ike) is fenced
    if fenced:
        assert not ping(peer, "203.0.113.1")
        assert counts(gateway)["fenced_in"][0] == 2


def received(opened: socket.socket) -> bool:
    opened.settimeout(0.5)
    try:
        return bool(opened.recv(65536))
    except TimeoutError:
        return False


def test_strangers_may_not_speak_ike(chapter: Chapter) -> None:
    fence(chapter.gateway_a, Firewall(fenced=PAIRS, peers=(ip_network("198.51.100.1/32"),)))
    with (
        chapter.gateway_a.socket(socket.AF_INET, socket.SOCK_DGRAM) as ike,
        chapter.gateway_b.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        chapter.internet.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        ike.bind(("203.0.113.1", 500))
        stranger.sendto(b"stranger", ("203.0.113.1", 500))
        assert not received(ike)
        peer.sendto(b"peer", ("203.0.113.1", 500))
        assert received(ike)
    assert (counts(chapter.gateway_a)["strangers"][0], counts(chapter.gateway_a)["ike_and_esp"][0]) == (1, 1)


def snapshot(host: Host, settings: tuple[Sysctl, ...]) -> list[object]:
    """All that a sweep must leave as it was. The kernel makes link-local addresses at its own pace: not compared."""
    commands = (
        ["nft", "list", "ruleset"],
        *(["ip", family, "rule"] for family in ("-4", "-6")),
        *(["ip", family, "route", "show", "table", "all"] for family in ("-4", "-6")),
        ["ip", "-o", "link"],
    )
    found = [sorted(line for line in host.run(command).stdout.splitlines() if _lasts(line)) for command in commands]
    values = host.call(lambda: [sysctls.observe(setting.name) for setting in settings])
    return [*found, values]


def _lasts(line: str) -> bool:
    return not any(word in line for word in ("fe80::", "ff00::/8"))


def test_sweep_leaves_the_host_as_it_was(chapter: Chapter, tmp_path: Path) -> None:
    gateway = chapter.gateway_a
    gateway.run(["nft", "table inet filter { chain input { type filter hook input priority 0; }; }"])
    gateway.ip("rule", "add", "pref", "4500", "from", "10.0.0.0/8", "lookup", "main")
    gateway.ip("route", "add", "10.9.0.0/16", "via", "203.0.113.254", "table", "4500")
    settings = (
        Sysctl("net.ipv4.ip_forward", "1"),
        Sysctl("net.ipv4.conf.all.src_valid_mark", "1"),
        Sysctl("net.ipv4.conf.outside.rp_filter", "1"),
        Sysctl("net.ipv4.conf.lan.send_redirects", "0"),
    )
    before = snapshot(gateway, settings)
    gateway.call(lambda: sysctls.apply(settings, tmp_path))
    make_tun(gateway)
    fence(gateway, Firewall(fenced=PAIRS, clamps=(Clamp(PAIRS[0], 1360),)))
    steer(gateway)
    assert snapshot(gateway, settings) != before
    gateway.call(lambda: asyncio.run(sweep_host(tmp_path)))
    assert snapshot(gateway, settings) == before
    assert list(tmp_path.iterdir()) == []
    gateway.call(lambda: asyncio.run(sweep_host(tmp_path)))
    assert snapshot(gateway, settings) == before


def test_a_setting_that_somebody_changed_since_is_theirs(chapter: Chapter, tmp_path: Path) -> None:
    gateway, name = chapter.gateway_a, "net.ipv4.conf.lan.rp_filter"
    gateway.set_sysctl(name, "0")
    wanted = (Sysctl(name, "1"),)
    assert gateway.call(lambda: sysctls.apply(wanted, tmp_path))
    assert not gateway.call(lambda: sysctls.apply(wanted, tmp_path))
    gateway.set_sysctl(name, "2")
    gateway.call(lambda: sysctls.sweep(tmp_path))
    assert gateway.call(lambda: sysctls.observe(name)) == "2"


def test_keeping_the_fence(chapter: Chapter, tmp_path: Path) -> None:
    make_tun(chapter.gateway_a)
    fence(chapter.gateway_a)
    steer(chapter.gateway_a)
    chapter.gateway_a.call(lambda: asyncio.run(sweep_host(tmp_path, keep_fence=True)))
    with nothing_in_clear(chapter):
        assert not ping(chapter.host_a, "192.168.2.34")
