"""Everything that a network can do to two gateways within so many steps, with so many faults.

What a gateway makes of an input does not depend on the network: each is worked out once for each state of a gateway,
and states of both with the same messages on their way are one, whichever way led there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from culvert.clock import SECOND
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import DatagramReceived, DeadlineReached, Event
from culvert.sim import invariants
from culvert.sim.broken import Broken
from culvert.sim.link import Recorded
from culvert.sim.node import Node
from culvert.sim.play import Builder
from culvert.sim.rest import Pair, unrest
from culvert.sim.snapshots import Copier, CountedEntropy, Digester, Snapshot
from culvert.sim.world import Arrival, Occurs, World, describe

DEPTH, FAULTS = 8, 3
HEALS_NS = 420 * SECOND
"""How long a healed network may need until both ends are at rest; see `script.rest_ns`."""
MOST_REACTIONS = 2_000
"""Reactions of one healing; it takes some dozens."""


class Move(StrEnum):
    """What happens next."""

    DELIVER = "deliver"
    DROP = "drop"
    DUPLICATE = "duplicate"
    TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Choice:
    """A move, and which of the datagrams on their way it is about."""

    move: Move
    arrival: Arrival | None = None

    @property
    def fault(self) -> bool:
        return self.move in (Move.DROP, Move.DUPLICATE)

    def __str__(self) -> str:
        return f"{self.move} {describe(self.arrival.data)}" if self.arrival else str(self.move)


Key = tuple[bytes, ...]


@dataclass(slots=True)
class State:
    """Two gateways and what is on its way between them, in a fixed order. `before` tells how it came to be."""

    ends: tuple[Snapshot, Snapshot]
    flight: tuple[Arrival, ...]
    now: int
    faults: int = 0
    before: tuple[State, Choice, tuple[str, ...]] | None = None

    @property
    def key(self) -> Key:
        """What makes two states one: everything but how they came to be."""
        return (
            *(end.digest for end in self.ends),
            self.now.to_bytes(8, "big"),
            *(arrival.data for arrival in self.flight),
        )

    def story(self) -> list[str]:
        """Tell what led here."""
        if self.before is None:
            return []
        earlier, choice, lines = self.before
        return [*earlier.story(), f"* {choice}", *(f"    {line}" for line in lines)]


@dataclass(slots=True)
class Reaction:
    """What a gateway became by an input, what it sent, and what it said."""

    end: Snapshot
    sent: tuple[Arrival, ...]
    said: tuple[str, ...]


@dataclass(slots=True)
class Explorer:
    """Searches breadth first. `states` and `reactions` are counted; `failure` is the first thing that did not hold."""

    build: Builder = Endpoint
    copier: Copier = field(default_factory=Copier)
    digester: Digester = field(init=False)
    states: int = 0
    healed: int = 0
    _reactions: dict[tuple[bytes, bytes, int], Reaction] = field(default_factory=dict)
    _agreed: dict[tuple[bytes, bytes], None] = field(default_factory=dict)
    _good: dict[Key, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.digester = Digester(self.copier)

    @property
    def reactions(self) -> int:
        return len(self._reactions)

    # --- gateways ---

    def snapshot(self, node: Node, world: World) -> Snapshot:
        """Take a gateway out of a world."""
        kept = self.copier.copied(node)
        return Snapshot(kept, self.copier.copied(world.wire), self._digest(kept))

    def _digest(self, node: Node) -> bytes:
        return self.digester.digest(node)

    def react(self, end: Snapshot, event: Event, now: int, data: bytes = b"") -> Reaction:
        """Let a gateway take an event. Raise Broken. `data` tells events of one kind apart."""
        key = (end.digest, data, now)
        found = self._reactions.get(key) if data else None
        if found is None:
            found = self._reactions[key] = self._worked_out(end, event, now)
        return found

    def _worked_out(self, end: Snapshot, event: Event, now: int) -> Reaction:
        node = self.copier.copied(end.node)
        world = World(Recorded(0, {}), {node.name: node}, build=self.build, draw=drawn, watched=True, now=now)
        world.wire = self.copier.copied(end.wire)
        if isinstance(event, DatagramReceived):
            world.wire.delivered(node.name, event.data)
        world.occur(node, event)
        sent = []
        while planned := world.planned():
            for what in planned:
                if isinstance(what, Occurs):
                    what.happen(world)
                elif isinstance(what, Arrival):
                    sent.append(what)
        return Reaction(Snapshot(node, world.wire, self._digest(node)), tuple(sent), tuple(world.trace))

    # --- both of them ---

    def happen(self, state: State, who: int, event: Event) -> State:
        """Let something happen at one end that is no choice of the network's."""
        return self._after(state, who, self.react(state.ends[who], event, state.now), state.flight)

    def _after(self, state: State, who: int, reaction: Reaction, flight: tuple[Arrival, ...]) -> State:
        ends = (reaction.end, state.ends[1]) if who == 0 else (state.ends[0], reaction.end)
        self._agree(*ends)
        on_their_way = tuple(sorted((*flight, *reaction.sent), key=lambda one: (one.sender, one.data)))
        return State(ends, on_their_way, state.now, state.faults)

    def _agree(self, one: Snapshot, other: Snapshot) -> None:
        if (one.digest, other.digest) not in self._agreed:
            invariants.agree(one.node, other.node)
            invariants.agree(other.node, one.node)
            self._agreed[one.digest, other.digest] = None

    def choices(self, state: State, faults: int) -> Iterator[Choice]:
        """Give all that may happen next; no more faults than `faults` in all."""
        different = {arrival.data: arrival for arrival in state.flight}.values()
        for arrival in different:
            yield Choice(Move.DELIVER, arrival)
        if state.faults < faults:
            for arrival in different:
                yield Choice(Move.DROP, arrival)
                yield Choice(Move.DUPLICATE, arrival)
        if any(end.node.endpoint.deadline() for end in state.ends):
            yield Choice(Move.TIMER)

    def follow(self, state: State, choice: Choice) -> State:
        """Give the state that a choice leads to. Raise Broken where something does not hold there."""
        if choice.arrival is None:
            after, said = self._timer(state)
        elif choice.move is Move.DROP:
            after, said = State(state.ends, _without(state.flight, choice.arrival), state.now, state.faults), ()
        else:
            left = state.flight if choice.move is Move.DUPLICATE else _without(state.flight, choice.arrival)
            after, said = self._deliver(state, choice.arrival, left)
        after.faults, after.before = state.faults + choice.fault, (state, choice, said)
        return after

    def _deliver(self, state: State, arrival: Arrival, left: tuple[Arrival, ...]) -> tuple[State, tuple[str, ...]]:
        who = next((at for at, end in enumerate(state.ends) if end.node.address == arrival.remote.ip), None)
        if who is None:
            return State(state.ends, left, state.now, state.faults), ()
        event = DatagramReceived(arrival.remote, arrival.origin, arrival.data)
        reaction = self.react(state.ends[who], event, state.now, arrival.data)
        return self._after(state, who, reaction, left), reaction.said

    def _timer(self, state: State) -> tuple[State, tuple[str, ...]]:
        due = [(at[0], who) for who, end in enumerate(state.ends) if (at := end.node.endpoint.deadline())]
        instant, who = min(due)
        later = State(state.ends, state.flight, max(instant, state.now), state.faults)
        reaction = self.react(state.ends[who], DeadlineReached(), later.now, b"timer")
        return self._after(later, who, reaction, later.flight), reaction.said

    # --- the search ---

    def explore(self, start: State, depth: int = DEPTH, faults: int = FAULTS) -> str:
        """Try everything from a state on, and heal the network wherever that ends. Give what does not hold, or ""."""
        least: dict[Key, int] = {start.key: start.faults}
        level = [start]
        for _ in range(depth):
            following: dict[Key, State] = {}
            for state in level:
                for choice in self.choices(state, faults):
                    failure = self._try(state, choice, least, following)
                    if failure:
                        return failure
            level = list(following.values())
        self.states += len(least)
        return next((failure for state in level if (failure := self._heal(state))), "")

    def _try(self, state: State, choice: Choice, least: dict[Key, int], following: dict[Key, State]) -> str:
        try:
            after = self.follow(state, choice)
        except Broken as broken:
            return _told(state, choice, broken)
        key = after.key
        if after.faults < least.get(key, FAULTS + 1):
            least[key] = after.faults
            following[key] = after
        return ""

    def _heal(self, state: State) -> str:
        """Deliver everything and let time pass until both ends are at rest; what led to rest before does so again."""
        path: list[Key] = []
        current, until = state, state.now + HEALS_NS
        problem = ""
        for _ in range(MOST_REACTIONS):
            key = current.key
            if key in self._good or (not current.flight and not (problem := _unrest(current))):
                self._good.update(dict.fromkeys([*path, key]))
                self.healed += 1
                return ""
            if current.now > until:
                break
            path.append(key)
            choice = Choice(Move.DELIVER, current.flight[0]) if current.flight else Choice(Move.TIMER)
            try:
                current = self.follow(current, choice)
            except Broken as broken:
                return _told(current, choice, broken)
        return "\n".join((*current.story(), f"no rest after the network healed: {problem}"))


def drawn(seed: int) -> CountedEntropy:
    """Give a gateway's randomness."""
    return CountedEntropy(b"%d" % seed)


def _without(flight: tuple[Arrival, ...], arrival: Arrival) -> tuple[Arrival, ...]:
    at = flight.index(arrival)
    return flight[:at] + flight[at + 1 :]


def _unrest(state: State) -> str:
    nodes = {end.node.name: end.node for end in state.ends}
    pair: Pair = (state.ends[0].node.name, state.ends[1].node.name)
    return unrest(nodes, [pair])


def _told(state: State, choice: Choice, broken: Broken) -> str:
    return "\n".join((*state.story(), f"* {choice}", str(broken)))
