"""A ping that goes on through whatever happens, and tells when its answers came."""

from __future__ import annotations

import itertools
import re
import subprocess
import threading
import time
from types import TracebackType

from culvert.lab.host import Host

INTERVAL_S = 0.1


class Pinger:
    """Pings from a host ten times a second until the block ends. Instants are those of time.time()."""

    def __init__(self, host: Host, to: str) -> None:
        command = ["ping", "-n", "-D", "-i", str(INTERVAL_S), "-W", "1", to]
        self._process = host.start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._answers: list[float] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="read ping", daemon=True)
        self._reader.start()

    def __enter__(self) -> Pinger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            if found := re.match(r"\[(\d+\.\d+)\] \d+ bytes from", line):
                with self._more:
                    self._answers.append(float(found[1]))
                    self._more.notify_all()

    def answered_after(self, instant: float, within_s: float) -> float | None:
        """Give when the first answer after an instant came; None where none came within so many seconds of it."""
        with self._more:
            self._more.wait_for(lambda: self._first(instant), max(0.0, instant + within_s - time.time()))
            return self._first(instant)

    def _first(self, instant: float) -> float | None:
        return next((at for at in self._answers if at > instant), None)

    def longest_gap(self, since: float) -> float:
        """Give the longest time without an answer since an instant, up to now."""
        with self._more:
            instants = [since, *(at for at in self._answers if at > since), time.time()]
        return max(later - earlier for earlier, later in itertools.pairwise(instants))
