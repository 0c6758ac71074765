"""Routes, rules, facts, the watch and the clamp on a real kernel."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import socket
import struct
from collections.abc import Awaitable, Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from culvert.addresses import IPNetwork
from culvert.errors import HostError
from culvert.lab.chapter import Chapter
from culvert.lab.host import Host
from culvert.network import links, routes, rules
from culvert.network.facts import observe_facts
from culvert.network.firewall import Firewall as Driver
from culvert.network.netlink import dump_routes, open_netlink
from culvert.network.watch import Changed, watch
from culvert.network.ways import NoRouteError, Way, source_for, ways_to
from culvert.plan.desired import (
    MARK,
    ROUTE_PROTOCOL,
    ROUTING_TABLE,
    STEERED_METRIC,
    TUN,
    UNREACHABLE_METRIC,
    Clamp,
    Firewall,
    Pair,
    Route,
    RouteKind,
    Rule,
)

pytestmark = pytest.mark.root

LOCAL4, REMOTE4 = ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24")
LOCAL6, REMOTE6 = ip_network("2001:db8:1::/64"), ip_network("2001:db8:2::/64")
ROUTES = (
    Route(REMOTE4, RouteKind.TUN, STEERED_METRIC, ip_address("192.168.1.1"), 1400),
    Route(REMOTE4, RouteKind.UNREACHABLE, UNREACHABLE_METRIC),
    Route(REMOTE6, RouteKind.TUN, STEERED_METRIC, ip_address("2001:db8:1::1"), 1380),
    Route(REMOTE6, RouteKind.UNREACHABLE, UNREACHABLE_METRIC),
)
RULES = (Rule(LOCAL4), Rule(ip_network("0.0.0.0/32"), own=True), Rule(LOCAL6), Rule(ip_network("::/128"), own=True))

BY_OUR_NUMBERS = ("proto", f"{ROUTE_PROTOCOL}", "metric", f"{STEERED_METRIC}", "table", f"{ROUTING_TABLE}")
STRANGE_WAYS = [
    (REMOTE6, "dev outside"),
    (REMOTE6, "via 2001:db8:a::fe dev outside"),
    (REMOTE6, "nexthop via 2001:db8:a::fe dev outside nexthop via 2001:db8:a::fd dev outside"),
    (REMOTE4, "dev outside"),
    (REMOTE4, "via 203.0.113.254"),
    (REMOTE4, "nexthop via 203.0.113.254 nexthop via 203.0.113.253"),
    (REMOTE4, f"dev {TUN} src 192.168.1.1"),
]

_NEWROUTE = 24
_ROUTES_OF_BOTH_FAMILIES = 0x40 | 0x400
"""Multicast groups (RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE)."""
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


class Tun:
    """A TUN that a test reads, in place of the engine."""

    def __init__(self, host: Host) -> None:
        self._descriptor = host.call(self._open)
        host.ip("link", "set", TUN, "addrgenmode", "none")
        host.ip("link", "set", TUN, "up")

    def _open(self) -> int:
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", TUN.encode(), _IFF_TUN | _IFF_NO_PI))
        return descriptor

    def read(self, wanted: Callable[[bytes], bool], timeout_s: float = 2) -> bytes | None:
        """Give the next packet that `wanted` chooses, None where none comes."""
        while select.select([self._descriptor], [], [], timeout_s)[0]:
            packet = os.read(self._descriptor, 65536)
            if wanted(packet):
                return packet
        return None

    def write(self, packet: bytes) -> None:
        os.write(self._descriptor, packet)

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def gateway(chapter: Chapter) -> Host:
    return chapter.gateway_a


@pytest.fixture
def tun(gateway: Host) -> Any:
    opened = Tun(gateway)
    yield opened
    opened.close()


def do(host: Host, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run a coroutine with rtnetlink in the host's namespace."""

    async def main() -> Any:
        async with open_netlink() as netlink:
            return await work(netlink)

    return host.call(lambda: asyncio.run(main()))


def steer(host: Host, wanted: tuple[Route, ...] = ROUTES, by: tuple[Rule, ...] = RULES) -> None:
    do(host, lambda _netlink: routes.apply(wanted))
    do(host, lambda netlink: rules.apply(netlink, by))


def from_to(source: str, destination: str) -> Callable[[bytes], bool]:
    ends = ip_address(source).packed + ip_address(destination).packed
    return lambda packet: ends in packet[8:40]


@pytest.mark.parametrize(("source", "target"), [("192.168.1.1", "192.168.2.1"), ("2001:db8:1::1", "2001:db8:2::1")])
def test_the_gateways_own_unbound_ping_takes_the_preferred_source(
    gateway: Host, tun: Tun, source: str, target: str
) -> None:
    steer(gateway)
    gateway.start(["ping", "-n", "-c", "1", "-W", "1", target], stdout=-3).wait()
    assert tun.read(from_to(source, target)) is not None


@pytest.mark.parametrize(("source", "target"), [("203.0.113.1", "192.168.2.1"), ("2001:db8:a::1", "2001:db8:2::1")])
def test_what_is_bound_to_the_outside_or_marked_stays_outside(
    gateway: Host, tun: Tun, source: str, target: str
) -> None:
    steer(gateway)
    family = "-6" if ":" in target else "-4"
    assert "dev outside" in gateway.ip(family, "route", "get", target, "from", source)
    assert "dev outside" in gateway.ip(family, "route", "get", target, "mark", hex(MARK))
    assert f"dev {TUN}" in gateway.ip(family, "route", "get", target)


def test_other_sources_are_not_steered(gateway: Host, tun: Tun) -> None:
    steer(gateway)
    assert "dev outside" in gateway.ip("route", "get", "192.168.2.1", "from", "192.168.9.9", "iif", "lan")
    assert f"dev {TUN}" in gateway.ip("route", "get", "192.168.2.1", "from", "192.168.1.20", "iif", "lan")


def test_a_rule_may_name_the_destination(gateway: Host, tun: Tun) -> None:
    by = (Rule(LOCAL4, destination=ip_network("192.168.2.0/25")),)
    steer(gateway, ROUTES, by)
    assert f"dev {TUN}" in gateway.ip("route", "get", "192.168.2.1", "from", "192.168.1.20", "iif", "lan")
    assert "dev outside" in gateway.ip("route", "get", "192.168.2.200", "from", "192.168.1.20", "iif", "lan")
    assert not do(gateway, lambda netlink: rules.apply(netlink, by))


def test_routes_converge(gateway: Host, tun: Tun) -> None:
    everything4, everything6 = ip_network("0.0.0.0/0"), ip_network("::/0")
    states: list[tuple[Route, ...]] = [
        ROUTES,
        ROUTES[::-1],
        ROUTES[:2],
        (
            Route(REMOTE4, RouteKind.THROW, STEERED_METRIC),
            Route(REMOTE6, RouteKind.UNREACHABLE, STEERED_METRIC),
            Route(everything4, RouteKind.TUN, STEERED_METRIC, ip_address("192.168.1.1")),
            Route(everything6, RouteKind.TUN, STEERED_METRIC, None, 1300),
        ),
        (*ROUTES, Route(everything4, RouteKind.UNREACHABLE, 7), Route(everything6, RouteKind.UNREACHABLE, 7)),
        (Route(REMOTE6, RouteKind.TUN, STEERED_METRIC, ip_address("2001:db8:1::1"), 1280),),
        (),
    ]
    for before, wanted in zip([(), *states], states, strict=False):
        changed = do(gateway, lambda _netlink, wanted=wanted: routes.apply(wanted))
        assert changed is (set(before) != set(wanted))
        assert set(do(gateway, lambda _netlink: routes.observe())) == set(wanted)
        assert len(do(gateway, lambda _netlink: routes.observe())) == len(wanted)
        assert not do(gateway, lambda _netlink, wanted=wanted: routes.apply(wanted))


def test_a_refused_closing_route_keeps_throw_routes_from_being_opened(gateway: Host, tun: Tun) -> None:
    nowhere = ip_address("192.168.77.77")
    wanted = (
        Route(ip_network("10.0.0.0/16"), RouteKind.THROW, STEERED_METRIC),
        Route(REMOTE4, RouteKind.TUN, STEERED_METRIC, nowhere),
        Route(REMOTE4, RouteKind.UNREACHABLE, UNREACHABLE_METRIC),
    )
    with pytest.raises(HostError, match=r"route 192\.168\.2\.0/24: the kernel refuses"):
        do(gateway, lambda _netlink: routes.apply(wanted))
    assert do(gateway, lambda _netlink: routes.observe()) == wanted[2:]


def test_what_is_to_be_replaced_stands_where_its_replacement_is_refused(gateway: Host, tun: Tun) -> None:
    steer(gateway)
    refused = Route(REMOTE6, RouteKind.TUN, STEERED_METRIC, ip_address("2001:db8:77::1"), 1300)
    with pytest.raises(HostError, match="the kernel refuses"):
        do(gateway, lambda _netlink: routes.apply((refused, *ROUTES[:2], ROUTES[3])))
    assert set(do(gateway, lambda _netlink: routes.observe())) == set(ROUTES)


@pytest.mark.parametrize("remote", [REMOTE4, REMOTE6])
def test_routes_are_replaced_without_a_moment_without_one(gateway: Host, tun: Tun, remote: IPNetwork) -> None:
    states = (
        Route(remote, RouteKind.TUN, STEERED_METRIC, None, 1400),
        Route(remote, RouteKind.TUN, STEERED_METRIC, None, 1300),
        Route(remote, RouteKind.THROW, STEERED_METRIC),
        Route(remote, RouteKind.UNREACHABLE, STEERED_METRIC),
        Route(remote, RouteKind.TUN, STEERED_METRIC, None, 1280),
    )
    with gateway.socket(socket.AF_NETLINK, socket.SOCK_RAW) as told:
        told.bind((0, _ROUTES_OF_BOTH_FAMILIES))
        told.setblocking(False)
        for wanted in states:
            assert do(gateway, lambda _netlink, wanted=wanted: routes.apply([wanted]))
            assert do(gateway, lambda _netlink: routes.observe()) == (wanted,)
        kinds = [struct.unpack_from("=IH", told.recv(65536))[1] for _ in states]
        with pytest.raises(BlockingIOError):
            told.recv(65536)
    assert kinds == [_NEWROUTE] * len(states)


@pytest.mark.parametrize("kind", list(RouteKind))
@pytest.mark.parametrize(("remote", "way"), STRANGE_WAYS)
def test_a_strange_route_beside_a_wanted_one_is_taken_away(
    gateway: Host, tun: Tun, kind: RouteKind, remote: IPNetwork, way: str
) -> None:
    before, wanted = (Route(remote, kind, STEERED_METRIC, None, mtu) for mtu in (1400, 1300))
    for standing in ((), (before,), (wanted,)):
        steer(gateway, standing)
        gateway.ip(f"-{remote.version}", "route", "append", str(remote), *BY_OUR_NUMBERS, *way.split())
        assert len(do(gateway, lambda _netlink: routes.observe())) == len(standing) + 1
        assert do(gateway, lambda _netlink: routes.apply([wanted]))
        assert do(gateway, lambda _netlink: routes.observe()) == (wanted,)
        assert not do(gateway, lambda _netlink: routes.apply([wanted]))


def test_a_removal_that_meets_the_wanted_route_is_made_good(gateway: Host, tun: Tun) -> None:
    """What is wanted goes in the first one's place. The second one has its name, and the kernel removes the first."""
    for way in (("dev", "outside"), ("dev", TUN, "mtu", "1400")):
        gateway.ip("-6", "route", "append", str(REMOTE6), *BY_OUR_NUMBERS, *way)
    wanted = Route(REMOTE6, RouteKind.TUN, STEERED_METRIC, None, 1300)
    assert do(gateway, lambda _netlink: routes.apply([wanted]))
    assert do(gateway, lambda _netlink: routes.observe()) == (wanted,)


def test_others_routes_and_rules_stay(gateway: Host, tun: Tun) -> None:
    gateway.ip("route", "add", "10.9.0.0/16", "via", "203.0.113.254", "table", "4500")
    gateway.ip("rule", "add", "pref", "4500", "from", "10.0.0.0/8", "lookup", "main")
    steer(gateway)
    do(gateway, lambda _netlink: routes.sweep())
    do(gateway, rules.sweep)
    assert gateway.ip("route", "show", "table", "4500").split()[0] == "10.9.0.0/16"
    assert len(gateway.ip("rule").splitlines()) == 4


def test_rules_converge_and_end_in_order(gateway: Host) -> None:
    for wanted in (RULES, RULES[:1], RULES[2:], ()):
        do(gateway, lambda netlink, wanted=wanted: rules.apply(netlink, wanted))
        assert not do(gateway, lambda netlink, wanted=wanted: rules.apply(netlink, wanted))
        assert set(do(gateway, rules.observe)) == set(rules.compile_rules(wanted))


def test_a_route_without_tun_says_so(gateway: Host) -> None:
    with pytest.raises(HostError, match="there is no culvert0"):
        do(gateway, lambda _netlink: routes.apply(ROUTES))


def test_the_tun_that_an_engine_left_behind(gateway: Host) -> None:
    gateway.ip("tuntap", "add", TUN, "mode", "tun", "multi_queue", "vnet_hdr")
    assert do(gateway, lambda netlink: links.apply(netlink, 1400))
    assert not do(gateway, lambda netlink: links.apply(netlink, 1400))
    found = do(gateway, links.observe)
    assert (found.mtu, found.up, found.carrier) == (1400, True, False)
    assert "inet6" not in gateway.ip("address", "show", "dev", TUN)
    do(gateway, links.sweep)
    do(gateway, links.sweep)
    assert do(gateway, links.observe) is None


def test_facts(gateway: Host, tun: Tun) -> None:
    gateway.ip("route", "add", "198.51.100.1", "via", "203.0.113.254", "mtu", "1420")
    steer(gateway)
    peers = {"b": ip_address("198.51.100.1"), "c": ip_address("2001:db8:b::1"), "d": ip_address("192.168.2.1")}
    facts = gateway.call(lambda: asyncio.run(observe_facts(peers)))
    assert dict(facts.path_mtu) == {"b": 1420, "c": 1500, "d": 1500}
    lan = next(interface for interface in facts.interfaces if interface.name == "lan")
    assert (ip_address("192.168.1.1"), 24) in lan.addresses
    assert (ip_address("2001:db8:1::1"), 64) in lan.addresses
    assert not lan.router_advertisements


def test_of_many_routes_the_kernel_gives_only_those_asked_for(gateway: Host) -> None:
    """A router with the whole Internet's would else read for half a minute at every look."""
    gateway.ip("route", "add", "10.9.0.0/16", "via", "203.0.113.254", "table", "4500")
    gateway.ip("-6", "route", "add", "2001:db8:9::/48", "via", "2001:db8:a::fe", "proto", "ra")

    async def ask() -> list[int]:
        async with open_netlink() as netlink:
            asked = ((2, 4500, 0), (2, 4500, 145), (10, 0, 9), (2, 4599, 0))
            return [len(await dump_routes(netlink, family, table=t, protocol=p)) for family, t, p in asked]

    assert gateway.call(lambda: asyncio.run(ask())) == [1, 0, 1, 0]


def test_the_source_towards_a_peer(gateway: Host) -> None:
    assert gateway.call(lambda: asyncio.run(source_for(ip_address("198.51.100.1")))) == ip_address("203.0.113.1")
    gateway.ip("route", "del", "default")
    with pytest.raises(NoRouteError, match="NO_ROUTE: this host has no route to"):
        gateway.call(lambda: asyncio.run(source_for(ip_address("198.51.100.1"))))


def test_the_way_tells_router_mtu_and_carrier(chapter: Chapter, gateway: Host) -> None:
    there = ip_address("198.51.100.1")

    def way() -> Way | None:
        return gateway.call(lambda: asyncio.run(ways_to([there])))[there]

    before = way()
    assert before is not None
    assert (str(before.source), str(before.router), before.mtu, before.up) == (
        "203.0.113.1",
        "203.0.113.254",
        1500,
        True,
    )
    gateway.ip("route", "replace", "default", "via", "203.0.113.253", "mtu", "1400")
    after = way()
    assert after is not None
    assert (str(after.router), after.mtu) == ("203.0.113.253", 1400)
    chapter.internet.ip("link", "set", "to_a", "down")
    down = way()
    assert down is not None
    assert not down.up
    gateway.ip("link", "set", "outside", "down")
    assert way() is None


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["ip", "route", "flush", "table", "4500"], Changed.ROUTES),
        (["ip", "rule", "del", "pref", "4500"], Changed.RULES),
        (["ip", "link", "set", TUN, "down"], Changed.LINK),
        (["ip", "address", "add", "10.0.0.1/8", "dev", "lan"], Changed.ADDRESSES),
        (["nft", "flush", "ruleset"], Changed.FIREWALL),
        (["nft", "flush", "chain", "inet", "culvert", "fence_out"], Changed.FIREWALL),
    ],
)
def test_the_watch_tells_what_others_touch(gateway: Host, tun: Tun, command: list[str], expected: Changed) -> None:
    steer(gateway)
    gateway.call(lambda: asyncio.run(Driver().apply(Firewall(fenced=()))))

    async def main() -> frozenset[Changed]:
        watching = watch()
        assert await anext(watching) == frozenset(Changed)
        process = await asyncio.create_subprocess_exec(*command)
        assert await process.wait() == 0
        try:
            return await asyncio.wait_for(anext(watching), 2)
        finally:
            await watching.aclose()

    assert expected in gateway.call(lambda: asyncio.run(main()))


def test_routes_of_others_are_told_as_ways_and_their_firewalls_not_at_all(gateway: Host, tun: Tun) -> None:
    async def main() -> frozenset[Changed]:
        watching = watch()
        await anext(watching)
        for command in (
            ["ip", "route", "add", "10.9.0.0/16", "via", "203.0.113.254"],
            ["ip", "rule", "add", "pref", "9", "from", "10.0.0.0/8", "lookup", "main"],
            ["nft", "add", "table", "inet", "other"],
            ["ip", "rule", "add", "pref", "4500", "from", "10.0.0.0/8", "lookup", "4500", "protocol", "145"],
        ):
            process = await asyncio.create_subprocess_exec(*command)
            assert await process.wait() == 0
        try:
            return await asyncio.wait_for(anext(watching), 2)
        finally:
            await watching.aclose()

    assert gateway.call(lambda: asyncio.run(main())) == {Changed.RULES, Changed.WAYS}


def test_the_clamp_lowers_the_segment_size_both_ways(chapter: Chapter, gateway: Host, tun: Tun) -> None:
    clamps = (Clamp(Pair(LOCAL4, REMOTE4), 1234),)
    gateway.call(lambda: asyncio.run(Driver().apply(Firewall(fenced=(Pair(LOCAL4, REMOTE4),), clamps=clamps))))
    steer(gateway)
    with chapter.host_a.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        client.connect_ex(("192.168.2.34", 80))
        syn = tun.read(from_to("192.168.1.20", "192.168.2.34"))
    assert syn is not None
    assert syn[40:44] == struct.pack("!BBH", 2, 4, 1234)


def test_the_firewall_changes_only_what_differs(gateway: Host) -> None:
    async def main() -> None:
        driver = Driver()
        wanted = Firewall(fenced=(Pair(LOCAL4, REMOTE4), Pair(LOCAL4, ip_network("192.168.0.0/16"))))
        assert await driver.apply(wanted)
        assert not await driver.apply(wanted)
        process = await asyncio.create_subprocess_exec("nft", "flush", "chain", "inet", "culvert", "fence_out")
        assert await process.wait() == 0
        assert await driver.apply(wanted)
        assert not await driver.apply(wanted)
        assert await driver.apply(Firewall(fenced=wanted.fenced[:1]))
        await driver.sweep()
        await driver.sweep()
        assert await driver.observe() is None

    gateway.call(lambda: asyncio.run(main()))


def test_counters_survive_a_change(chapter: Chapter, gateway: Host) -> None:
    wide = Pair(LOCAL4, ip_network("192.168.0.0/16"))
    gateway.call(lambda: asyncio.run(Driver().apply(Firewall(fenced=(Pair(LOCAL4, REMOTE4),)))))
    chapter.host_a.run(["ping", "-c", "1", "-W", "0.1", "192.168.2.34"], check=False)
    gateway.call(lambda: asyncio.run(Driver().apply(Firewall(fenced=(wide,)))))
    standing = gateway.call(lambda: asyncio.run(Driver().observe()))
    assert standing.counts["fenced_out"][0] == 1


def test_the_kernel_takes_all_overlaps_and_finds_what_they_cover(gateway: Host) -> None:
    """Nested, crossing and equal pairs, everything, single addresses: of both families."""
    texts = (
        ("10.0.0.0/8", "192.168.2.0/24"),
        ("10.1.0.0/16", "0.0.0.0/0"),
        ("10.1.2.0/24", "192.168.0.0/16"),
        ("10.1.2.3/32", "192.168.2.34/32"),
        ("0.0.0.0/0", "172.16.0.0/12"),
        ("172.16.0.0/12", "172.16.0.0/12"),
        ("2001:db8:1::/48", "2001:db8:2::/64"),
        ("2001:db8:1:1::/64", "::/0"),
        ("::/0", "2001:db8:2::1/128"),
    )
    pairs = tuple(Pair(ip_network(local), ip_network(remote)) for local, remote in texts)
    gateway.call(lambda: asyncio.run(Driver().apply(Firewall(fenced=pairs, clamps=(Clamp(pairs[1], 1300),)))))

    def is_fenced(local: str, remote: str) -> bool:
        name = "fenced6" if ":" in local else "fenced4"
        element = f"{{ {local} . {remote} }}"
        found = gateway.run(["nft", "get", "element", "inet", "culvert", name, element], check=False)
        return found.returncode == 0

    points4 = (
        "9.255.255.255",
        "10.0.0.0",
        "10.1.2.3",
        "10.255.255.255",
        "172.31.255.255",
        "192.168.2.34",
        "255.255.255.255",
    )
    points6 = ("2001:db8:1::", "2001:db8:1:1::1", "2001:db8:2::1", "2001:db8:2::2", "ffff::1")
    for points in (points4, points6):
        for local in points:
            for remote in points:
                ends = ip_address(local), ip_address(remote)
                wanted = any(ends[0] in pair.local and ends[1] in pair.remote for pair in pairs)
                assert is_fenced(local, remote) is wanted, (local, remote)
