"""`culvert disconnect`."""

from __future__ import annotations

import click

from culvert.cli.options import directories, run_dir
from culvert.control.client import Client


@click.command()
@click.argument("peer")
@directories
def disconnect(peer: str) -> None:
    """End PEER's tunnel, and keep it ended until connect, reload or restart. Its traffic does not pass in clear."""
    with Client.connect(run_dir()) as client:
        client.call("disconnect", {"peer": peer})
