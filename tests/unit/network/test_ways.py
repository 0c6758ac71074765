"""What the kernel of this machine says about ways; `tests/netns` asks about routes that change."""

from __future__ import annotations

from ipaddress import ip_address

from culvert.network.ways import Way, own_addresses, ways_to

LOOPBACK = ip_address("127.0.0.1")


async def test_the_way_to_ourselves() -> None:
    ways = await ways_to([LOOPBACK, LOOPBACK])
    assert list(ways) == [LOOPBACK]
    way = ways[LOOPBACK]
    assert isinstance(way, Way)
    assert (way.interface, way.source, way.router, way.up) == (1, LOOPBACK, None, True)
    assert way.mtu >= 16_436


async def test_to_some_addresses_there_is_no_way() -> None:
    nowhere = ip_address("255.255.255.255")
    assert await ways_to([nowhere]) == {nowhere: None}


def test_our_addresses() -> None:
    assert LOOPBACK in own_addresses()
