"""Options that every command takes, before its name and after it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

RUN_DIR = Path("/run/culvert")
STATE_DIR = Path("/var/lib/culvert")
DEFAULT_FILE = Path("/etc/culvert/gateway.toml")

PATH = click.Path(path_type=Path)


def directories(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --run-dir and --state-dir. What stands after the command's name counts more than what stands before."""

    @click.option(
        "--run-dir", type=PATH, envvar="CULVERT_RUN_DIR", show_envvar=True, help=f"Sockets; default {RUN_DIR}."
    )
    @click.option(
        "--state-dir", type=PATH, envvar="CULVERT_STATE_DIR", show_envvar=True, help=f"Caches; default {STATE_DIR}."
    )
    @functools.wraps(command)
    def wrapped(*args: Any, run_dir: Path | None, state_dir: Path | None, **kwargs: Any) -> Any:
        _remember("run_dir", run_dir)
        _remember("state_dir", state_dir)
        return command(*args, **kwargs)

    return wrapped


def _remember(name: str, given: Path | None) -> None:
    """Keep a directory. One from the environment must not win over one that was typed before the command."""
    context = click.get_current_context()
    known = context.find_root().ensure_object(dict)
    typed = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    if given is not None and (typed or name not in known):
        known[name] = given.absolute()


def run_dir() -> Path:
    """The run directory of the command that runs now."""
    return _directory("run_dir", RUN_DIR)


def state_dir() -> Path:
    """The state directory of the command that runs now."""
    return _directory("state_dir", STATE_DIR)


def _directory(name: str, default: Path) -> Path:
    value = click.get_current_context().find_root().ensure_object(dict).get(name, default)
    return value if isinstance(value, Path) else default


def json_flag(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")(command)
