"""`culvert log`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from culvert.cli.options import directories, json_flag, run_dir
from culvert.control.client import Client
from culvert.control.log_lines import ALL, NONE, TOPICS, UnknownTopicError, text_of, topics_of

WORDS = (*TOPICS, ALL, NONE)


@click.command()
@click.argument("words", metavar="[PEER]", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is logged from now on, until Ctrl-C.")
@click.option("-n", "--lines", "count", type=click.IntRange(0, 6_000), help="How many of the last lines; else 50.")
@click.option(
    "--debug",
    "debug",
    multiple=True,
    metavar="TOPICS",
    help=f"Tell these in detail: {', '.join(TOPICS)}, {ALL} or {NONE}. Only root may.",
)
@click.option("--keep", is_flag=True, help="With -f: leave the topics as they are when it ends.")
@json_flag
@directories
def log(
    *, words: tuple[str, ...], follow: bool, count: int | None, debug: tuple[str, ...], keep: bool, as_json: bool
) -> None:
    """Show the last lines of the gateway's log, those of one PEER where it is named.

    With --debug, messages of IKE are told payload by payload (ike), drops and associations (esp), policies and acquires
    (spd), routes, rules and sysctls (net): while -f follows, or without it until they are turned off again.
    """
    topics, peer = _understood(words, debug)
    params: dict[str, Any] = {} if count is None else {"lines": count}
    if peer:
        params["peer"] = peer
    with Client.connect(run_dir()) as client:
        if topics is not None and (keep or not follow):
            told = client.call("debug", {"topics": sorted(topics)})
            _say(told["topics"], follow, as_json)
            if not follow and count is None:
                return
        elif topics is not None:
            params["topics"] = sorted(topics)
        _show(client, params, follow, as_json)


def _understood(words: tuple[str, ...], debug: tuple[str, ...]) -> tuple[frozenset[str] | None, str]:
    """Tell topics from the peer: `--debug ike esp office` is two topics and a peer. Raise click.UsageError."""
    further = [word for word in words if debug and word in WORDS]
    peers = [word for word in words if word not in further]
    if len(peers) > 1:
        raise click.UsageError(f"one PEER at a time, not {' and '.join(peers)}")
    try:
        topics = topics_of((*debug, *further)) if debug else None
    except UnknownTopicError as error:
        raise click.UsageError(str(error)) from None
    return topics, "".join(peers)


def _say(topics: list[str], follow: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"topics": topics}), err=follow)
        return
    hint = "" if follow or not topics else " Follow with: culvert log -f"
    click.echo(f"Told in detail: {', '.join(topics) or 'nothing'}.{hint}", err=follow)


def _show(client: Client, params: dict[str, Any], follow: bool, as_json: bool) -> None:
    if not follow:
        _print(client.call("log", params)["lines"], as_json)
        return
    try:
        for told in client.stream("log", {**params, "follow": True}):
            _print(told.get("lines", ()), as_json)
    except KeyboardInterrupt:
        return
    click.echo("The gateway has ended.", err=True)


def _print(lines: Iterable[dict[str, Any]], as_json: bool) -> None:
    for line in lines:
        click.echo(json.dumps(line) if as_json else text_of(line))
