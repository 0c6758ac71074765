"""Where the explorer begins: two gateways in the middle of what is hard to get right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from culvert.clock import SECOND
from culvert.config.model import Start
from culvert.ike.events import Configured, Connect, Disconnect, Event, RekeyRequested
from culvert.sim.explorer import Explorer, State, drawn
from culvert.sim.link import MILLISECOND, Recorded
from culvert.sim.pair import peer
from culvert.sim.rest import unrest
from culvert.sim.world import World

LATENCY = 10 * MILLISECOND
NAMES = ("west", "east")
ADDRESSES = ("203.0.113.1", "198.51.100.1")
NETWORKS = ("10.1.0.0/16", "10.2.0.0/16")
CALM_NS = 2 * SECOND


@dataclass(frozen=True, slots=True)
class Beginning:
    """`set_up`: whether there is a tunnel already, which the first of `roles` called for. `events` happen at once:
    each with its place in `roles`."""

    name: str
    set_up: bool
    events: tuple[tuple[int, str], ...]


BEGINNINGS = (
    Beginning("set-up from nothing", False, ((0, "connect"),)),
    Beginning("simultaneous set-up", False, ((0, "connect"), (1, "connect"))),
    Beginning("child rekey at both ends", True, ((0, "rekey child"), (1, "rekey child"))),
    Beginning("IKE rekey at both ends", True, ((0, "rekey IKE"), (1, "rekey IKE"))),
    Beginning("child against IKE rekey", True, ((0, "rekey child"), (1, "rekey IKE"))),
    Beginning("delete against child rekey", True, ((0, "disconnect"), (1, "rekey child"))),
    Beginning("delete against IKE rekey", True, ((0, "disconnect"), (1, "rekey IKE"))),
)
ROLES = ((0, 1), (1, 0))
"""Who is who: the first and the second of a beginning are west and east, or the other way round."""


def begin(explorer: Explorer, beginning: Beginning, roles: tuple[int, int], seed: int) -> State:
    """Give the state from which everything is tried. `caller` set the tunnel up, where there is one."""
    world = _world(explorer, seed)
    if beginning.set_up:
        world.at(world.now, NAMES[0], Connect(NAMES[1]))
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
    return replace(state, before=None)


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


def cases(seeds: tuple[int, ...]) -> Iterator[tuple[Beginning, tuple[int, int], int]]:
    """Give every beginning with both assignments of roles, and with each seed of the nonces that decide collisions."""
    for beginning in BEGINNINGS:
        for roles in ROLES:
            for seed in seeds:
                yield beginning, roles, seed
