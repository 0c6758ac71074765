"""Children made of parts, in a bad network and then a good one: both ends come to rest with every pair, each once."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from culvert.clock import SECOND
from culvert.config.model import Child, Peer, Start
from culvert.ike.events import Disconnect, EngineRestarted, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ipsec.associations import Direction
from culvert.ipsec.coverage import Selectors
from culvert.ipsec.selectors import decompose
from culvert.ipsec.selectors import traffic_selector as ts
from culvert.sim.link import MILLISECOND, Conditions
from culvert.sim.pair import ESP, Pair

WEST = tuple(ts(f"10.{n}.0.0/16") for n in (1, 3, 5))
EAST = tuple(ts(f"10.{n}.0.0/16") for n in (2, 4))
REST_S = 240


def _peer(peer: Peer, local: Selectors, remote: Selectors, plan: random.Random) -> Peer:
    child = Child(peer.name, "net", local, remote, ESP)
    start = plan.choice((Start.ALWAYS, Start.ALWAYS, Start.PASSIVE))
    return replace(peer, children=(child,), split=plan.random() < 0.6, start=start)


def _bad(plan: random.Random) -> Conditions:
    return Conditions(
        plan.choice((0.0, 0.1, 0.3)), plan.choice((0.0, 0.2)), 5 * MILLISECOND, plan.choice((40, 900)) * MILLISECOND
    )


def _play(seed: int) -> Pair:
    plan = random.Random(seed)
    pair = Pair(seed)
    pair.west_peer = replace(_peer(pair.west_peer, WEST, EAST, plan), start=Start.ALWAYS)
    pair.east_peer = _peer(pair.east_peer, EAST, WEST, plan)
    pair.world.link.conditions, pair.world.link.heals_at = _bad(plan), plan.randint(0, 40) * SECOND
    pair.configure()
    for _ in range(plan.randint(0, 4)):
        name = plan.choice(("west", "east"))
        other = "east" if name == "west" else "west"
        event = plan.choice((RekeyRequested(other), RekeyRequested(other, ike=True), EngineRestarted()))
        pair.world.at(pair.world.now + plan.randint(0, 30) * SECOND, name, event)
    pair.wait(REST_S)
    return pair


@pytest.mark.parametrize("seed", range(30))
def test_every_pair_is_carried_once_in_the_end(seed: int) -> None:
    pair = _play(seed)
    expected = {"west": decompose(WEST, EAST), "east": decompose(EAST, WEST)}
    for node, other in ((pair.west, "east"), (pair.east, "west")):
        status = node.endpoint.status(other)
        assert (status.state, status.reason) == (PeerState.UP, None), status
        sent = [selector for one in node.plane.side(Direction.OUT) for selector in one.selectors]
        assert sorted(map(str, sent)) == sorted(map(str, expected[node.name]))
        assert len(node.plane.associations) == 2 * len(status.children)
    spis = [{(one.inbound.spi, one.outbound.spi) for one in pair.west.endpoint.status("east").children}]
    spis.append({(one.outbound.spi, one.inbound.spi) for one in pair.east.endpoint.status("west").children})
    assert spis[0] == spis[1]


def test_an_end_takes_all_parts_with_it() -> None:
    pair = _play(1)
    pair.tell("west", Disconnect("east"), 10)
    assert not pair.west.plane.associations
    assert not pair.east.plane.associations
