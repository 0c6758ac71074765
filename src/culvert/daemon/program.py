"""The daemon as a program: lock, wiring, signals, and its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from culvert.daemon.gateway import Gateway
from culvert.daemon.locking import RunLock, prepare_run_dir
from culvert.daemon.logging import Journal
from culvert.daemon.parts import Ending, Parts, take_down
from culvert.daemon.server import Server
from culvert.daemon.service import Service
from culvert.daemon.supervision import Supervisor
from culvert.errors import CulvertError


@dataclass(frozen=True, slots=True)
class Options:
    """What `culvert up` was told."""

    run_dir: Path
    state_dir: Path = Path("/var/lib/culvert")
    file: Path = Path("/etc/culvert/gateway.toml")
    log_level: str = "info"
    log_json: bool = False


def run(
    options: Options, journal: Journal, build: Callable[[Options, Journal], Parts], on_ready: Callable[[], None]
) -> None:
    """Be the gateway until it is told to end. Raise CulvertError where it cannot be; then nothing is left of it."""
    prepare_run_dir(options.run_dir)
    with RunLock(options.run_dir):
        asyncio.run(Program(options, journal, build(options, journal), on_ready).run())


def sweep(
    options: Options, journal: Journal, build: Callable[[Options, Journal], Parts], *, closed: bool = False
) -> bool:
    """Take away what a daemon that is no more left on the host. Tell whether there was anything."""
    if not options.run_dir.is_dir():
        return False
    with RunLock(options.run_dir):
        return asyncio.run(_sweep(build(options, journal), closed))


async def _sweep(parts: Parts, closed: bool) -> bool:
    if not await parts.network.remains() and not await parts.data_plane.runs():
        return False
    await take_down(parts, Ending.CLOSED if closed else Ending.OPEN)
    return True


class Program:
    """One run of the daemon."""

    def __init__(self, options: Options, journal: Journal, parts: Parts, on_ready: Callable[[], None]) -> None:
        self._parts, self._journal, self._on_ready = parts, journal, on_ready
        self._gateway = Gateway(parts, options.file)
        self._server = Server(options.run_dir, Service(self._gateway, self.end).handle, journal)
        self._asked: asyncio.Queue[Ending] = asyncio.Queue()
        self._ended = asyncio.Event()

    async def end(self, ending: Ending) -> None:
        """Ask for the end and return when everything that is to go is gone."""
        self._asked.put_nowait(ending)
        await self._ended.wait()

    async def run(self) -> None:
        """Start, serve, end. Raise CulvertError where the start failed."""
        self._listen_to_signals()
        if not await self._started():
            return
        try:
            await self._server.start()
            Supervisor(self._gateway, self._parts).start()
            self._say_ready()
            ending = await self._asked.get()
            await self._gateway.stop(ending)
        finally:
            self._ended.set()
            await self._server.stop()

    def _say_ready(self) -> None:
        gateway = self._gateway.applied.gateway
        self._journal.info("The gateway is ready.", gateway=gateway.name, peers=len(gateway.peers))
        self._parts.manager.ready()
        self._on_ready()

    async def _started(self) -> bool:
        """Start the gateway; a signal meanwhile takes the start back."""
        start = self._parts.tasks.spawn("start", self._gateway.start(), awaited=True)
        asked = self._parts.tasks.spawn("asked to end", self._asked_to_end(), awaited=True)
        await asyncio.wait({start, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not start.done():
            start.cancel()
        asked.cancel()
        try:
            await start
        except asyncio.CancelledError:
            return False
        return True

    async def _asked_to_end(self) -> None:
        """Wait for a wish to end, and leave it where it was, for whoever comes next."""
        self._asked.put_nowait(await self._asked.get())

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._stray)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked.put_nowait, Ending.OPEN)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)

    def _reload_soon(self) -> None:
        self._parts.tasks.spawn("reload", self._reload())

    async def _reload(self) -> None:
        self._parts.manager.reloading(self._parts.clock.now())
        try:
            await self._gateway.reload()
        except CulvertError as error:
            for problem in error.problems:
                self._journal.error(problem.what, where=problem.where, what_to_do=problem.what_to_do)
            self._journal.error("The configuration stays as it was.")
        self._parts.manager.ready()

    def _stray(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException):
            self._journal.bug("Something failed where nobody waited for it.", error)
        else:
            self._journal.error("Something failed where nobody waited for it.", error=context.get("message"))
