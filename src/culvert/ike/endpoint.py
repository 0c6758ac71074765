"""The IKE core: events in, actions out. No clock, no socket, no randomness of its own."""

from __future__ import annotations

import traceback

from culvert.entropy import Entropy
from culvert.ike import calling, peering, reporting, roaming
from culvert.ike.actions import Action
from culvert.ike.cookies import Cookies
from culvert.ike.events import (
    Acquired,
    AssociationExpired,
    CalendarSet,
    CheckpointsLost,
    Configured,
    Connect,
    DatagramReceived,
    DeadlineReached,
    DebugSet,
    Disconnect,
    EngineRestarted,
    Event,
    MappingChanged,
    NothingReceived,
    PathFailed,
    PathResolved,
    PathsChanged,
    RekeyRequested,
    Stop,
    UnknownSpi,
)
from culvert.ike.logs import ERROR, IKE
from culvert.ike.status import Census, PeerStatus
from culvert.ike.timers import Key, Timer
from culvert.ike.v2 import (
    anew,
    demands,
    dispatch,
    hints,
    keeping,
    lineages,
    moving,
    runner,
    standing,
    trace,
    unknown_spi,
)
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import IkeSa
from culvert.reasons import Refusal

MAX_ROUNDS = 1_000
"""Outcomes that one event may have; they settle within a handful, and a bug must not turn into a loop."""
_PEER_TIMERS = (Timer.RECONNECT, Timer.NEXT_PATH, Timer.CHILD_CHECK, Timer.SETTLE)


class Endpoint:
    """All IKE SAs of a gateway. One call of `step` is one change with all of its consequences."""

    def __init__(self, entropy: Entropy, now: int) -> None:
        self._ctx = Context(entropy, Cookies(entropy), now)
        self._ctx.limiter.refilled_at = now
        self._stopped = False

    @property
    def state(self) -> Context:
        """All that is held, for those who watch over it and change nothing."""
        return self._ctx

    def step(self, event: Event, now: int) -> list[Action]:
        """Take one event at `now` (nanoseconds); give what is to be done, in that order. Raises nothing."""
        ctx = self._ctx
        ctx.now = max(ctx.now, now)
        if self._stopped and not isinstance(event, Configured | DebugSet | CalendarSet):
            return []
        ctx.touched.clear()
        try:
            self._handle(event)
            self._settle()
        except Exception as error:
            self._contain(event, error)
        if IKE in self._ctx.topics:
            self._tell_departures()
        actions, self._ctx.actions = self._ctx.actions, []
        self._ctx.changes.clear()
        return self._kept_ahead(actions)

    def _kept_ahead(self, actions: list[Action]) -> list[Action]:
        """Where a checkpoint cannot be written, none may stay: the next process would go on from what was before."""
        try:
            return keeping.ahead(self._ctx, actions)
        except Exception as error:
            self._report_bug(error, None)
            actions += self._ctx.actions
            self._ctx.actions = []
            return keeping.all_forgotten(self._ctx) + actions

    def deadline(self) -> tuple[int, str] | None:
        """Give the instant of the next DeadlineReached and what it is for, or None."""
        due = self._ctx.timers.next()
        return (due[0], due[1][0].value) if due else None

    def status(self, peer: str) -> PeerStatus:
        """Give what is known about a peer. Raise KeyError where none is configured under this name."""
        return reporting.status(self._ctx, self._ctx.peers[peer])

    def statuses(self) -> dict[str, PeerStatus]:
        return {name: self.status(name) for name in self._ctx.peers}

    def refused(self) -> dict[str, int]:
        """Count the messages that were dropped, by reason."""
        return {reason.value: count for reason, count in self._ctx.refused.items()}

    def census(self) -> Census:
        """Count what is held."""
        return reporting.census(self._ctx)

    def _handle(self, event: Event) -> None:
        ctx = self._ctx
        match event:
            case DatagramReceived():
                if IKE in ctx.topics:
                    trace.arrival(ctx, event.data, event.local, event.remote, dispatch.find(ctx, event.data))
                dispatch.receive(ctx, event.data, event.local, event.remote)
            case CalendarSet():
                standing.set_calendar(ctx, event.utc_offset_s)
            case DeadlineReached():
                self._deadlines()
            case Configured():
                self._stopped = False
                peering.configure(ctx, event)
            case PathResolved() | PathFailed() | PathsChanged():
                self._found(event)
            case Connect(peer) if peer in ctx.peers:
                peering.connect(ctx, ctx.peers[peer])
            case Disconnect(peer) if peer in ctx.peers:
                peering.disconnect(ctx, ctx.peers[peer])
            case RekeyRequested():
                demands.rekey(ctx, event.peer, event.child, event.ike)
            case (
                Acquired()
                | AssociationExpired()
                | MappingChanged()
                | NothingReceived()
                | UnknownSpi()
                | EngineRestarted()
                | CheckpointsLost()
            ):
                self._told(event)
            case DebugSet(topics):
                ctx.topics = topics
            case Stop():
                self._stop()

    def _found(self, event: PathResolved | PathFailed | PathsChanged) -> None:
        """Take what the host tells of ways to the peers."""
        match event:
            case PathResolved():
                calling.path_resolved(self._ctx, event)
            case PathFailed():
                calling.path_failed(self._ctx, event)
            case PathsChanged():
                roaming.paths_changed(self._ctx, event)

    def _told(
        self,
        event: (
            Acquired
            | AssociationExpired
            | MappingChanged
            | NothingReceived
            | UnknownSpi
            | EngineRestarted
            | CheckpointsLost
        ),
    ) -> None:
        """Take what the data plane tells."""
        match event:
            case Acquired():
                peering.acquired(self._ctx, event)
            case AssociationExpired():
                demands.expired(self._ctx, event.id, event.hard)
            case MappingChanged():
                moving.mapped(self._ctx, event.id, event.remote)
            case NothingReceived():
                hints.nothing_received(self._ctx, event)
            case UnknownSpi():
                unknown_spi.met(self._ctx, event)
            case EngineRestarted():
                anew.all_lost(self._ctx)
            case CheckpointsLost():
                keeping.write_all_again(self._ctx)

    def _deadlines(self) -> None:
        """Do all that is due. What a deadline sets anew lies in the future, so this ends."""
        ctx = self._ctx
        while (key := ctx.timers.pop(ctx.now)) is not None:
            try:
                self._expired(key)
            except Exception as error:
                self._report_bug(error, self._owner(key))

    def _owner(self, key: Key) -> IkeSa | None:
        """Give the IKE SA that a deadline belongs to, if it is one's."""
        timer, owner = key
        named = isinstance(owner, str) and timer not in _PEER_TIMERS
        return self._ctx.sas.get(bytes.fromhex(str(owner))) if named else None

    def _expired(self, key: Key) -> None:
        timer, owner = key
        if timer in _PEER_TIMERS:
            peering.expired(self._ctx, timer, str(owner))
        else:
            runner.expired(self._ctx, timer, owner)

    def _settle(self) -> None:
        """Let outcomes have theirs, and begin what may begin, until nothing is left to do."""
        ctx = self._ctx
        for _ in range(MAX_ROUNDS):
            runner.run(ctx)
            if not ctx.outcomes:
                return
            peering.react(ctx, ctx.outcomes.pop(0))
        raise RuntimeError("an event that does not settle")

    def _stop(self) -> None:
        """Say DELETE to everybody and forget them."""
        farewells = keeping.all_forgotten(self._ctx) + demands.farewell(self._ctx)
        entropy, now, actions = self._ctx.entropy, self._ctx.now, self._ctx.actions
        kept = self._ctx
        self._ctx = Context(entropy, Cookies(entropy), now, actions + farewells, refused=kept.refused)
        self._ctx.utc_offset_s = kept.utc_offset_s
        self._ctx.topics = kept.topics
        self._stopped = True

    def _tell_departures(self) -> None:
        """Debugging must not keep anything from being done."""
        try:
            self._ctx.actions = trace.with_departures(self._ctx, self._ctx.actions)
        except Exception as error:
            self._report_bug(error, None)

    def _contain(self, event: Event, error: Exception) -> None:
        """A bug ends the IKE SA that it met, and nothing else."""
        sa = dispatch.find(self._ctx, event.data) if isinstance(event, DatagramReceived) else None
        self._report_bug(error, sa)
        try:
            self._settle()
        except Exception as second:
            self._ctx.outcomes.clear()
            self._ctx.dirty.clear()
            self._report_bug(second, None)

    def _report_bug(self, error: Exception, sa: IkeSa | None) -> None:
        """Say where it happened, without the values: they may be secrets."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} at {frame.filename.rpartition('/')[2]}:{frame.lineno}"
        self._ctx.log(sa.peer if sa else "", f"a bug of ours: {where}", None, ERROR)
        lineage = self._ctx.lineages.get(sa.lineage) if sa else None
        if lineage is not None:
            lineages.drop(self._ctx, lineage, Refusal.UNEXPECTED_MESSAGE, "ended by a bug of ours")
