"""Work that anything may ask for at any moment, and that is done for all who asked meanwhile, a share of the time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from culvert.clock import SECOND, Clock
from culvert.daemon.tasks import Tasks

REST = 9
"""How many times as long as the work took it is left alone after it: with thousands of peers it takes a second."""


class Paced:
    """Runs `work`, holding `lock`, at once where it has rested, else when it has.

    What was asked for before it begins is met by it.
    """

    def __init__(
        self, name: str, work: Callable[[], Awaitable[None]], lock: asyncio.Lock, *, clock: Clock, tasks: Tasks
    ) -> None:
        self._name, self._work, self._lock = name, work, lock
        self._clock, self._tasks = clock, tasks
        self._wanted = self._running = False

    def ask(self) -> None:
        """Have it run once from now on. Nobody waits for it."""
        self._wanted = True
        if not self._running:
            self._running = True
            self._tasks.spawn(self._name, self._run())

    async def _run(self) -> None:
        try:
            while self._wanted:
                async with self._lock:
                    self._wanted, began = False, self._clock.now()
                    await self._work()
                await asyncio.sleep(REST * (self._clock.now() - began) / SECOND)
        except Exception:
            self._tasks.spawn(self._name, self._again())
            raise
        self._running = False

    async def _again(self) -> None:
        """The work failed, by a fault of its own: what was asked for since is not forgotten."""
        await asyncio.sleep(REST)
        await self._run()
