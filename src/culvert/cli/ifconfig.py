"""`culvert ifconfig`: gif links in ifconfig(8)'s words and layout."""

from __future__ import annotations

from typing import Any, NoReturn

import click

from culvert.cli.failures import WordsError
from culvert.cli.options import directories, json_flag, run_dir
from culvert.control.client import Client
from culvert.errors import CulvertError, Problem

_IPV4_HOST = "0xffffffff"
_UP, _POINTTOPOINT, _LINK1, _MULTICAST = 0x1, 0x10, 0x2000, 0x8000


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("interface", required=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@json_flag
@directories
def ifconfig(interface: str | None, words: tuple[str, ...], as_json: bool) -> None:
    """Show gif links, or make and change one, as ifconfig(8) does.

    \b
    culvert ifconfig gif0 203.0.113.1 198.51.100.1        the outer ends, ours first
    culvert ifconfig gif0 inet 192.168.1.1 192.168.2.1 netmask 0xffffffff
    culvert ifconfig gif0 mtu 1400
    culvert ifconfig gif0 destroy

    What is made here lasts until `culvert down`; what is to stay belongs into gateway.toml, as [gif.gif0].
    """
    with Client.connect(run_dir()) as client:
        links: list[dict[str, Any]] = client.call("links", {})["gifs"]
        if words:
            _change(client, links, interface or "", words)
        else:
            _show(links, interface, as_json)


def _change(client: Client, links: list[dict[str, Any]], name: str, words: tuple[str, ...]) -> None:
    from culvert.config.dialects.ifconfig import changed
    from culvert.config.findings import UnusableError
    from culvert.config.gifs import gif_name
    from culvert.config.model import Gif
    from culvert.control.links import from_document, to_document

    try:
        if words == ("destroy",):
            client.call("gif_delete", {"name": gif_name(name)})
            return
        known = next((from_document(link) for link in links if link["name"] == name), Gif(gif_name(name)))
        client.call("gif_set", {"gif": to_document(changed(known, words))})
    except UnusableError as failure:
        refuse(f"ifconfig {name} {' '.join(words)}", failure)


def refuse(where: str, failure: Any) -> NoReturn:
    """Raise what a person reads for a word that could not be used."""
    raise WordsError(Problem(failure.what, where, failure.what_to_do)) from failure


def _show(links: list[dict[str, Any]], interface: str | None, as_json: bool) -> None:
    chosen = [link for link in links if interface in (None, "-a", link["name"])]
    if interface not in (None, "-a") and not chosen:
        known = ", ".join(link["name"] for link in links) or "none"
        raise CulvertError(
            Problem(f"there is no gif link {interface}", "culvert ifconfig", f"There is: {known}. Others: ip addr.")
        )
    if as_json:
        import json

        click.echo(json.dumps({"gifs": chosen}))
        return
    for link in chosen:
        click.echo(layout(link))


def layout(link: dict[str, Any]) -> str:
    """Give a link as FreeBSD's ifconfig prints it."""
    flags = _UP | _POINTTOPOINT | _MULTICAST | (_LINK1 if link["ecn"] else 0)
    names = "UP,POINTTOPOINT" + (",LINK1" if link["ecn"] else "") + ",MULTICAST"
    lines = [f"{link['name']}: flags={flags:x}<{names}> mtu {link['mtu']}"]
    for local, remote in link["inner"]:
        tail = f"inet6 {local} --> {remote} prefixlen 128" if ":" in local else ""
        lines.append("\t" + (tail or f"inet {local} --> {remote} netmask {_IPV4_HOST}"))
    if link["outer"]:
        local, remote = link["outer"]
        lines.append(f"\tphysical address {'inet6' if ':' in local else 'inet'} {local} --> {remote}")
    return "\n".join(lines)
