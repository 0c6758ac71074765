"""The one place where tasks are born: each has a name, none is forgotten, no failure goes unsaid."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from culvert.daemon.logging import Journal


class Tasks:
    """The tasks of the daemon."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, name: str, work: Coroutine[Any, Any, None], *, awaited: bool = False) -> asyncio.Task[None]:
        """Run `work` beside everything else. What it raises is logged, unless somebody awaits the task and gets it."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard if awaited else self._ended)
        return task

    async def cancel_all(self) -> None:
        """End all of them but the caller's own."""
        tasks = [task for task in self._running if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._journal.bug("A task of the daemon failed.", error, task=task.get_name())
