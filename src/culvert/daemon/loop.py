"""The shell around the IKE core: one queue of events, actions in order, one timer.

The core decides and does nothing; here its decisions are executed, one after the other, before the next event is
looked at. So an inbound association stands before the reply leaves that tells the peer of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from culvert.addresses import SocketAddress
from culvert.clock import SECOND, Clock
from culvert.daemon.details import tell_action, tell_event
from culvert.daemon.logging import Journal
from culvert.daemon.paths import Resolver
from culvert.daemon.tasks import Tasks
from culvert.errors import CulvertError
from culvert.ike.actions import (
    Action,
    Checkpoint,
    InstallAssociation,
    Log,
    MoveAssociation,
    PeerChanged,
    RemoveAssociation,
    ResolvePath,
    Transmit,
)
from culvert.ike.events import CalendarSet, DatagramReceived, DeadlineReached, DebugSet, Event, PathFailed, Stop
from culvert.ike.status import PeerStatus
from culvert.ipsec.associations import AssociationId, SecurityAssociation
from culvert.reasons import Drop, Refusal
from culvert.wire.isakmp.header import NO_SPI, SPI_OCTETS

MAX_QUEUED_DATAGRAMS = 1024
"""Datagrams that wait for the core. Beyond, new ones are dropped: peers send theirs again, forgers wait."""
MAX_QUEUED_FIRST_MESSAGES = 128
"""The same for messages that begin an IKE SA: what is handled within a fraction of a second."""
MIN_TIMER_S = 0.001
"""The core's deadlines are not followed more closely than this."""

MAX_CALENDAR_DRIFT_S = 1
"""How far the core's idea of the time of day may be off; the two clocks are read in whole seconds."""


class Core(Protocol):
    """What the shell needs of `ike.endpoint.Endpoint`."""

    def step(self, event: Event, now: int) -> list[Action]: ...

    def deadline(self) -> tuple[int, str] | None: ...

    def status(self, peer: str) -> PeerStatus: ...

    def statuses(self) -> dict[str, PeerStatus]: ...

    def refused(self) -> dict[str, int]: ...


class PacketMover(Protocol):
    """What the core's actions need of the data plane. Each raises CulvertError where it refuses or is gone."""

    async def install(self, association: SecurityAssociation) -> None: ...

    async def remove(self, association: AssociationId) -> None: ...

    async def move(self, before: SecurityAssociation, association: SecurityAssociation) -> None:
        """Give the association `before` the outer addresses and ports of `association`; all else of it stays."""
        ...

    async def transmit(self, local: SocketAddress, remote: SocketAddress, data: bytes) -> None: ...

    def keep(self, key: bytes, data: bytes | None) -> None:
        """Keep octets in memory for a later daemon, before whatever is asked later; None: forget what is there.

        Where they cannot be kept, what was kept under this key is forgotten.
        """
        ...


class Shell:
    """Runs the core until it is told to stop."""

    def __init__(
        self,
        core: Core,
        clock: Clock,
        *,
        mover: PacketMover,
        resolver: Resolver,
        tasks: Tasks,
        journal: Journal,
        on_change: Callable[[str], None] = lambda _peer: None,
        on_path: Callable[[str], None] = lambda _peer: None,
    ) -> None:
        self._core, self._clock, self._mover = core, clock, mover
        self._resolver, self._tasks, self._journal = resolver, tasks, journal
        self._on_change, self._on_path = on_change, on_path
        self._events: deque[tuple[Event, asyncio.Event | None]] = deque()
        self._datagrams: deque[DatagramReceived] = deque()
        self._first_messages: deque[DatagramReceived] = deque()
        self._timer_had_its_turn = False
        self._utc_offset_s: int | None = None
        self._wake = asyncio.Event()
        self._stopped = asyncio.Event()
        self.datagrams_dropped = 0
        journal.topics.watch(lambda topics: self.post(DebugSet(topics)))

    def post(self, event: Event, done: asyncio.Event | None = None) -> None:
        """Queue an event. Datagrams are dropped where too many wait; all else is ours, is kept and goes first.

        `done` is set when all that it led to is done, or nothing is done any more.
        """
        if not isinstance(event, DatagramReceived):
            self._events.append((event, done))
        elif not self._queued(event):
            self.datagrams_dropped += 1
            return
        self._wake.set()

    def _queued(self, event: DatagramReceived) -> bool:
        """Queue a datagram where there is room. A flood of first messages must not push aside who is known."""
        first = event.data[SPI_OCTETS : 2 * SPI_OCTETS] == NO_SPI
        queue, room = (
            (self._first_messages, MAX_QUEUED_FIRST_MESSAGES) if first else (self._datagrams, MAX_QUEUED_DATAGRAMS)
        )
        if len(queue) >= room:
            return False
        queue.append(event)
        return True

    async def perform(self, event: Event) -> None:
        """Queue an event and return when all that it led to is done, or nothing is done any more."""
        if self._stopped.is_set():
            return
        done = asyncio.Event()
        self.post(event, done)
        await done.wait()

    def status(self) -> tuple[PeerStatus, ...]:
        return tuple(self._core.statuses().values())

    def status_of(self, peer: str) -> tuple[PeerStatus, ...]:
        """Give the status of one peer; nothing where there is none of this name."""
        try:
            return (self._core.status(peer),)
        except KeyError:
            return ()

    def refused(self) -> dict[str, int]:
        """Count the IKE messages that were dropped, by reason: by the core, and for want of room before it."""
        counts = self._core.refused()
        if self.datagrams_dropped:
            counts[Drop.IKE_QUEUE_FULL.name] = self.datagrams_dropped
        return counts

    async def run(self) -> None:
        """Handle events until Stop has been handled."""
        while not self._stopped.is_set():
            event, done = await self._next()
            try:
                await self._execute(self._step(event))
            except Exception as error:
                self._journal.bug("An action of the IKE core failed.", error, event=type(event).__name__)
            if done is not None:
                done.set()
            if isinstance(event, Stop):
                self._end()

    def _end(self) -> None:
        self._stopped.set()
        for _, done in self._events:
            if done is not None:
                done.set()

    async def stop(self, within_s: float) -> bool:
        """Let the core say farewell to its peers. Tell whether it could, within the time given."""
        self.post(Stop())
        try:
            async with asyncio.timeout(within_s):
                await self._stopped.wait()
        except TimeoutError:
            return False
        return True

    async def _next(self) -> tuple[Event, asyncio.Event | None]:
        """Give what comes next: a deadline that is due and the queue take turns, so that neither starves."""
        while True:
            wait_s = self._until_deadline()
            if wait_s is not None and wait_s <= 0 and not (self._waiting and self._timer_had_its_turn):
                self._timer_had_its_turn = True
                await asyncio.sleep(0)
                return DeadlineReached(), None
            if self._events:
                self._timer_had_its_turn = False
                return self._events.popleft()
            if queue := self._datagrams or self._first_messages:
                self._timer_had_its_turn = False
                await asyncio.sleep(0)  # whoever floods us must not keep the control socket from being read
                return queue.popleft(), None
            await self._woken(wait_s)

    @property
    def _waiting(self) -> bool:
        return bool(self._events or self._datagrams or self._first_messages)

    def _until_deadline(self) -> float | None:
        deadline = self._core.deadline()
        return None if deadline is None else (deadline[0] - self._clock.now()) / SECOND

    async def _woken(self, within_s: float | None) -> None:
        self._wake.clear()
        if self._waiting:
            return
        try:
            async with asyncio.timeout(within_s and max(within_s, MIN_TIMER_S)):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _step(self, event: Event) -> Iterable[Action]:
        """One mutation of the core. An exception out of it is our bug; it must not take the other peers along."""
        now = self._clock.now()
        if self._journal.topics.on:
            tell_event(self._journal, event)
        try:
            return [*self._calendar(now), *self._core.step(event, now)]
        except Exception as error:
            self._journal.bug("The IKE core failed at an event.", error, event=type(event).__name__)
            return ()

    def _calendar(self, now: int) -> Iterable[Action]:
        """Tell the core the time of day at first, and again where the host's clock was set or the host slept."""
        offset_s = self._clock.utc_s() - now // SECOND
        if self._utc_offset_s is not None and abs(offset_s - self._utc_offset_s) <= MAX_CALENDAR_DRIFT_S:
            return ()
        self._utc_offset_s = offset_s
        return self._core.step(CalendarSet(offset_s), now)

    async def _execute(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if self._journal.topics.on:
                tell_action(self._journal, action)
            try:
                await self._do(action)
            except CulvertError as error:
                self._refused(action, error)

    async def _do(self, action: Action) -> None:
        match action:
            case Transmit():
                await self._mover.transmit(action.local, action.remote, action.data)
            case InstallAssociation():
                await self._mover.install(action.association)
            case MoveAssociation():
                await self._mover.move(action.before, action.association)
            case RemoveAssociation():
                await self._mover.remove(action.id)
            case ResolvePath():
                self._tasks.spawn(f"resolve {action.peer}", self._resolve(action))
            case Checkpoint():
                self._mover.keep(action.lineage_key, action.data)
            case Log():
                self._tell(action)
            case PeerChanged():
                self._on_change(action.peer)

    def _tell(self, action: Log) -> None:
        fields = {"peer": action.peer, "reason": action.reason, **dict(action.fields)}
        if action.topic:
            self._journal.tell(action.topic, action.message, **fields)
        else:
            self._journal.log(action.level, action.message, **fields)

    def _refused(self, action: Action, error: CulvertError) -> None:
        if isinstance(action, InstallAssociation):
            self._journal.error(
                "The data plane refused a security association.", peer=action.peer, child=action.child, error=error
            )
        else:
            self._journal.debug("The data plane refused.", action=type(action).__name__, error=error)

    async def _resolve(self, action: ResolvePath) -> None:
        try:
            async for answer in self._resolver.answers(action.peer, action.addresses):
                self._on_path(action.peer)
                self.post(answer)
        except CulvertError as error:
            self.post(PathFailed(action.peer, Refusal.NO_ROUTE, f"the ways cannot be found: {error}"))
