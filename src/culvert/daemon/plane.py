"""The packet engine as the gateway's data plane: its process, its control socket, its events in the core's words."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import TypeVar

from culvert.addresses import IPAddress, SocketAddress
from culvert.config.model import Gif
from culvert.daemon.details import SPD, tell_changes
from culvert.daemon.kept import KeptPolicies
from culvert.daemon.logging import Journal
from culvert.daemon.seams import CountedAssociation, DroppedPacket
from culvert.daemon.tasks import Tasks
from culvert.errors import CulvertError
from culvert.ike import events as ike
from culvert.ipsec.associations import AssociationId, Direction, SecurityAssociation
from culvert.ipsec.policies import Policy, is_own
from culvert.plan.desired import MARK, TUN
from culvert.plan.entries import NOBODY, Others
from culvert.wire.netlink.framing import ParseError
from culvert.xfrm import dumped
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.dumped import Dumped
from culvert.xfrm.engine import EngineProcess
from culvert.xfrm.errors import XfrmError, lost
from culvert.xfrm.events import (
    AcquireEvent,
    AssociationsChanged,
    DroppedEvent,
    ExpireEvent,
    IkeDatagram,
    MappingEvent,
    Overrun,
    PathMtuEvent,
    PoliciesChanged,
    SilenceEvent,
    StrayEvent,
)
from culvert.xfrm.events import Event as XfrmEvent
from culvert.xfrm.links import GifLink
from culvert.xfrm.migrations import Move

STOP_S = 5.0
"""How long an engine may take to end by itself."""
KEPT = "policies"
"""Name of the file beside the engine's socket in which the policies of others outlive engine and daemon."""
MANY = 2_000
"""Policies of others from which on they are read beside the event loop."""


class EnginePlane:
    """Drives `culvert-engine` through one connection, made anew each time that it is started."""

    name = "engine"

    def __init__(
        self, socket: Path, tasks: Tasks, journal: Journal, *, log_level: str = "info", log_json: bool = False
    ) -> None:
        self._socket, self._log_level, self._log_json = socket, log_level, log_json
        self._tasks, self._journal = tasks, journal
        self._process: EngineProcess | None = None
        self._client: XfrmClient | None = None
        self._on_event: Callable[[ike.Event], None] = lambda _event: None
        self._on_change: Callable[[], None] = lambda: None
        self._on_path: Callable[[], None] = lambda: None
        self.restored = False
        self._told_not_kept = False
        self._old_keys: dict[str, None] = {}
        self._dumped = Dumped((), ())
        self._unused: list[bytes] = []
        self._kept = KeptPolicies(socket.with_name(KEPT))
        self._applied: tuple[Policy, ...] = ()
        self.others = NOBODY

    async def runs(self) -> bool:
        process = await EngineProcess.attach(self._socket)
        if process is not None:
            process.release()
        return process is not None

    async def recall(self) -> Others:
        if not self._dumped.others and (bodies := await asyncio.to_thread(self._kept.read)):
            self._dumped = _read_parts(bodies)
            self.others, self._unused = await _others(self._dumped), self._dumped.unused
        return self.others

    async def start(
        self, on_event: Callable[[ike.Event], None], on_change: Callable[[], None], on_path: Callable[[], None]
    ) -> bool:
        self._on_event, self._on_change, self._on_path = on_event, on_change, on_path
        await self._bury()
        await self.recall()
        running = await EngineProcess.attach(self._socket)
        self._process = running or await self._spawn()
        self._client = await XfrmClient.connect(self._socket)
        untold = await self._client.subscribe(changes=True, mapping=True, path_mtu=True, strays=True, silence=True)
        if untold:
            self._journal.info("The engine is of a former version and goes on without some hints.", hints=untold.name)
        await self._restore(self._client)
        self._tasks.spawn("read the engine", self._read(self._client))
        return running is not None

    async def _restore(self, client: XfrmClient) -> None:
        """Put the policies of others back into an engine that has none: they were lost with the one before.

        What they protect then meets them, and waits for associations in vain, instead of passing in clear. That
        engine may be one that somebody started and did not live to fill, or is ours.
        """
        lost = self._dumped.others
        if lost and not _read_parts(await client.policy_bodies()).others:
            await client.load_policy_bodies(lost)
            self.restored = True

    async def _spawn(self) -> EngineProcess:
        return await EngineProcess.start(self._socket, TUN, MARK, self._log_level, log_json=self._log_json)

    async def _bury(self) -> None:
        """Let go of the one before. Where its connection ended, so does its process: wait, or its ports stay taken."""
        if self._process is not None and self._client is not None and self._client.closed.done():
            await asyncio.wait([self._process.exited], timeout=STOP_S)
        await self.detach()

    async def apply(self, policies: tuple[Policy, ...]) -> bool:
        client = self._connected()
        self._applied = policies
        found = await self._look()
        present = _read(lambda: found.present(policies))
        changed = any(is_own(policy) is False for policy in present) or set(present) != set(policies)
        if changed and SPD in self._journal.topics.on:
            tell_changes(self._journal, SPD, map(_policy_line, present), map(_policy_line, policies))
        if changed:
            self._tell_of_taken(await client.replace_policies(policies, present))
            await self._look()
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

    async def look(self) -> Others:
        await self._look()
        return self.others

    async def _look(self) -> Dumped:
        """Dump the SPD, and read the policies of others where they are others than before."""
        bodies = await self._connected().policy_bodies()
        found = _read_parts(bodies)
        if found.unused != self._unused:
            self.others = await _others(found)
            await asyncio.to_thread(self._kept.write, found.others)
            self._unused = found.unused
        self._dumped = found
        return found

    def _tell_of_taken(self, policies: list[Policy]) -> None:
        for policy in policies:
            self._journal.warning(
                "A policy that others wrote had the place of one of the configuration, which now has it.",
                direction=policy.direction.value,
                selector=str(policy.selector),
            )

    async def associations(self) -> tuple[CountedAssociation, ...]:
        return tuple(
            CountedAssociation(
                state.id,
                state.reqid,
                state.octets,
                state.packets,
                {drop.name: count for drop, count in state.drops.items()},
                state.direction,
            )
            for state in await self._connected().associations()
        )

    async def path_mtus(self) -> dict[IPAddress, int]:
        return await self._connected().path_mtus()

    async def drops(self) -> dict[str, int]:
        return {drop.name: count for drop, count in (await self._connected().counters()).items()}

    async def dropped(self) -> AsyncGenerator[DroppedPacket, None]:
        """The connection is one of its own: what is told goes on as long as somebody reads it."""
        client = await XfrmClient.connect(self._socket)
        try:
            await client.subscribe(acquire=False, expire=False, ike=False, drops=True)
            async for event in client.events():
                if isinstance(event, DroppedEvent):
                    yield _dropped(event)
        finally:
            client.close()

    async def install(self, association: SecurityAssociation) -> None:
        await self._connected().add_association(association)

    async def move(self, before: SecurityAssociation, association: SecurityAssociation) -> None:
        ends, new = (before.source, before.destination), (association.source, association.destination)
        if ends == new:
            await self._connected().update_association(association)
            return
        policy = next((one for one in self._applied if _names(one, association)), None)
        if policy is not None:
            move = Move(*ends, *new, association.reqid, association.protocol, association.mode)
            await self._connected().migrate(policy, [move], association.encapsulation)

    async def remove(self, association: AssociationId) -> None:
        await self._connected().delete_association(association)

    async def transmit(self, local: SocketAddress, remote: SocketAddress, data: bytes) -> None:
        await self._connected().send_ike(local, remote, data)

    def keep(self, key: bytes, data: bytes | None) -> None:
        self._old_keys.pop(key.decode("ascii"), None)
        self._connected().keep(key.decode("ascii"), data, self._not_kept)

    def _not_kept(self, error: XfrmError) -> None:
        """Say it once: every message of every peer may meet the same refusal."""
        if not self._told_not_kept:
            self._told_not_kept = True
            self._journal.warning("The engine keeps no more IKE SAs for a later daemon.", error=error)

    async def checkpoints(self) -> list[bytes]:
        blobs = await self._connected().blobs()
        self._old_keys = dict.fromkeys(blobs)
        return list(blobs.values())

    async def forget_old_checkpoints(self) -> None:
        keys, self._old_keys = self._old_keys, {}
        for key in keys:
            self._connected().keep(key, None, self._not_kept)

    async def lost(self) -> None:
        await asyncio.wait([self._connected().closed])

    async def detach(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._process is not None:
            self._process.release()
        self._client = self._process = None

    async def forget(self) -> None:
        self._kept.forget()

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
                self._on_event(_acquired(event))
            case ExpireEvent():
                self._on_event(ike.AssociationExpired(event.id, event.hard))
            case MappingEvent():
                self._on_event(ike.MappingChanged(event.id, event.new))
            case StrayEvent():
                self._on_event(ike.UnknownSpi(event.local, event.remote, event.protocol, event.spi))
            case AssociationsChanged(flushed=True):
                self._on_event(ike.EngineRestarted())
            case AssociationsChanged(gone=AssociationId() as gone):
                # Of those that IKE let go itself, the core knows nothing any more.
                self._on_event(ike.AssociationExpired(gone, hard=True))
            case PoliciesChanged():
                self._on_change()
            case SilenceEvent(id_, sending):
                self._on_event(ike.NothingReceived(id_, sending))
            case PathMtuEvent():
                self._on_path()
            case Overrun():
                # Many policies written at once come to this. What is kept of the tables is looked up anew.
                self._journal.info("The engine's messages came faster than they were read; some are lost.")
                self._on_change()
            case _:
                pass


def _acquired(event: AcquireEvent) -> ike.Acquired:
    ports = event.source_port, event.destination_port
    return ike.Acquired(event.reqid, event.source, event.destination, event.protocol, *ports)


def _dropped(event: DroppedEvent) -> DroppedPacket:
    source, destination = (str(end if end.port else end.ip) for end in (event.source, event.destination))
    direction = Direction.IN if event.inbound else Direction.OUT
    return DroppedPacket(event.reason, direction, source, destination, event.protocol, event.octets, event.spi or None)


def _link(gif: Gif) -> GifLink | None:
    outer = gif.outer
    return GifLink(gif.name, outer.local, outer.remote, ecn_friendly=gif.ecn) if outer else None


def _policy_line(policy: Policy) -> str:
    what = "protect" if policy.templates else str(policy.action)
    return f"policy {what} {policy.direction.value} {policy.selector}"


def _names(policy: Policy, association: SecurityAssociation) -> bool:
    """Tell whether a policy finds this association by its reqid."""
    reqids = [template.reqid for template in policy.templates]
    return policy.direction is association.direction and association.reqid in reqids


async def _others(found: Dumped) -> Others:
    if len(found.others) < MANY:
        return _read(lambda: dumped.read_others(found.others))
    return await asyncio.to_thread(_read, lambda: dumped.read_others(found.others))


def _read_parts(bodies: Iterable[bytes]) -> Dumped:
    return _read(lambda: dumped.part(bodies))


_T = TypeVar("_T")


def _read(reading: Callable[[], _T]) -> _T:
    """Read what the engine said. Raise XfrmError where it cannot be read: engine and daemon then differ in version."""
    try:
        return reading()
    except ParseError as error:
        raise XfrmError(errno.EPROTO, f"the engine's policies cannot be read: {error}") from error
