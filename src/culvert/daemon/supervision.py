"""What keeps the gateway as it should be: the engine back on its feet, and what others took from the host put back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from culvert.clock import SECOND
from culvert.daemon.drop_watch import DropWatch
from culvert.daemon.gateway import Gateway
from culvert.daemon.parts import Parts, Phase
from culvert.errors import CulvertError

FIRST_RETRY_S = 0.1
LAST_RETRY_S = 10.0
SETTLE_S = 0.05
"""How long a burst of changes on the host may last before it is looked at: one repair for all of them."""
REASSERT_S = 60.0
"""How often everything is compared anyway, for what nobody announced."""
MEASURE_S = 10.0
"""How often the ways to the peers are measured anyway. Changes of routes are told, and what routers say of our own
packets the engine tells at once."""
MEASURED_SHARE = 20
"""How many times as long as it took nothing is measured."""
REPAIR_SHARE = 1
"""The same of looking whether all of ours stands: each change of our own asks for that, too."""


class Supervisor:
    """Watches the engine and the host while the gateway is ready."""

    def __init__(self, gateway: Gateway, parts: Parts) -> None:
        self._gateway, self._parts = gateway, parts
        self._journal = parts.journal

    def start(self) -> None:
        self._parts.tasks.spawn("watch the engine", self._watch_engine())
        self._parts.tasks.spawn("watch the host", self._watch_host())
        self._parts.tasks.spawn("watch the policies", self._watch_policies())
        self._parts.tasks.spawn("compare now and then", self._compare())
        self._parts.tasks.spawn("measure the paths", self._measure_paths())
        drops = DropWatch(self._parts.data_plane, self._gateway.peers, self._journal)
        self._parts.tasks.spawn("watch the drops", drops.run())
        self._parts.tasks.spawn("show dropped packets", drops.show())

    async def _watch_engine(self) -> None:
        """The socket's end is the engine's end. The fence stands meanwhile, and the routes lead nowhere."""
        while True:
            await self._parts.data_plane.lost()
            self._gateway.engine_lost()
            self._journal.error("The packet engine is lost; nothing passes until it is back.")
            if await self._restart_engine():
                self._journal.warning("The packet engine runs again; the peers are asked for new keys.")
            else:
                self._journal.warning("The packet engine is found again, with all that it held.")

    async def _restart_engine(self) -> bool:
        waits = _waits()
        while True:
            try:
                return await self._gateway.restart_engine()
            except CulvertError as error:
                wait_s = next(waits)
                self._journal.error("The packet engine could not be started.", error=error, next_try_in_s=wait_s)
                await asyncio.sleep(wait_s)

    async def _watch_host(self) -> None:
        """Our own repairs are announced as well; the look that follows them finds nothing to do."""
        async for change in self._parts.network.changes():
            if change.ways or change.addresses:
                self._gateway.paths_changed.set()
            await asyncio.sleep(SETTLE_S)
            began = self._parts.clock.now()
            if change.addresses:
                await self._gateway.replan_quietly()
            if change.ours:
                await self._repair()
            await asyncio.sleep(REPAIR_SHARE * (self._parts.clock.now() - began) / SECOND)

    async def _watch_policies(self) -> None:
        while True:
            await self._gateway.policies_changed.wait()
            self._gateway.policies_changed.clear()
            await asyncio.sleep(SETTLE_S)
            await self._repair()

    async def _compare(self) -> None:
        while True:
            await asyncio.sleep(REASSERT_S)
            await self._repair()

    async def _measure_paths(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MEASURE_S):
                    await self._gateway.paths_changed.wait()
            await asyncio.sleep(SETTLE_S)
            self._gateway.paths_changed.clear()
            began = self._parts.clock.now()
            await self._gateway.measure()
            # A router whose routes change all the time is not to be measured all the time.
            await asyncio.sleep(MEASURED_SHARE * (self._parts.clock.now() - began) / SECOND)

    async def _repair(self) -> None:
        if self._gateway.phase is not Phase.READY:
            return
        try:
            if await self._gateway.reassert():
                self._journal.warning("Something of ours was changed by others, and is put back.")
        except CulvertError as error:
            self._journal.error("What is missing on the host could not be put back.", error=error)


def _waits() -> Iterator[float]:
    wait_s = FIRST_RETRY_S
    while True:
        yield wait_s
        wait_s = min(wait_s * 2, LAST_RETRY_S)
