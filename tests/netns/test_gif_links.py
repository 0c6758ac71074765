"""Addresses, MTU and routes of gif links on a real kernel."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from culvert.config.model import Ends, Gif
from culvert.errors import HostError
from culvert.lab.chapter import Chapter
from culvert.lab.host import Host
from culvert.network import dead_ends, gifs
from culvert.network.netlink import open_netlink

pytestmark = pytest.mark.root

INNER = Ends(ip_address("192.168.1.1"), ip_address("192.168.2.1"))
INNER6 = Ends(ip_address("fd00::1"), ip_address("fd00::2"))
ROUTES = (ip_network("192.168.2.0/24"), ip_network("2001:db8:2::/64"))
OUTER = Ends(ip_address("203.0.113.1"), ip_address("198.51.100.1"))
LINK = Gif("gif0", OUTER, (INNER, INNER6), 1280, ROUTES)

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


@pytest.fixture
def gateway(chapter: Chapter) -> Host:
    return chapter.gateway_a


@pytest.fixture
def device(gateway: Host) -> Iterator[int]:
    """The device, as the engine makes it."""
    descriptor = gateway.call(lambda: os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    request = struct.pack("16sH22x", b"gif0", _IFF_TUN | _IFF_NO_PI)
    gateway.call(lambda: fcntl.ioctl(descriptor, _TUNSETIFF, request))
    yield descriptor
    os.close(descriptor)


def do(host: Host, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with open_netlink() as netlink:
            return await work(netlink)

    return host.call(lambda: asyncio.run(main()))


def test_a_link_is_as_the_handbook_shows_it(gateway: Host, device: int) -> None:
    assert do(gateway, lambda netlink: gifs.apply(netlink, [LINK])) is True
    assert do(gateway, lambda netlink: gifs.apply(netlink, [LINK])) is False
    shown = gateway.ip("address", "show", "gif0")
    assert all(word in shown for word in ("POINTOPOINT", "mtu 1280", "192.168.1.1 peer 192.168.2.1/32"))
    assert "gif0" in gateway.ip("route", "get", "192.168.2.34")
    assert "src 192.168.1.1" in gateway.ip("route", "get", "192.168.2.1")
    assert "gif0" in gateway.ip("-6", "route", "get", "2001:db8:2::34")
    (standing,) = do(gateway, gifs.observe)
    assert standing.gif() == LINK


def test_a_change_touches_what_changed(gateway: Host, device: int) -> None:
    do(gateway, lambda netlink: gifs.apply(netlink, [LINK]))
    other = replace(LINK, inner=(Ends(ip_address("10.9.9.1"), ip_address("10.9.9.2")),), routes=(), mtu=1400)
    assert do(gateway, lambda netlink: gifs.apply(netlink, [other])) is True
    (standing,) = do(gateway, gifs.observe)
    assert standing.is_as(other)
    assert "gif0" not in gateway.ip("route", "get", "192.168.2.34")


def test_what_others_take_away_is_put_back(gateway: Host, device: int) -> None:
    do(gateway, lambda netlink: gifs.apply(netlink, [LINK]))
    gateway.ip("link", "set", "gif0", "down")
    gateway.ip("address", "flush", "dev", "gif0")
    assert do(gateway, lambda netlink: gifs.apply(netlink, [LINK])) is True
    (standing,) = do(gateway, gifs.observe)
    assert standing.is_as(LINK)


def test_the_host_s_own_route_to_the_same_network_is_left_alone(gateway: Host, device: int) -> None:
    gateway.ip("route", "add", "192.168.2.0/24", "via", "192.168.1.7")
    with pytest.raises(HostError, match=r"route 192\.168\.2\.0/24"):
        do(gateway, lambda netlink: gifs.apply(netlink, [LINK]))
    assert "192.168.2.0/24 via 192.168.1.7" in gateway.ip("route")


def test_behind_a_link_is_a_dead_end(gateway: Host, device: int) -> None:
    before = gateway.ip("route", "show", "table", "all"), gateway.ip("-6", "route", "show", "table", "all")
    assert do(gateway, lambda netlink: dead_ends.apply(netlink, [LINK])) is True
    assert do(gateway, lambda netlink: dead_ends.apply(netlink, [LINK])) is False
    for address in ("192.168.2.1", "192.168.2.34", "fd00::2", "2001:db8:2::34"):
        assert gateway.run(["ip", "route", "get", address], check=False).returncode != 0, address
    assert do(gateway, lambda netlink: dead_ends.apply(netlink, [replace(LINK, routes=())])) is True
    assert "203.0.113.254" in gateway.ip("route", "get", "192.168.2.34")
    do(gateway, dead_ends.sweep)
    assert (gateway.ip("route", "show", "table", "all"), gateway.ip("-6", "route", "show", "table", "all")) == before


def test_a_device_that_is_not_there_is_named(gateway: Host) -> None:
    with pytest.raises(HostError, match="there is no gif0"):
        do(gateway, lambda netlink: gifs.apply(netlink, [LINK]))


def test_the_sweep_takes_ours_and_leaves_others(gateway: Host, device: int) -> None:
    gateway.ip("link", "add", "gif7", "type", "veth", "peer", "name", "other")
    do(gateway, lambda netlink: gifs.apply(netlink, [LINK]))
    do(gateway, gifs.sweep)
    links = gateway.ip("link")
    assert "gif0" not in links
    assert "gif7" in links
