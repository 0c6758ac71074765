"""`culvert down`."""

from __future__ import annotations

import sys

import click

from culvert.cli.options import directories, json_flag, run_dir
from culvert.control.client import Client, NoGatewayError
from culvert.errors import CulvertError, Problem

ENDING_S = 30.0
"""How long the end may take: a second of farewell, then the host."""


@click.command()
@click.option("--closed", is_flag=True, help="Leave the fence: nothing between the networks passes in clear.")
@click.option("--daemon", is_flag=True, help="End the daemon only; the engine and its tunnels go on.")
@json_flag
@directories
def down(closed: bool, daemon: bool, as_json: bool) -> None:
    """End the gateway. Returns when everything of it is gone, and the host is as it was."""
    if closed and daemon:
        raise click.UsageError("--closed and --daemon are two different endings; choose one")
    ending = "closed" if closed else "daemon" if daemon else "open"
    try:
        client = Client.connect(run_dir())
    except NoGatewayError:
        if daemon or not _sweep(closed):
            raise
    else:
        with client:
            _end(client, ending)
    if as_json:
        import json

        click.echo(json.dumps({"ended": ending}))


def _end(client: Client, ending: str) -> None:
    client.call("down", {"ending": ending}, ENDING_S)
    if not client.wait_closed(ENDING_S):
        problem = Problem("the daemon has taken everything away and does not exit", what_to_do="Look at its log.")
        raise CulvertError(problem)


def _sweep(closed: bool) -> bool:
    """Take away what a daemon that died, or `down --closed`, left on the host. Tell whether there was anything."""
    from culvert.daemon.logging import set_up
    from culvert.daemon.program import Options, sweep
    from culvert.daemon.wiring import build

    found = sweep(Options(run_dir()), set_up(as_json=False), build, closed=closed)
    if found:
        click.echo("culvert: no daemon ran; what a former one left on this host is taken away.", file=sys.stderr)
    return found
