"""One gateway per run directory: a lock on its pid file, which ends with the process that holds it."""

from __future__ import annotations

import fcntl
import grp
import os
from pathlib import Path
from types import TracebackType

from culvert.errors import HostError, Problem

PID_FILE = "culvert.pid"
GROUP = "culvert"
"""Members may ask for the status."""


def prepare_run_dir(run_dir: Path) -> None:
    """Make the run directory, for us and the group where there is one. Raise HostError."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o755)
        group = group_id()
        if group is not None and os.geteuid() == 0 and run_dir.stat().st_gid != group:
            os.chown(run_dir, -1, group)
    except OSError as error:
        raise HostError(
            Problem(
                f"the run directory cannot be made: {error.strerror}", str(run_dir), "Run as root, or say --run-dir."
            )
        ) from None


def group_id() -> int | None:
    """Give the number of the group whose members may ask for the status; None where the host has none."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


class RunLock:
    """Held from `acquire` until `release` or the end of the process."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / PID_FILE
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and write our process number. Raise HostError where another gateway has it."""
        descriptor = self._locked()
        while not _same_file(descriptor, self._path):  # its holder ended and removed it meanwhile
            os.close(descriptor)
            descriptor = self._locked()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def _locked(self) -> int:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise HostError(Problem(f"no pid file: {error.strerror}", str(self._path), "Run as root.")) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise HostError(self._taken()) from None
        return descriptor

    def release(self, *, remove: bool = True) -> None:
        """Give the lock back. The file goes first, so that nobody finds a stale one."""
        if self._descriptor is None:
            return
        if remove:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def __enter__(self) -> RunLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _taken(self) -> Problem:
        try:
            holder = self._path.read_text().strip()
        except OSError:
            holder = ""
        who = f"process {holder}" if holder.isdecimal() else "another process"
        return Problem(
            f"a gateway runs here already ({who})",
            str(self._path.parent),
            "Use it (`culvert status`, `culvert reload`), end it (`culvert down`), or say another --run-dir.",
        )


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
