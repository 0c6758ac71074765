"""Steering, part one: the routes of our own tables.

A route is ours when it is in one of our tables and carries our protocol number; everything else stays untouched.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any

from culvert.errors import HostError, Problem
from culvert.network.links import index_of
from culvert.network.netlink import ADDRESS_FAMILY, Netlink, attributes, dump_routes, family_of, refusals
from culvert.plan.desired import MARKED_TABLE, ROUTE_PROTOCOL, ROUTING_TABLE, TUN, Route, RouteKind

_UNICAST, _UNREACHABLE, _THROW = 1, 7, 9
_TYPES = {RouteKind.TUN: _UNICAST, RouteKind.UNREACHABLE: _UNREACHABLE, RouteKind.THROW: _THROW}
_KINDS = {number: kind for kind, number in _TYPES.items()}

_Found = tuple[Route, Any]


async def observe(netlink: Netlink) -> tuple[Route, ...]:
    """Give the routes of ours that stand, in the kernel's order."""
    tun = await index_of(netlink, TUN)
    return tuple(route for route, _ in await _ours(netlink, tun))


async def apply(netlink: Netlink, wanted: Iterable[Route]) -> bool:
    """Add what is missing, replace what differs, then remove what is not wanted; tell whether anything changed.

    Raise HostError where a route needs the TUN and there is none, or the kernel refuses.
    """
    wanted = tuple(wanted)
    tun = await index_of(netlink, TUN)
    found = await _ours(netlink, tun)
    standing = {route for route, _ in found}
    missing = [route for route in wanted if route not in standing]
    for route in sorted(missing, key=_closed_first):
        await _replace(netlink, route, tun)
    kept = {_key(route) for route in wanted}
    unwanted = [message for route, message in found if _key(route) not in kept]
    for message in unwanted:
        await _delete(netlink, message)
    return bool(missing or unwanted)


async def sweep(netlink: Netlink) -> None:
    """Remove every route of ours."""
    tun = await index_of(netlink, TUN)
    for _, message in await _ours(netlink, tun):
        await _delete(netlink, message)


def _closed_first(route: Route) -> bool:
    """Sort what keeps traffic in before what lets it out: throw routes last."""
    return route.kind is RouteKind.THROW


def _key(route: Route) -> tuple[Any, int, int]:
    """The kernel's notion of the same route: destination and metric within a table."""
    return route.destination, route.metric, route.table


async def _ours(netlink: Netlink, tun: int | None) -> list[_Found]:
    found: list[_Found] = []
    for family, table in product(ADDRESS_FAMILY.values(), (ROUTING_TABLE, MARKED_TABLE)):
        for message in await dump_routes(netlink, family, table=table, protocol=ROUTE_PROTOCOL):
            if message["proto"] == ROUTE_PROTOCOL:
                found.append((_parse(message, tun, table), message))
    return found


def _parse(message: Any, tun: int | None, table: int) -> Route:
    values = attributes(message)
    address = values.get("RTA_DST") or ("0.0.0.0" if message["family"] == ADDRESS_FAMILY[4] else "::")  # noqa: S104
    kind = _KINDS.get(message["type"], RouteKind.THROW)
    if kind is RouteKind.TUN and values.get("RTA_OIF") != tun:
        kind = RouteKind.THROW  # of our protocol, but to elsewhere: never equal to a route that is wanted
    metrics = values.get("RTA_METRICS")
    preferred = values.get("RTA_PREFSRC")
    return Route(
        destination=ip_network((address, message["dst_len"])),
        kind=kind,
        metric=values.get("RTA_PRIORITY", 0),
        preferred_source=ip_address(preferred) if preferred else None,
        mtu=attributes(metrics).get("RTAX_MTU") if metrics else None,
        table=table,
    )


async def _replace(netlink: Netlink, route: Route, tun: int | None) -> None:
    request = _request(route, tun)
    async with refusals(f"route {route.destination}"):
        if route.destination.version == 6:
            # IPv6 replaces only a route of the same kind of next hop, and adds a second one beside another.
            identity = {name: request[name] for name in ("family", "dst", "dst_len", "table", "proto", "priority")}
            await _until_gone(netlink, identity)
        await netlink.route("replace", **request)


async def _until_gone(netlink: Netlink, identity: dict[str, Any]) -> None:
    async with refusals(f"route {identity['dst']}", but=errno.ESRCH):
        while True:
            await netlink.route("del", **identity)


def _request(route: Route, tun: int | None) -> dict[str, Any]:
    request: dict[str, Any] = {
        "family": family_of(route.destination),
        "dst": str(route.destination.network_address),
        "dst_len": route.destination.prefixlen,
        "table": route.table,
        "proto": ROUTE_PROTOCOL,
        "priority": route.metric,
        "type": _TYPES[route.kind],
    }
    if route.kind is RouteKind.TUN:
        if tun is None:
            raise HostError(
                Problem(f"there is no {TUN}", f"route {route.destination}", "Start culvert-engine, which makes it.")
            )
        request["oif"] = tun
        request["scope"] = "link" if route.destination.version == 4 else "universe"
    if route.preferred_source is not None:
        request["prefsrc"] = str(route.preferred_source)
    if route.mtu is not None:
        request["metrics"] = {"mtu": route.mtu}
    return request


async def _delete(netlink: Netlink, message: Any) -> None:
    values = attributes(message)
    request: dict[str, Any] = {
        "family": message["family"],
        "dst_len": message["dst_len"],
        "table": values.get("RTA_TABLE", ROUTING_TABLE),
        "proto": ROUTE_PROTOCOL,
        "type": message["type"],
        "scope": message["scope"],
        "priority": values.get("RTA_PRIORITY", 0),
    }
    if "RTA_DST" in values:
        request["dst"] = values["RTA_DST"]
    async with refusals(f"route {values.get('RTA_DST', 'default')}", but=errno.ESRCH):
        await netlink.route("del", **request)
