"""Kernel settings, and the one thing that has to be remembered: what they were before.

The memory is a small JSON file in the state directory. It is written before the setting is changed, and a setting is
put back only where it still is as we left it: what somebody else changed since is theirs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from culvert.errors import HostError, Problem
from culvert.plan.desired import Sysctl

MEMORY = "sysctls.json"
_PROC = Path("/proc/sys")
_MOST_OCTETS = 1 << 20
_SWAP = str.maketrans("./", "/.")


class Remembered(NamedTuple):
    """What a setting was before us, and what we made of it."""

    before: str
    ours: str


def path_of(name: str) -> Path:
    """Give the file of a setting. As with sysctl(8), a dot inside an interface's name is written as a slash."""
    path = _PROC / name.translate(_SWAP)
    if ".." in path.parts:
        raise HostError(Problem("this is no kernel setting", name, "Write it as sysctl(8) prints it."))
    return path


def observe(name: str) -> str | None:
    """Give the setting as it is, None where this kernel has none of that name."""
    try:
        return _normal(path_of(name).read_text())
    except OSError:
        return None


def apply(wanted: Iterable[Sysctl], state_directory: Path, *, keep: Iterable[Sysctl] = ()) -> bool:
    """Set what differs, and put back what we set earlier and is no longer wanted; tell whether anything changed.

    `keep` is wanted as well, but not now: the settings of a TUN that is not there yet. Raise HostError, naming all that
    could not be set.
    """
    wanted = tuple(wanted)
    memory = _load(state_directory)
    changed = _restore(memory, keep={setting.name for setting in (*wanted, *keep)}, state_directory=state_directory)
    problems: list[Problem] = []
    for setting in wanted:
        found = observe(setting.name)
        if found is not None and found == _normal(setting.value):
            continue
        if found is not None:
            before = memory[setting.name].before if setting.name in memory else found
            memory[setting.name] = Remembered(before, _normal(setting.value))
            _save(memory, state_directory)
        problems += _write(setting)
        changed = True
    if problems:
        raise HostError(problems)
    return changed


def sweep(state_directory: Path) -> None:
    """Put everything back that is still as we set it, and forget it."""
    _restore(_load(state_directory), keep=set(), state_directory=state_directory)


def _restore(memory: dict[str, Remembered], keep: set[str], state_directory: Path) -> bool:
    forgotten = [name for name in memory if name not in keep]
    for name in reversed(forgotten):
        remembered = memory.pop(name)
        if observe(name) == remembered.ours:
            _write(Sysctl(name, remembered.before))
    if forgotten:
        _save(memory, state_directory)
    return bool(forgotten)


def _write(setting: Sysctl) -> list[Problem]:
    try:
        path_of(setting.name).write_text(f"{setting.value}\n")
    except OSError as error:
        return [
            Problem(
                f"cannot be set to {setting.value}: {error.strerror}",
                f"sysctl {setting.name}",
                "Run as root; in a container, let the host set it (docker run --sysctl).",
            )
        ]
    return []


def _normal(value: str) -> str:
    return " ".join(value.split())


def _load(state_directory: Path) -> dict[str, Remembered]:
    """Read the memory. One that cannot be read is no memory: then nothing is put back."""
    try:
        with (state_directory / MEMORY).open("rb") as file:
            entries = json.loads(file.read(_MOST_OCTETS))
        return {
            name: Remembered(entry["before"], entry["ours"])
            for name, entry in entries.items()
            if isinstance(entry["before"], str) and isinstance(entry["ours"], str)
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _save(memory: dict[str, Remembered], state_directory: Path) -> None:
    path = state_directory / MEMORY
    try:
        if not memory:
            path.unlink(missing_ok=True)
            return
        state_directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps({name: entry._asdict() for name, entry in memory.items()}, indent=1) + "\n")
        os.replace(new, path)  # noqa: PTH105 - says what it is: atomic
    except OSError as error:
        raise HostError(
            Problem(f"cannot be written: {error.strerror}", str(path), "Choose another --state-dir.")
        ) from error
