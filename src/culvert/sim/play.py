"""One run: a script is played, the network heals after each round, and everything must come to rest."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from culvert.clock import SECOND
from culvert.entropy import Entropy
from culvert.ike.endpoint import Endpoint
from culvert.reasons import Refusal
from culvert.sim import workload
from culvert.sim.broken import Broken
from culvert.sim.link import Link, Recorded, steady
from culvert.sim.packets import Stream
from culvert.sim.recording import Observer
from culvert.sim.rest import unrest
from culvert.sim.script import Round, Script, rest_ns
from culvert.sim.steps import Done, name_hub, populate
from culvert.sim.world import World

Builder = Callable[[Entropy, int], Endpoint]
UNFOUNDED = (Refusal.PEER_DEAD,)
"""Why nobody may end an IKE SA while the network is good and nobody fails."""
LOOK_NS = 5 * SECOND
PACKETS_EVERY_NS = 4 * SECOND
STREAM_NS = 40 * SECOND
"""How long packets go on after a round has begun; a longer one is a time without traffic."""


@dataclass(slots=True)
class Played:
    """How a run went. `failure` is empty where all is well; `script` replays it, its weather turned into fates."""

    script: Script
    world: World
    failure: str = ""


def play(script: Script, build: Builder = Endpoint, observer: Observer | None = None) -> Played:
    """Play a script, before the eyes of `observer`, if there is one."""
    bad = random.Random(f"weather {script.seed}")
    weather = any(one.weather for one in script.rounds)
    calm = steady(script.setting.latency)
    link = Link(bad, calm, 0, calm) if weather else Recorded(script.setting.latency, script.fates)
    world = World(link, build=build, observer=observer)
    world.latency, world.traffic, world.watched = script.setting.latency, True, True
    failure = ""
    try:
        populate(world, script.setting, script.seed)
        for one in script.rounds:
            _round(world, script, one, link)
    except Broken as broken:
        failure = str(broken)
    rounds = tuple(replace(one, weather=None) for one in script.rounds)
    return Played(replace(script, rounds=rounds, fates=link.decided), world, failure)


def _round(world: World, script: Script, one: Round, link: Link | Recorded) -> None:
    start = world.now
    for after, step in one.steps:
        world.plan(start + after, Done(step, script.setting))
    world.plan(start + PACKETS_EVERY_NS, Stream(PACKETS_EVERY_NS, start + min(one.lasts_ns, STREAM_NS)))
    if isinstance(link, Recorded):
        link.heals_at = start + one.lasts_ns
    elif one.weather is not None:
        link.conditions, link.heals_at = one.weather, start + one.lasts_ns
    world.steady = one.steady
    world.forbidden = UNFOUNDED if one.steady else ()
    world.tell(f"-- a round of {one.lasts_ns / SECOND:g} s begins")
    world.run(start + one.lasts_ns)
    _heal(world)
    _come_to_rest(world, script)


def _heal(world: World) -> None:
    """From now on the network does nothing but its duty."""
    world.network.cut.clear()
    world.network.mtu = 1500
    name_hub(world)
    world.tell("-- the network is whole again")


def _come_to_rest(world: World, script: Script) -> None:
    """Wait until nothing is under way any more, then judge."""
    bound, problem = rest_ns(script.setting.dpd_s), "nothing happened"
    give_up = world.now + bound
    world.plan(world.now, Stream(PACKETS_EVERY_NS, world.now + STREAM_NS))
    while world.now < give_up:
        world.run(world.now + LOOK_NS)
        problem = unrest(world.nodes, script.setting.pairs)
        if not problem:
            world.tell("-- at rest")
            return
    raise Broken(f"no rest {bound // SECOND} s after the network healed: {problem}")


def seeded(seed: int, build: Builder = Endpoint) -> Played:
    """Play the run that a seed stands for."""
    return play(workload.draw(seed), build)
