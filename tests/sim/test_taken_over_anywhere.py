"""A process killed after any single action of any exchange: the next one goes on with its IKE SAs where they stood.

Every scenario is played once to count what the endpoint does, then again for each of these actions as the last one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from culvert.clock import SECOND
from culvert.config.model import Start
from culvert.ike.events import Configured, Connect, Disconnect, EngineRestarted, RekeyRequested
from culvert.sim.link import MILLISECOND
from culvert.sim.packets import Stream
from culvert.sim.pair import Pair, with_child
from culvert.sim.rest import unrest
from tests.sim.mortal import Mortal

ENDLESS = 1 << 30
REST_S = 130
"""How long both may need until nothing is under way: a child that the peer should have deleted waits for 90 seconds."""


def established(pair: Pair) -> None:
    pair.connect()
    pair.wait(5)


@dataclass(frozen=True)
class Scenario:
    """What happens to a pair of gateways. `anew`: it may end with another IKE SA, whoever is killed. `lossless`: there
    is a tunnel all the time.
    """

    begin: Callable[[Pair], None]
    before: Callable[[Pair], None] = established
    anew: bool = False
    lossless: bool = True


def tell(pair: Pair, *events: tuple[str, object]) -> None:
    for number, (name, event) in enumerate(events):
        pair.world.at(pair.world.now + number * MILLISECOND, name, event)


def on(name: str, ike: bool = False) -> tuple[str, RekeyRequested]:
    return name, RekeyRequested("east" if name == "west" else "west", ike=ike)


def with_two_children(pair: Pair) -> None:
    pair.west_peer = with_child(pair.west_peer, "10.3.0.0/16", "10.4.0.0/16", "more")
    pair.east_peer = with_child(pair.east_peer, "10.4.0.0/16", "10.3.0.0/16", "more")
    pair.configure()


def two_children(pair: Pair) -> None:
    with_two_children(pair)
    pair.tell("west", Connect("east"), 5)


def replaced_at_east(pair: Pair) -> None:
    """East's machine restarts and calls: INITIAL_CONTACT."""
    pair.world.restart("east")
    tell(pair, ("east", Connect("west")))


def reconfigured(pair: Pair) -> None:
    tell(pair, ("west", Configured((replace(pair.west_peer, dpd_s=17),))), ("west", Connect("east")))


SCENARIOS = {
    "set-up by it": Scenario(lambda pair: tell(pair, ("west", Connect("east"))), Pair.configure, lossless=False),
    "set-up by the peer": Scenario(lambda pair: tell(pair, ("east", Connect("west"))), Pair.configure, lossless=False),
    "set-up by both": Scenario(
        lambda pair: tell(pair, ("west", Connect("east")), ("east", Connect("west"))), Pair.configure, lossless=False
    ),
    "set-up of two children": Scenario(
        lambda pair: tell(pair, ("west", Connect("east"))), with_two_children, lossless=False
    ),
    "child rekeyed by it": Scenario(lambda pair: tell(pair, on("west"))),
    "child rekeyed by the peer": Scenario(lambda pair: tell(pair, on("east"))),
    "child rekeyed by both": Scenario(lambda pair: tell(pair, on("west"), on("east"))),
    "IKE SA rekeyed by it": Scenario(lambda pair: tell(pair, on("west", ike=True))),
    "IKE SA rekeyed by the peer": Scenario(lambda pair: tell(pair, on("east", ike=True))),
    "IKE SA rekeyed by both": Scenario(lambda pair: tell(pair, on("west", ike=True), on("east", ike=True))),
    "it rekeys the child, the peer the IKE SA": Scenario(lambda pair: tell(pair, on("west"), on("east", ike=True))),
    "it rekeys the IKE SA, the peer the child": Scenario(lambda pair: tell(pair, on("west", ike=True), on("east"))),
    "all rekeyed by both": Scenario(
        lambda pair: tell(pair, on("west"), on("east"), on("west", ike=True), on("east", ike=True)), two_children
    ),
    "its engine killed": Scenario(lambda pair: tell(pair, ("west", EngineRestarted())), lossless=False),
    "the peer's engine killed": Scenario(lambda pair: tell(pair, ("east", EngineRestarted())), lossless=False),
    "the peer restarted": Scenario(replaced_at_east, anew=True, lossless=False),
    "ended by it": Scenario(
        lambda pair: tell(pair, ("west", Disconnect("east")), ("west", Connect("east"))), anew=True, lossless=False
    ),
    "ended by the peer": Scenario(
        lambda pair: tell(pair, ("east", Disconnect("west")), ("east", Connect("west"))), anew=True, lossless=False
    ),
    "another configuration": Scenario(reconfigured, anew=True, lossless=False),
}


def begun(scenario: Scenario, actions: int) -> tuple[Pair, Mortal]:
    """Play a scenario up to the death of west."""
    pair = Pair(start=Start.PASSIVE)
    scenario.before(pair)
    world = pair.world
    world.steady, world.watched, world.latency = scenario.lossless, True, 10 * MILLISECOND
    if scenario.lossless:
        world.plan(world.now, Stream(20 * MILLISECOND, world.now + 15 * SECOND))
    mortal = Mortal(pair.west.endpoint, actions, lambda: setattr(world, "watched", False))
    pair.west.endpoint = mortal  # type: ignore[assignment]
    scenario.begin(pair)
    for _ in range(80):
        pair.wait(0.1)
        if mortal.dead:
            break
    return pair, mortal


def count(scenario: Scenario) -> int:
    """Count what west does until the scenario is over."""
    return begun(scenario, ENDLESS)[1].done


@pytest.mark.parametrize("away_s", [0, 3])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_process_killed_after_any_action_is_succeeded(name: str, away_s: float) -> None:
    scenario = SCENARIOS[name]
    total = count(scenario)
    assert total > 3
    for actions in range(total):
        _killed_after(scenario, actions, away_s)


def _killed_after(scenario: Scenario, actions: int, away_s: float) -> None:
    pair, mortal = begun(scenario, actions)
    assert mortal.dead
    kept = bool(pair.west.blobs)
    pair.wait(away_s)
    since = len(pair.world.trace)
    pair.world.watched = True
    pair.world.replace("west")
    if not kept or scenario.anew:
        # What a person asked for may have been lost with the process.
        pair.tell("west", Connect("east"))
    pair.wait(REST_S)
    lines = pair.world.trace[since:]
    problem = unrest(pair.world.nodes, [("west", "east")])
    assert (pair.west.up("east"), pair.east.up("west")) == (True, True), "\n".join(pair.world.trace)
    assert not problem, f"after {actions} actions: {problem}\n" + "\n".join(pair.world.trace)
    if kept and not scenario.anew:
        known = [line.split("[")[1] for line in pair.world.trace[:since] if "[" in line]
        anew = [line for line in lines if "IKE_AUTH request" in line and line.split("[")[1] not in known]
        assert not anew, f"after {actions} actions: {anew}\n" + "\n".join(pair.world.trace)


def test_the_process_after_the_next_one_goes_on_too() -> None:
    pair = Pair()
    established(pair)
    ike = pair.west.endpoint.status("east").ike
    for number in range(1, 6):
        pair.tell("west", RekeyRequested("east"), 0.01)
        pair.world.replace("west")
        pair.wait(3)
        (sa,) = pair.west.endpoint._ctx.sas.values()
        assert sa.epoch == number
    again = pair.west.endpoint.status("east").ike
    assert ike is not None
    assert again is not None
    assert (again.spi_i, again.spi_r, again.established_at) == (ike.spi_i, ike.spi_r, ike.established_at)
    assert again.rekey_at == ike.rekey_at
    assert pair.world.now > 5 * SECOND
