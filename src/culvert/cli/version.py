"""`culvert version`."""

from __future__ import annotations

import json

import click

from culvert import __version__
from culvert.cli.options import directories, json_flag, run_dir
from culvert.control.client import Client
from culvert.errors import CulvertError


@click.command()
@json_flag
@directories
def version(as_json: bool) -> None:
    """Say which version this program is, and which one the running gateway has."""
    running = _running()
    if as_json:
        click.echo(json.dumps({"version": __version__, "gateway": running}))
        return
    click.echo(f"culvert {__version__}")
    if running not in (None, __version__):
        click.echo(f"the running gateway is {running}; `culvert down --daemon` and `culvert up` change over")


def _running() -> str | None:
    try:
        with Client.connect(run_dir()) as client:
            return str(client.call("version")["version"])
    except CulvertError:
        return None
