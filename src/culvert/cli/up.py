"""`culvert up`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from culvert.cli.options import DEFAULT_FILE, PATH, directories, run_dir, state_dir

if TYPE_CHECKING:
    from culvert.cli.ready import Ready

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@click.command()
@click.option("-c", "--config", "file", type=PATH, default=DEFAULT_FILE, show_default=True, help="The configuration.")
@click.option("-d", "--detach", is_flag=True, help="Return when the gateway is ready; its log is RUN_DIR/culvert.log.")
@click.option("--backend", type=click.Choice(["auto", "engine"]), help="Who moves the packets: so far the engine.")
@click.option("--log-json", is_flag=True, help="The log as JSON, one object a line.")
@click.option("--log-level", type=click.Choice(list(LEVELS)), default="info", show_default=True, help="How much of it.")
@click.option("--debug", multiple=True, metavar="TOPICS", help="Tell these in detail from the start: see culvert log.")
@click.option("--ready-fd", type=int, hidden=True)
@directories
def up(
    *,
    file: Path,
    detach: bool,
    backend: str | None,
    log_json: bool,
    log_level: str,
    debug: tuple[str, ...],
    ready_fd: int | None,
) -> None:
    """Be the gateway: links, routes, firewall, policies and key exchange, until Ctrl-C or `culvert down`.

    Everything that it puts on this host it takes away again when it ends.
    """
    del backend  # both words mean the engine, the only one that there is
    topics = _topics(debug)
    if detach:
        from culvert.cli.background import start

        options = ["--log-json"] if log_json else []
        options += [f"--debug={','.join(sorted(topics))}"] if topics else []
        start(run_dir(), state_dir(), ["-c", str(file.absolute()), "--log-level", log_level, *options])
        return
    from culvert.cli.ready import Ready

    with Ready(ready_fd) as ready:
        _run(file, ready, as_json=log_json, level=log_level, topics=topics)


def _topics(words: tuple[str, ...]) -> frozenset[str]:
    from culvert.control.log_lines import UnknownTopicError, topics_of

    try:
        return topics_of(words)
    except UnknownTopicError as error:
        raise click.UsageError(str(error)) from None


def _run(file: Path, ready: Ready, *, as_json: bool, level: str, topics: frozenset[str]) -> None:
    import resource

    from culvert.daemon.logging import set_up
    from culvert.daemon.program import Options, run
    from culvert.daemon.wiring import build

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # secrets are in our memory; they belong into no file
    journal = set_up(as_json=as_json, level=LEVELS[level])
    journal.topics.keep(topics)
    options = Options(run_dir(), state_dir(), file.absolute(), level, as_json)
    run(options, journal, build, ready.say)
