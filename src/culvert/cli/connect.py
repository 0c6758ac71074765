"""`culvert connect`."""

from __future__ import annotations

import re

import click

from culvert.cli.options import directories, run_dir
from culvert.control.client import Client

UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
MARGIN_S = 5.0
"""The daemon keeps the time; we wait a little longer for what it says."""


class Duration(click.ParamType[float]):
    """`30s`, `2m`, `1h`, or a number of seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)", str(value).strip())
        seconds = float(match[1]) * UNITS[match[2]] if match else 0.0
        if not 0 < seconds <= 3600:
            self.fail(f"{value!r} is no duration up to an hour; write 30s, 2m or 1h", param, ctx)
        return seconds


@click.command()
@click.argument("peer")
@click.option("--timeout", "timeout_s", type=Duration(), default="30s", show_default=True, help="How long to wait.")
@directories
def connect(peer: str, timeout_s: float) -> None:
    """Bring PEER up now, whatever its `start`, and wait until it is."""
    with Client.connect(run_dir()) as client:
        client.call("connect", {"peer": peer, "timeout_s": timeout_s}, timeout_s + MARGIN_S)
    click.echo(f"{peer} is up.")
