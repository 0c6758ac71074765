"""The lab without root: the program starts itself again in a user namespace in which it is root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from culvert.errors import HostError, Problem
from culvert.network.privilege import FOR_THE_LAB, effective_capabilities
from culvert.network.probe import missing_tun

INSIDE = "CULVERT_LAB_INSIDE"
"""Set in the environment of a program that was started again, so that it is not started a third time."""

_UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--")
_ALLOW = (
    "Run as root, or allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), "
    "sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), sysctl user.max_user_namespaces=10000."
)


def is_privileged() -> bool:
    """Tell whether this process may make namespaces as it is."""
    return set(FOR_THE_LAB) <= effective_capabilities()


def missing() -> tuple[Problem, ...]:
    """Give what stops a lab on this host, each with what to do; empty where it can be built."""
    problems = list(_missing_programs())
    if not is_privileged() and not problems:
        problems += _missing_user_namespaces()
    problems += missing_tun()
    return tuple(problems)


def enter_user_namespace(arguments: Sequence[str] | None = None) -> None:
    """Return at once where this process may build a lab. Else start it again where it may, and do not return.

    `arguments` is the command to start, by default this one. Raise HostError where user namespaces are not allowed.
    """
    if is_privileged():
        return
    if os.environ.get(INSIDE):
        raise HostError(Problem("a user namespace without its privileges", "unshare", _ALLOW))
    problems = [*_missing_programs()] or _missing_user_namespaces()
    if problems:
        raise HostError(problems)
    _execute(arguments if arguments is not None else [sys.executable, *sys.orig_argv[1:]])


def _execute(arguments: Sequence[str]) -> NoReturn:
    command = [*_UNSHARE, sys.executable, "-m", "culvert.lab.inside", *arguments]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvpe(command[0], command, {**os.environ, INSIDE: "1"})  # noqa: S606 - no shell is what we want


def _missing_programs() -> list[Problem]:
    packages = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux"}
    return [
        Problem(f"{program} is not installed", "PATH", f"Install it: apt-get install {package}.")
        for program, package in packages.items()
        if shutil.which(program) is None
    ]


def _missing_user_namespaces() -> list[Problem]:
    done = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    return [Problem(done.stderr.strip() or "refused", "unshare", _ALLOW)] if done.returncode else []
