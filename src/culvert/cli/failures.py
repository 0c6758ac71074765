"""How a command that failed says so: what, where, what to do; never a traceback."""

from __future__ import annotations

import os
import sys

import click

from culvert.errors import CulvertError

DEBUG = "CULVERT_DEBUG"
"""Set in the environment, it shows the traceback of an unexpected failure."""
NOT_GOOD = 1
WRONG_USAGE = 2
INTERRUPTED = 130
"""What shells expect after Ctrl-C: 128 and SIGINT's number."""


class WordsError(CulvertError):
    """Wrong usage: the words of a command make no sense, whatever the host is like."""


def exit_code_of(error: BaseException) -> int:
    """Say on standard error what went wrong, and give the exit code."""
    match error:
        case SystemExit():
            code = error.code if isinstance(error.code, int) else NOT_GOOD
        case click.exceptions.Exit():
            code = error.exit_code
        case click.ClickException():
            error.show()
            code = error.exit_code
        case CulvertError():
            say(error)
            code = WRONG_USAGE if isinstance(error, WordsError) else NOT_GOOD
        case KeyboardInterrupt() | click.Abort():
            code = INTERRUPTED
        case BrokenPipeError():
            code = _reader_gone()
        case _:
            code = _unexpected(error)
    return code


def say(error: CulvertError) -> None:
    """Print all problems of an error."""
    for problem in error.problems:
        click.echo(f"culvert: {problem}", err=True)


def _reader_gone() -> int:
    """Whoever read our output left; nothing is to be written any more, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return NOT_GOOD


def _unexpected(error: BaseException) -> int:
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "?"
    kind, detail = type(error).__name__, str(error).replace("\n", " ")
    click.echo(f"culvert: an unexpected failure, please report it: {kind} at {where}: {detail}", err=True)
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    else:
        click.echo(
            f"    The whole of it: {DEBUG}=1. What the gateway does is in its log, RUN_DIR/culvert.log.", err=True
        )
    return NOT_GOOD
