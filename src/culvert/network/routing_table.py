"""The host's routes as a person reads them: every table that packets of the tunnel may meet."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from culvert.addresses import IPAddress, IPNetwork
from culvert.network.netlink import ADDRESS_FAMILY, Netlink, attributes, dump, dump_routes
from culvert.plan.desired import ROUTE_PROTOCOL, ROUTING_TABLE

_MAIN_TABLE = 254
_UNICAST, _UNREACHABLE = 1, 7
_STATIC_PROTOCOLS = {3, 4, ROUTE_PROTOCOL}
MAX_ROUTES = 10_000
"""Shown in all: nobody reads more, and a router may have a million."""


@dataclass(frozen=True, slots=True)
class TableRoute:
    """One route. `next_hop` None: what is reached is on the link itself. `steered`: it is one of our own table."""

    destination: IPNetwork
    next_hop: IPAddress | None
    source: IPAddress | None
    interface: str
    static: bool
    steered: bool
    unreachable: bool


async def routing_table(netlink: Netlink) -> list[TableRoute]:
    """Give the routes of the main table and of ours, by family and destination; MAX_ROUTES at most."""
    names = {message["index"]: attributes(message)["IFLA_IFNAME"] for message in await dump(netlink.get_links())}
    found: list[TableRoute] = []
    for family in ADDRESS_FAMILY.values():
        for table in (_MAIN_TABLE, ROUTING_TABLE):
            for message in await dump_routes(netlink, family, table=table):
                if message["type"] in (_UNICAST, _UNREACHABLE) and len(found) < MAX_ROUTES:
                    found.append(_parse(message, names, steered=table == ROUTING_TABLE))
    return sorted(found, key=_order)


def _parse(message: Any, names: dict[int, str], *, steered: bool) -> TableRoute:
    values = attributes(message)
    anything = "0.0.0.0" if message["family"] == ADDRESS_FAMILY[4] else "::"  # noqa: S104 - the default route
    next_hop, source = values.get("RTA_GATEWAY"), values.get("RTA_PREFSRC")
    return TableRoute(
        destination=ip_network((values.get("RTA_DST") or anything, message["dst_len"])),
        next_hop=ip_address(next_hop) if next_hop else None,
        source=ip_address(source) if source else None,
        interface=names.get(values.get("RTA_OIF", 0), "-"),
        static=message["proto"] in _STATIC_PROTOCOLS,
        steered=steered,
        unreachable=message["type"] == _UNREACHABLE,
    )


def _order(route: TableRoute) -> tuple[int, int, int, bool, bool]:
    network = route.destination
    key = (network.version, int(network.network_address), network.prefixlen)
    return *key, route.steered, route.unreachable
