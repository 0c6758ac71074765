"""`culvert route`: static routes through gif links, in route(8)'s words."""

from __future__ import annotations

from typing import Any

import click

from culvert.cli.ifconfig import refuse
from culvert.cli.options import directories, run_dir
from culvert.control.client import Client
from culvert.errors import CulvertError, Problem


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
    from culvert.config.dialects.route import static_route
    from culvert.config.findings import UnusableError

    said = f"route {verb} {' '.join(words)}"
    with Client.connect(run_dir()) as client:
        links: list[dict[str, Any]] = client.call("links", {})["gifs"]
        try:
            wanted = static_route(words)
        except UnusableError as failure:
            refuse(said, failure)
        network, gateway = str(wanted.destination), str(wanted.gateway) if wanted.gateway else None
        for link in links:
            if verb == "delete" and network in link["routes"]:
                link["routes"].remove(network)
            elif verb == "add" and gateway in (remote for _, remote in link["inner"]):
                link["routes"].append(network)
            else:
                continue
            client.call("gif_set", {"gif": link})
            return
    raise CulvertError(_nowhere(verb, network, gateway, said))


def _nowhere(verb: str, network: str, gateway: str | None, said: str) -> Problem:
    if verb == "delete":
        return Problem(
            f"no gif link has a route to {network}", said, "`culvert ifconfig` and `culvert routes` show all."
        )
    if gateway is None:
        return Problem("the next hop is missing", said, "Write the far end of a gif link behind the network.")
    return Problem(f"{gateway} is the far end of no gif link", said, "For any other next hop: ip route add.")
