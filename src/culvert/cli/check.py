"""`culvert check`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from culvert.cli.options import DEFAULT_FILE, PATH, directories, json_flag

if TYPE_CHECKING:
    from culvert.daemon.examination import Examination


@click.command()
@click.argument("file", type=PATH, default=DEFAULT_FILE)
@json_flag
@directories
@click.pass_context
def check(context: click.Context, file: Path, as_json: bool) -> None:
    """Tell everything that is wrong with FILE (default: /etc/culvert/gateway.toml), and what `up` would do.

    Nothing is changed. Exit 0 when nothing is wrong.
    """
    import asyncio

    from culvert.daemon.examination import examine

    found = asyncio.run(examine(file.absolute()))
    if as_json:
        click.echo(json.dumps(_document(found)))
    else:
        _show(file, found)
    context.exit(1 if found.problems else 0)


def _document(found: Examination) -> dict[str, object]:
    return {
        "good": not found.problems,
        "problems": [asdict(problem) for problem in found.problems],
        "warnings": [asdict(problem) for problem in found.warnings],
        "steps": list(found.steps),
    }


def _show(file: Path, found: Examination) -> None:
    for problem in found.problems:
        click.echo(str(problem), err=True)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    if found.problems:
        count = len(found.problems)
        click.echo(f"{file}: {count} {'problem' if count == 1 else 'problems'}", err=True)
        return
    click.echo(f"{file} is good. `culvert up -c {file}` would:")
    for step in found.steps:
        click.echo(f"  {step}")
