"""`culvert route`: static routes through gif links, in route(8)'s words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from culvert.cli.failures import WordsError
from culvert.cli.ifconfig import refuse
from culvert.cli.options import directories, run_dir
from culvert.control.client import Client
from culvert.errors import CulvertError, Problem

if TYPE_CHECKING:
    from culvert.config.dialects.route import StaticRoute


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("verb", type=click.Choice(["add", "delete"]))
@click.argument("words", nargs=-1, type=click.UNPROCESSED, required=True)
@directories
def route(verb: str, words: tuple[str, ...]) -> None:
    """Add or delete a route through a gif link, as route(8) does.

    \b
    culvert route add 192.168.2.0 192.168.2.1 netmask 0xffffff00
    culvert route delete 192.168.2.0/24

    It lasts until `culvert down`; what is to stay belongs into gateway.toml, as `routes` of [gif.gif0].
    """
    said = f"route {verb} {' '.join(words)}"
    with Client.connect(run_dir()) as client:
        wanted = _wanted(words, said)
        links: list[dict[str, Any]] = client.call("links", {})["gifs"]
        changed = _with(links, wanted, said) if verb == "add" else _without(links, wanted, said)
        client.call("gif_set", {"gif": changed})


def _wanted(words: tuple[str, ...], said: str) -> StaticRoute:
    from culvert.config.dialects.route import static_route
    from culvert.config.findings import UnusableError

    try:
        return static_route(words)
    except UnusableError as failure:
        refuse(said, failure)


def _with(links: list[dict[str, Any]], wanted: StaticRoute, said: str) -> dict[str, Any]:
    """Give the link whose far end is the next hop, with the route."""
    if wanted.gateway is None:
        advice = "Write the far end of a gif link behind the network."
        raise WordsError(Problem("the next hop is missing", said, advice))
    network, gateway = str(wanted.destination), str(wanted.gateway)
    for link in links:
        if gateway in (remote for _, remote in link["inner"]):
            if network in link["routes"]:
                what = f"{network} is led into {link['name']} already"
                raise CulvertError(Problem(what, said, "`culvert routes` shows all."))
            return link | {"routes": [*link["routes"], network]}
    what = f"{gateway} is the far end of no gif link"
    raise CulvertError(Problem(what, said, "For any other next hop: ip route add."))


def _without(links: list[dict[str, Any]], wanted: StaticRoute, said: str) -> dict[str, Any]:
    """Give the link that has the route, without it."""
    network = str(wanted.destination)
    for link in links:
        if network in link["routes"]:
            return link | {"routes": [known for known in link["routes"] if known != network]}
    raise CulvertError(Problem(f"no gif link has a route to {network}", said, "`culvert routes` shows all."))
