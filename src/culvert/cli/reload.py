"""`culvert reload`."""

from __future__ import annotations

import click

from culvert.cli.options import directories, run_dir
from culvert.control.client import Client

RELOAD_S = 60.0


@click.command()
@directories
def reload() -> None:
    """Read the configuration again. What did not change is not touched; a file with errors changes nothing."""
    with Client.connect(run_dir()) as client:
        client.call("reload", timeout_s=RELOAD_S)
