"""Where the explorer begins: two gateways in the middle of what is hard to get right."""

from __future__ import annotations

from dataclasses import dataclass, replace

from culvert.clock import SECOND
from culvert.config.model import Start
from culvert.ike.events import Configured, Connect, Disconnect, Event, RekeyRequested
from culvert.ike.v2.context import Context
from culvert.sim.explorer import Choice, Explorer, Move, State, drawn, unrest_of
from culvert.sim.link import MILLISECOND, Recorded
from culvert.sim.pair import peer
from culvert.sim.rest import unrest
from culvert.sim.world import World, kind_of

LATENCY = 10 * MILLISECOND
NAMES = ("west", "east")
ADDRESSES = ("203.0.113.1", "198.51.100.1")
NETWORKS = ("10.1.0.0/16", "10.2.0.0/16")
CALM_NS = 2 * SECOND


@dataclass(frozen=True, slots=True)
class Beginning:
    """`set_up`: whether there is a tunnel already, which the first of `roles` called for. `events` happen at once:
    each with its place in `roles`. `outage`: nothing arrives then, until the first of `roles` calls beside its tunnel.
    """

    name: str
    set_up: bool
    events: tuple[tuple[int, str], ...]
    outage: bool = False

    @property
    def seamless(self) -> bool:
        """Whether no packet may be lost by it. An outage may last longer than an end waits for the other."""
        return self.set_up and not self.outage and all(what != "disconnect" for _, what in self.events)


BEGINNINGS = (
    Beginning("set-up from nothing", False, ((0, "connect"),)),
    Beginning("simultaneous set-up", False, ((0, "connect"), (1, "connect"))),
    Beginning("child rekey at both ends", True, ((0, "rekey child"), (1, "rekey child"))),
    Beginning("IKE rekey at both ends", True, ((0, "rekey IKE"), (1, "rekey IKE"))),
    Beginning("child against IKE rekey", True, ((0, "rekey child"), (1, "rekey IKE"))),
    Beginning("delete against child rekey", True, ((0, "disconnect"), (1, "rekey child"))),
    Beginning("delete against IKE rekey", True, ((0, "disconnect"), (1, "rekey IKE"))),
    Beginning("outage in a child rekey", True, ((0, "rekey child"),), outage=True),
    Beginning("outage in an IKE rekey", True, ((0, "rekey IKE"),), outage=True),
)
MOST_LOST = 20
"""Deadlines of an outage until a tunnel counts as silent; they are about five."""
MOST_SEEDS = 64
ROLES = ((0, 1), (1, 0))
"""Who is who: the first and the second of a beginning are west and east, or the other way round."""


def begin(explorer: Explorer, beginning: Beginning, roles: tuple[int, int], seed: int) -> State:
    """Give the state after the events of a beginning; nothing of what was sent has arrived."""
    world = _world(explorer, seed)
    if beginning.set_up:
        caller = roles[0] if beginning.outage else 0
        world.at(world.now, NAMES[caller], Connect(NAMES[1 - caller]))
        world.run(world.now + CALM_NS)
        problem = unrest(world.nodes, [NAMES])
        if problem:
            raise ValueError(f"no tunnel to begin with: {problem}")
    world.planned()
    ends = [explorer.snapshot(node, world) for node in world.nodes.values()]
    state = State((ends[0], ends[1]), (), world.now)
    for place, what in beginning.events:
        who = roles[place]
        state = explorer.happen(state, who, _event(what, NAMES[1 - who]))
    return replace(_without_network(explorer, state) if beginning.outage else state, before=None)


def _without_network(explorer: Explorer, state: State) -> State:
    """Let nothing arrive until somebody calls beside the tunnel; that, and what is said from then on, may."""
    for _ in range(MOST_LOST):
        state = explorer.follow(replace(state, flight=()), Choice(Move.TIMER))
        if any(kind_of(arrival.data) == "IKE_SA_INIT request" for arrival in state.flight):
            return state
    raise ValueError("nobody calls beside a silent tunnel")


def _world(explorer: Explorer, seed: int) -> World:
    """Make two gateways that call nobody by themselves."""
    world = World(Recorded(LATENCY, {}), build=explorer.build, draw=drawn, watched=True)
    for at, name in enumerate(NAMES):
        other = 1 - at
        world.add(name, ADDRESSES[at], 2 * seed + at)
        described = peer(NAMES[other], ADDRESSES[other], NETWORKS[at], NETWORKS[other], Start.PASSIVE)
        world.at(0, name, Configured((described,)))
    world.run(CALM_NS)
    return world


def _event(what: str, other: str) -> Event:
    events: dict[str, Event] = {
        "connect": Connect(other),
        "disconnect": Disconnect(other),
        "rekey child": RekeyRequested(other),
        "rekey IKE": RekeyRequested(other, ike=True),
    }
    return events[what]


def exploration(explorer: Explorer, beginning: Beginning, roles: tuple[int, int]) -> State:
    """Give the state from which everything is tried. Where both ends do the same, the roles are who wins."""
    explorer.seamless = beginning.seamless
    if beginning.events[0][1] != beginning.events[-1][1] or len(beginning.events) == 1:
        return begin(explorer, beginning, roles, 1)
    states = (begin(explorer, beginning, roles, seed) for seed in range(1, MOST_SEEDS))
    return next(state for state in states if winner(explorer, state) == roles[0])


def winner(explorer: Explorer, state: State) -> int:
    """Tell whose exchange made what there is once both ends are at rest."""
    for after, _ in explorer.undisturbed(state):
        if not after.flight and not unrest_of(after):
            return 0 if _made(after.ends[0].node.endpoint.state) else 1
    raise ValueError("a collision that nobody wins")


def _made(ctx: Context) -> bool:
    """Tell whether an endpoint began the exchange that made the newest of what it has."""
    lineage = ctx.live(NAMES[1])[-1]
    current = ctx.sas[lineage.current]
    child = max(lineage.children.values(), key=lambda one: one.established_at)
    return child.initiator if child.established_at > current.established_at else current.initiator


def cases() -> list[tuple[Beginning, tuple[int, int]]]:
    """Give every beginning with both assignments of roles."""
    return [(beginning, roles) for beginning in BEGINNINGS for roles in ROLES]
