"""Runs a command inside the user namespace: `python -m culvert.lab.inside COMMAND...`.

/run is replaced by an empty one, because namespaces get their names there and the real one is root's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NoReturn


def main(arguments: list[str]) -> int:
    """Prepare the mount namespace and become the command. Give 1 where that is refused, 2 for wrong usage."""
    if not arguments:
        print("usage: python -m culvert.lab.inside COMMAND...", file=sys.stderr)
        return 2
    for command in (["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"], ["ip", "link", "set", "lo", "up"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{' '.join(command)}: {done.stderr.strip()}", file=sys.stderr)
            return 1
    return _become(arguments)


def _become(arguments: list[str]) -> NoReturn:
    os.execvp(arguments[0], arguments)  # noqa: S606 - no shell is what we want


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
