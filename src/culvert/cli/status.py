"""`culvert status`."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from culvert.cli.options import directories, json_flag, run_dir
from culvert.control.client import Client

WATCH_S = 1.0
"""How often --watch looks."""
FILE_COLUMNS = 200
"""Width of the table where nobody's terminal says it: lines are not to be broken in a file."""
GOOD = ("up", "idle")


@click.command()
@click.argument("peer", required=False)
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@json_flag
@directories
@click.pass_context
def status(context: click.Context, peer: str | None, watch: bool, as_json: bool) -> None:
    """Show whether the tunnels are up, and for what is not, why and what to do.

    Exit 0 when no peer is down or connecting.
    """
    with Client.connect(run_dir()) as client:
        if watch:
            _watch(client, peer, as_json)
            return
        document = _ask(client, peer)
    _show(document, as_json)
    good = all(entry["state"] in GOOD for entry in document["peers"].values())
    context.exit(0 if good else 1)


def _ask(client: Client, peer: str | None) -> dict[str, Any]:
    document: dict[str, Any] = client.call("status", {} if peer is None else {"peer": peer})
    return document


def _show(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(document))
        return
    from rich.console import Console

    from culvert.cli.picture import render

    console = Console()
    if not console.is_terminal:
        console = Console(width=FILE_COLUMNS)
    console.print(render(document))


def _watch(client: Client, peer: str | None, as_json: bool) -> None:
    try:
        if as_json:
            while True:
                _show(_ask(client, peer), as_json)
                time.sleep(WATCH_S)
        _watch_live(client, peer)
    except KeyboardInterrupt:
        return


def _watch_live(client: Client, peer: str | None) -> None:
    from rich.live import Live

    from culvert.cli.picture import render

    with Live(render(_ask(client, peer)), auto_refresh=False) as live:
        while True:
            time.sleep(WATCH_S)
            live.update(render(_ask(client, peer)), refresh=True)
