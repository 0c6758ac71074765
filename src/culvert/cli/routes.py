"""`culvert routes`: the routes as netstat(1) -rn prints them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from culvert.cli.options import directories, json_flag

if TYPE_CHECKING:
    from culvert.network.routing_table import TableRoute

_HEADINGS = ("Destination", "Gateway", "Flags", "Netif", "Expire")
_FAMILIES = {4: "Internet", 6: "Internet6"}


@click.command()
@json_flag
@directories
def routes(as_json: bool) -> None:
    """Show the routes of this host, and those that lead into the tunnel, as netstat -rn does.

    Flags: U up, H a single host, G by a gateway, S static, R refused, for want of the link that led there. culvert0 is
    the tunnel itself: what a policy protects is led there, whatever the other routes say.
    """
    import asyncio

    table = asyncio.run(_table())
    if as_json:
        click.echo(json.dumps({"routes": [_document(route) for route in table]}))
        return
    click.echo(layout(table))


async def _table() -> list[TableRoute]:
    from culvert.network.netlink import open_netlink
    from culvert.network.routing_table import routing_table

    async with open_netlink() as netlink:
        return await routing_table(netlink)


def layout(table: list[TableRoute]) -> str:
    """Give the table as a person knows it from FreeBSD, without the refusals that wait behind a route."""
    lines = ["Routing tables"]
    led = {route.destination for route in table if not route.unreachable}
    shown = [route for route in table if not (route.unreachable and route.destination in led)]
    for version, heading in _FAMILIES.items():
        rows = [_HEADINGS, *(_row(route) for route in shown if route.destination.version == version)]
        widths = [max(len(row[column]) for row in rows) + 2 for column in range(len(_HEADINGS))]
        lines += ["", f"{heading}:"]
        lines += ["".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _row(route: TableRoute) -> tuple[str, ...]:
    whole = route.destination.prefixlen == 0
    destination = "default" if whole else str(route.destination.network_address if _host(route) else route.destination)
    via = route.next_hop or (route.source if _host(route) else None)
    gateway = str(via) if via else "-" if route.unreachable else f"link#{route.interface}"
    return destination, gateway, _flags(route), route.interface, ""


def _host(route: TableRoute) -> bool:
    return route.destination.prefixlen == route.destination.max_prefixlen


def _flags(route: TableRoute) -> str:
    letters = (("U", True), ("G", route.next_hop is not None), ("H", _host(route)), ("S", route.static))
    return "".join(letter for letter, is_so in (*letters, ("R", route.unreachable)) if is_so)


def _document(route: TableRoute) -> dict[str, Any]:
    return {
        "destination": str(route.destination),
        "gateway": str(route.next_hop) if route.next_hop else None,
        "source": str(route.source) if route.source else None,
        "flags": _flags(route),
        "interface": route.interface,
        "steered": route.steered,
    }
