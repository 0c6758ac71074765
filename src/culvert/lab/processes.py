"""Processes that a lab started: followed by descriptor, so that a number used again is never mistaken."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable

from culvert.lab.names import NETNS_DIRECTORY

PATIENCE_S = 3.0
"""How long a process may take to end when it is asked, before it is made to."""


class Tracked:
    """One process. It may be gone already; then every call does nothing."""

    def __init__(self, pid: int) -> None:
        self._descriptor: int | None = None
        with contextlib.suppress(ProcessLookupError):
            self._descriptor = os.pidfd_open(pid)

    def send(self, number: signal.Signals) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    def wait(self, timeout_s: float) -> bool:
        """Wait until the process has ended; tell whether it has."""
        if self._descriptor is None:
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(max(0, round(timeout_s * 1000))))

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def end(processes: Iterable[Tracked], patience_s: float = PATIENCE_S) -> None:
    """Ask all of them to end, then make those that have not."""
    processes = list(processes)
    for process in processes:
        process.send(signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    for process in processes:
        if not process.wait(deadline - time.monotonic()):
            process.send(signal.SIGKILL)
            process.wait(patience_s)
        process.close()


def inside(namespace: str) -> list[Tracked]:
    """Find the processes of a namespace, whoever started them, save this one."""
    if not (NETNS_DIRECTORY / namespace).exists():
        return []
    listing = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    pids = [int(word) for word in listing.stdout.split()]
    return [Tracked(pid) for pid in pids if pid != os.getpid()]
