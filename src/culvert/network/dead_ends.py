"""Behind every route that leads into a gif link stands one that leads nowhere, as behind the routes into the TUN.

A link that somebody takes down or deletes takes its routes with it. What was to travel inside of it would follow the
default route then, in clear. Dead ends are in the main table, with our protocol number and a metric above all others,
so that any other route is chosen before them. They belong to the fence, and stay as long as it does.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

from culvert.addresses import IPNetwork
from culvert.config.model import Gif
from culvert.network.netlink import ADDRESS_FAMILY, Netlink, attributes, dump_routes, family_of, refusals
from culvert.plan.desired import ROUTE_PROTOCOL, UNREACHABLE_METRIC

_MAIN_TABLE = 254
_UNREACHABLE = 7


async def apply(netlink: Netlink, gifs: Iterable[Gif]) -> bool:
    """Make the dead ends those of these links; tell whether they were others."""
    wanted = dict.fromkeys(network for gif in gifs for network in _behind(gif))
    standing = await _observe(netlink)
    for network in wanted.keys() - standing.keys():
        async with refusals(f"route {network}"):
            await netlink.route("add", **_request(network))
    for network in standing.keys() - wanted.keys():
        await _delete(netlink, network)
    return wanted.keys() != standing.keys()


async def sweep(netlink: Netlink) -> None:
    """Take them all away."""
    for network in await _observe(netlink):
        await _delete(netlink, network)


def _behind(gif: Gif) -> Iterable[IPNetwork]:
    yield from gif.routes
    for ends in gif.inner:
        yield ip_network(str(ends.remote))


async def _observe(netlink: Netlink) -> dict[IPNetwork, None]:
    found: dict[IPNetwork, None] = {}
    for family in ADDRESS_FAMILY.values():
        for message in await dump_routes(netlink, family, table=_MAIN_TABLE, protocol=ROUTE_PROTOCOL):
            values = attributes(message)
            if message["type"] == _UNREACHABLE and message["proto"] == ROUTE_PROTOCOL and "RTA_DST" in values:
                found[ip_network((values["RTA_DST"], message["dst_len"]))] = None
    return found


async def _delete(netlink: Netlink, network: IPNetwork) -> None:
    async with refusals(f"route {network}", but=errno.ESRCH):
        await netlink.route("del", **_request(network))


def _request(network: IPNetwork) -> dict[str, Any]:
    return {
        "family": family_of(network),
        "dst": str(network.network_address),
        "dst_len": network.prefixlen,
        "type": _UNREACHABLE,
        "table": _MAIN_TABLE,
        "proto": ROUTE_PROTOCOL,
        "priority": UNREACHABLE_METRIC,
    }
