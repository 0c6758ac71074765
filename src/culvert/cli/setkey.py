"""`culvert setkey`, which is `setkey` too: the tables of associations and policies by hand."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from culvert import __version__
from culvert.cli.options import PATH, directories, run_dir
from culvert.errors import Problem

if TYPE_CHECKING:
    from culvert.cli.setkey_apply import Session
    from culvert.setkey.parse import Parsed

LOOK_AGAIN_S = 1.0
"""How often `-l` prints the SAD."""
ENGINE_SOCKET = "engine.sock"
"""Name of the engine's socket inside the run directory."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that were given."""

    file: Path | None
    read_input: bool
    dump: bool
    flush: bool
    monitor: int
    policies: bool
    everything: bool
    again: bool
    ports: bool
    nothing: bool
    verbose: bool
    kernel_dialect: bool
    rfc_dialect: bool
    interfaces_only: bool
    legacy: bool
    best_effort: bool

    def modes(self) -> int:
        """Count the things to do; one is right."""
        return sum((self.file is not None, self.read_input, self.dump, self.flush, bool(self.monitor)))


def _flag(*names: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(*names, is_flag=True, help=text)


@click.command(context_settings={"help_option_names": ["--help", "-?"]})
@click.argument("dumps", nargs=-1, type=PATH, metavar="")
@click.option("-f", "file", type=PATH, metavar="FILE", help="Do the statements of FILE; - is standard input.")
@_flag("-c", "read_input", text="Do the statements of standard input.")
@_flag("-D", "dump", text="Print the SAD; with -P the SPD.")
@_flag("-F", "flush", text="Take away what stands in the SAD; with -P in the SPD.")
@click.option("-x", "monitor", count=True, help="Print what happens as it comes; twice: with seconds since 1970.")
@_flag("-P", "policies", text="Of policies, with -D and -F.")
@_flag("-a", "everything", text="With -D dead ones too; with -F what IKE made too.")
@_flag("-l", "again", text="With -D: a short line for each, again every second.")
@_flag("-p", "ports", text="With -D: ports everywhere.")
@_flag("-g", "global_only", text="With -DP: those of no interface; all are such.")
@_flag("-t", "interfaces_only", text="With -DP: those of an interface; none is such.")
@_flag("-n", "-N", "nothing", text="Read the statements and change nothing.")
@_flag("-k", "kernel_dialect", text="Policies as they are written: `in` is not for what is forwarded.")
@_flag("-r", "rfc_dialect", text="Write `in` for what is forwarded too, whatever does the packets.")
@_flag("-v", "verbose", text="Tell of each statement as it is done.")
@_flag("-H", "-h", "hexadecimal", text="With -x: accepted; alone: this help.")
@_flag("-V", "version", text="Say which version this is.")
@_flag("--legacy", text="Allow algorithms that RFC 8221 advises against: 3des-cbc, hmac-md5.")
@_flag("--best-effort", text="Do what can be done of a file with mistakes, as other setkeys do.")
@directories
@click.pass_context
def setkey(
    context: click.Context,
    /,
    dumps: tuple[Path, ...],
    global_only: bool,  # noqa: ARG001
    hexadecimal: bool,
    version: bool,
    **options: object,
) -> None:
    """Edit the tables of IPsec by hand: associations (SAD) and policies (SPD), in setkey(8)'s language.

    Nothing of a file is done while anything in it is wrong. Exit 0 when all was done, 1 when not, 2 for wrong usage.
    """
    if version:
        click.echo(f"setkey (culvert) {__version__}")
        return
    asked = Asked(**options)  # type: ignore[arg-type]
    if hexadecimal and not asked.modes():
        click.echo(context.get_help())
        return
    _check(asked, dumps)
    gc.disable()  # 100,000 policies are values without cycles, and the process ends soon
    context.exit(0 if _run(asked) else 1)


def _check(asked: Asked, dumps: tuple[Path, ...]) -> None:
    """Raise UsageError where the options do not fit together."""
    if dumps:
        raise click.UsageError(f"{dumps[0]}: saved messages of PF_KEY are not read; for a file of statements write -f")
    if asked.modes() != 1:
        raise click.UsageError("write one of -f FILE, -c, -D, -F, -x (with -P for policies); --help tells of all")
    if asked.kernel_dialect and asked.rfc_dialect:
        raise click.UsageError("-k and -r exclude each other")


def _run(asked: Asked) -> bool:
    if asked.file is not None or asked.read_input:
        return _statements(asked)
    try:
        return asyncio.run(_with_session(asked, lambda session: _simple(asked, session)))
    except KeyboardInterrupt:
        if asked.monitor or asked.again:
            return True
        raise


def _statements(asked: Asked) -> bool:
    from culvert.cli.setkey_host import STANDARD_INPUT, read_file

    if asked.read_input and sys.stdin.isatty():
        return asyncio.run(_with_session(asked, lambda session: _converse(asked, session)))
    path = asked.file or Path("-")
    parsed = _parsed(asked, read_file(path), STANDARD_INPUT if str(path) == "-" else str(path))
    if parsed.problems and not asked.best_effort:
        click.echo(f"{parsed.source.file}: nothing of it was done", err=True)
        return False
    if asked.nothing:
        return not parsed.problems
    done = asyncio.run(_with_session(asked, lambda session: session.apply(parsed)))
    if not done and not asked.best_effort:
        click.echo(f"{parsed.source.file}: not done", err=True)
    return done and not parsed.problems


def _parsed(asked: Asked, text: str, name: str) -> Parsed:
    """Read statements, and tell what is wrong with them and what will surprise."""
    from culvert.cli.setkey_host import SystemResolver
    from culvert.setkey.parse import parse

    parsed = parse(text, name, SystemResolver(), legacy=asked.legacy)
    for problem in parsed.problems:
        _tell(problem)
    for warning in parsed.warnings:
        click.echo(f"warning: {warning}", err=True)
    return parsed


async def _converse(asked: Asked, session: Session) -> bool:
    """Do each statement as soon as it is complete. Give True where all were done."""
    from culvert.cli.setkey_host import STANDARD_INPUT
    from culvert.setkey.statements import Exit
    from culvert.setkey.words import cut, statements

    good, text = True, ""
    for line in sys.stdin:
        text += line
        if any(text[end - 1] != ";" and cut(text[start:end]) for start, end in statements(text)):
            continue
        parsed = _parsed(asked, text, STANDARD_INPUT)
        good &= not parsed.problems and (asked.nothing or await session.apply(parsed))
        if any(isinstance(statement, Exit) for statement in parsed.statements):
            break
        text = ""
    return good


async def _simple(asked: Asked, session: Session) -> bool:
    """Do what no statements are needed for."""
    from culvert.cli.setkey_monitor import monitor
    from culvert.setkey.parse import Parsed
    from culvert.setkey.source import Source
    from culvert.setkey.statements import FlushAssociations, FlushPolicies

    if asked.monitor:
        await monitor(session.client, session.show, unix_time=asked.monitor > 1)
        return True
    if asked.flush:
        flush = FlushPolicies(0) if asked.policies else FlushAssociations(at=0)
        parsed = Parsed(Source("setkey -F", "flush;"), (flush,), (), ())
        return asked.nothing or await session.apply(parsed)
    if asked.again:
        await _again(session)
    elif not asked.policies:
        await session.dump_associations()
    elif not asked.interfaces_only:
        await session.dump_policies()
    return True


async def _again(session: Session) -> None:
    from culvert.cli.setkey_entries import association_entry
    from culvert.setkey.dumps import render_short

    while True:
        entries = [association_entry(state) for state in await session.client.associations()]
        session.show(render_short(entries, int(time.time())))
        await asyncio.sleep(LOOK_AGAIN_S)


async def _with_session(asked: Asked, act: Callable[[Session], Awaitable[bool]]) -> bool:
    """Connect to the engine, or to the kernel where it does ESP. Raise CulvertError where there is neither."""
    from culvert.cli.setkey_apply import Dialect, Manner, Session
    from culvert.cli.setkey_host import ControlledGateway, moment
    from culvert.wire.netlink.numbers import Groups
    from culvert.xfrm.client import XfrmClient
    from culvert.xfrm.probe import any_plane

    client = await any_plane(run_dir() / ENGINE_SOCKET)
    if asked.monitor and client.backend == "kernel":
        client.close()
        client = XfrmClient.kernel(~Groups.IKE)
    dialect = Dialect.EXACT if asked.kernel_dialect else Dialect.BOTH if asked.rfc_dialect else Dialect.PLAIN
    manner = Manner(dialect, asked.best_effort, asked.everything, asked.ports, asked.verbose)
    try:
        return await act(Session(client, ControlledGateway(run_dir()), _show, _tell, moment, manner))
    finally:
        client.close()


def _show(text: str) -> None:
    click.echo(text, nl=False)


def _tell(problem: Problem) -> None:
    click.echo(str(problem), err=True)
