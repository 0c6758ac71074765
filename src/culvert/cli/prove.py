"""`culvert prove`."""

from __future__ import annotations

import json
from typing import Any

import click

from culvert.cli.options import directories, json_flag, run_dir
from culvert.control.client import Client
from culvert.errors import CulvertError, Problem

PROOF_S = 60.0
"""How long one peer's proof may take: its probes wait two seconds for replies."""
SIGNS = {True: "ok", False: "NOT", None: "?"}


@click.command()
@click.argument("peer", required=False)
@json_flag
@directories
@click.pass_context
def prove(context: click.Context, peer: str | None, as_json: bool) -> None:
    """Show that nothing between the networks can be read outside: of PEER, or of all peers.

    Sends marked packets through the tunnel and listens outside meanwhile. Exit 0 only where it is proven.
    """
    with Client.connect(run_dir()) as client:
        names = [peer] if peer is not None else list(client.call("status")["peers"])
        if not names:
            raise CulvertError(Problem("there is nothing to prove", what_to_do="Configure a peer first."))
        verdicts = {name: client.call("prove", {"peer": name}, PROOF_S) for name in names}
    good = all(verdict["ok"] for verdict in verdicts.values())
    if as_json:
        click.echo(json.dumps({"ok": good, "peers": verdicts}))
    else:
        for verdict in verdicts.values():
            _show(verdict)
    context.exit(0 if good else 1)


def _show(verdict: dict[str, Any]) -> None:
    for check in verdict["checks"]:
        click.echo(f"  {SIGNS[check['ok']]:<4} {check['message']}")
        if check["ok"] is not True and check["what_to_do"]:
            click.echo(f"       {check['what_to_do']}")
    for line in verdict["evidence"]["excerpt"]:
        click.echo(f"    {line}")
    click.echo(verdict["message"])
