"""The packet engine as the gateway's data plane: its process, its control socket, its events in the core's words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from culvert.addresses import SocketAddress
from culvert.config.model import Gif
from culvert.daemon.logging import Journal
from culvert.daemon.seams import CountedAssociation
from culvert.daemon.tasks import Tasks
from culvert.errors import CulvertError
from culvert.ike import events as ike
from culvert.ipsec.associations import AssociationId, SecurityAssociation
from culvert.ipsec.policies import Policy
from culvert.plan.desired import MARK, TUN
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.engine import EngineProcess
from culvert.xfrm.errors import lost
from culvert.xfrm.events import AcquireEvent, ExpireEvent, IkeDatagram, Overrun, PoliciesChanged
from culvert.xfrm.events import Event as XfrmEvent
from culvert.xfrm.links import GifLink

STOP_S = 5.0
"""How long an engine may take to end by itself."""


class EnginePlane:
    """Drives `culvert-engine` through one connection, made anew each time that it is started."""

    name = "engine"

    def __init__(self, socket: Path, tasks: Tasks, journal: Journal) -> None:
        self._socket = socket
        self._tasks, self._journal = tasks, journal
        self._process: EngineProcess | None = None
        self._client: XfrmClient | None = None
        self._on_event: Callable[[ike.Event], None] = lambda _event: None
        self._on_change: Callable[[], None] = lambda: None

    async def runs(self) -> bool:
        process = await EngineProcess.attach(self._socket)
        if process is not None:
            process.release()
        return process is not None

    async def start(self, on_event: Callable[[ike.Event], None], on_change: Callable[[], None]) -> bool:
        self._on_event, self._on_change = on_event, on_change
        await self._bury()
        running = await EngineProcess.attach(self._socket)
        self._process = running or await EngineProcess.start(self._socket, TUN, MARK)
        self._client = await XfrmClient.connect(self._socket)
        await self._client.subscribe(changes=True)
        self._tasks.spawn("read the engine", self._read(self._client))
        return running is not None

    async def _bury(self) -> None:
        """Let go of the one before. Where its connection ended, so does its process: wait, or its ports stay taken."""
        if self._process is not None and self._client is not None and self._client.closed.done():
            await asyncio.wait([self._process.exited], timeout=STOP_S)
        await self.detach()

    async def apply(self, policies: tuple[Policy, ...]) -> bool:
        client = self._connected()
        before = await client.policies()
        changed = set(before) != set(policies)
        if changed:
            await client.replace_policies(policies)
        await client.barrier()
        return changed

    async def apply_links(self, gifs: tuple[Gif, ...]) -> bool:
        client = self._connected()
        wanted = {gif.name: link for gif in gifs if (link := _link(gif)) is not None}
        standing = {link.name: link for link in await client.gifs()}
        for name in standing.keys() - wanted.keys():
            await client.delete_gif(name)
        missing = [link for name, link in wanted.items() if standing.get(name) != link]
        for link in missing:
            await client.set_gif(link)
        return bool(missing) or bool(standing.keys() - wanted.keys())

    async def associations(self) -> tuple[CountedAssociation, ...]:
        return tuple(
            CountedAssociation(
                state.id,
                state.reqid,
                state.octets,
                state.packets,
                {drop.name: count for drop, count in state.drops.items()},
            )
            for state in await self._connected().associations()
        )

    async def drops(self) -> dict[str, int]:
        return {drop.name: count for drop, count in (await self._connected().counters()).items()}

    async def install(self, association: SecurityAssociation) -> None:
        await self._connected().add_association(association)

    async def remove(self, association: AssociationId) -> None:
        await self._connected().delete_association(association)

    async def transmit(self, local: SocketAddress, remote: SocketAddress, data: bytes) -> None:
        await self._connected().send_ike(local, remote, data)

    async def lost(self) -> None:
        await asyncio.wait([self._connected().closed])

    async def detach(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._process is not None:
            self._process.release()
        self._client = self._process = None

    async def shut_down(self) -> None:
        process = await EngineProcess.attach(self._socket) or self._process
        if process is None or process.exited.done():
            return
        try:
            async with asyncio.timeout(STOP_S):
                await self._ask_to_end()
                await asyncio.shield(process.exited)
        except TimeoutError:
            self._journal.warning("The engine does not end by itself and is made to.", process=process.pid)
            await process.stop()

    async def _ask_to_end(self) -> None:
        """Ask politely. Where nobody listens any more, it is ending already; whoever waits for its end sees that."""
        try:
            client = self._client
            if client is None or client.closed.done():
                client = await XfrmClient.connect(self._socket)
            await client.shutdown()
        except CulvertError as error:
            self._journal.debug("The engine could not be asked to end.", error=error)

    def _connected(self) -> XfrmClient:
        if self._client is None:
            raise lost("the engine is not running")
        return self._client

    async def _read(self, client: XfrmClient) -> None:
        async for event in client.events():
            self._tell(event)

    def _tell(self, event: XfrmEvent) -> None:
        match event:
            case IkeDatagram():
                self._on_event(ike.DatagramReceived(event.local, event.remote, event.data))
            case AcquireEvent():
                self._on_event(ike.Acquired(event.reqid, event.source, event.destination, event.protocol))
            case ExpireEvent():
                self._on_event(ike.AssociationExpired(event.id, event.hard))
            case PoliciesChanged():
                self._on_change()
            case Overrun():
                self._journal.warning("The engine's messages came faster than they were read; some are lost.")
                self._on_change()
            case _:
                pass


def _link(gif: Gif) -> GifLink | None:
    outer = gif.outer
    return GifLink(gif.name, outer.local, outer.remote, ecn_friendly=gif.ecn) if outer else None
