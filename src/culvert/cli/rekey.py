"""`culvert rekey`."""

from __future__ import annotations

import click

from culvert.cli.options import directories, run_dir
from culvert.control.client import Client


@click.command()
@click.argument("what", metavar="PEER[/CHILD]")
@click.option("--ike", is_flag=True, help="Of the IKE SA instead of its children.")
@directories
def rekey(what: str, ike: bool) -> None:
    """Make new keys now: of all children of PEER, or of one."""
    peer, slash, child = what.partition("/")
    if slash and ike:
        raise click.UsageError("--ike makes new keys for the IKE SA, which has no child; write the peer alone")
    with Client.connect(run_dir()) as client:
        client.call("rekey", {"peer": peer, "child": child if slash else None, "ike": ike})
