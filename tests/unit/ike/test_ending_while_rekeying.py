"""An end that comes while the IKE SA is being rekeyed ends the successor, too, whoever has made it."""

from __future__ import annotations

import pytest

from culvert.clock import SECOND
from culvert.config.model import Start
from culvert.ike.events import Disconnect, RekeyRequested
from culvert.sim.link import MILLISECOND
from culvert.sim.pair import Pair

NOTHING_LEFT_S = 2.0
AT_ONCE_NS = 3 * MILLISECOND


def _quiet() -> Pair:
    return Pair(start=Start.PASSIVE).connect()


def _nothing_is_left(pair: Pair) -> bool:
    censuses = [node.endpoint.census() for node in (pair.west, pair.east)]
    return all(one.established == one.ending == one.children == one.asking == 0 for one in censuses)


@pytest.mark.parametrize("wait_ms", range(0, 45, 5))
@pytest.mark.parametrize("ender", ["west", "east"])
def test_the_peer_does_not_keep_a_successor(ender: str, wait_ms: int) -> None:
    """The request is on its way, was answered, or the answer is on its way, when a person ends the tunnel."""
    pair = _quiet()
    other = {"west": "east", "east": "west"}
    pair.world.at(pair.world.now, "west", RekeyRequested("east", ike=True))
    pair.world.at(pair.world.now + wait_ms * MILLISECOND, ender, Disconnect(other[ender]))
    pair.wait(NOTHING_LEFT_S)
    assert _nothing_is_left(pair)


@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.parametrize("wait_ms", range(0, 45, 5))
def test_an_open_collision_ends_with_the_rest(seed: int, wait_ms: int) -> None:
    """Both ends rekey, so that each holds a successor of the other's until the answers decide."""
    pair = Pair(seed).connect()
    pair.world.at(pair.world.now, "west", RekeyRequested("east", ike=True))
    pair.world.at(pair.world.now + AT_ONCE_NS, "east", RekeyRequested("west", ike=True))
    pair.world.at(pair.world.now + wait_ms * MILLISECOND, "west", Disconnect("east"))
    pair.wait(NOTHING_LEFT_S)
    assert _nothing_is_left(pair)
    assert pair.world.now > SECOND
