"""Both ends begin at once: what is superfluous goes without a packet that meets nothing."""

from __future__ import annotations

import random

import pytest

from culvert.clock import SECOND
from culvert.config.model import Start
from culvert.ike.events import Configured
from culvert.sim.link import HEALED, MILLISECOND
from culvert.sim.pair import Pair, with_child
from culvert.sim.traffic import Traffic

STEP_S = 0.001


def _meeting(seed: int, children: int = 1) -> Pair:
    """Two gateways that begin within some milliseconds of each other, on a network that reorders."""
    pair = Pair(seed, start=Start.ALWAYS)
    pair.world.link.conditions = HEALED
    for number in range(1, children):
        ours, theirs = f"10.{10 + number}.0.0/16", f"10.{20 + number}.0.0/16"
        pair.west_peer = with_child(pair.west_peer, ours, theirs, f"net{number}")
        pair.east_peer = with_child(pair.east_peer, theirs, ours, f"net{number}")
    later = random.Random(seed).randint(0, 80) * MILLISECOND
    pair.world.at(0, "west", Configured((pair.west_peer,)))
    pair.world.at(later, "east", Configured((pair.east_peer,)))
    pair.wait(0.1)
    return pair


def _both_up(pair: Pair) -> bool:
    return pair.west.up("east") and pair.east.up("west")


def _until_up(pair: Pair) -> None:
    while not _both_up(pair):
        pair.wait(STEP_S)


def _no_packet_is_lost_for(pair: Pair, seconds: float) -> None:
    traffic = Traffic(pair.west, pair.east)
    end = pair.world.now + int(seconds * SECOND)
    while pair.world.now < end:
        pair.wait(STEP_S)
        traffic.tick(pair.world.now)
        assert _both_up(pair)
    # An end that only answered so far keeps its packets for some milliseconds, until the other one can take them.
    assert traffic.sent > (seconds - 0.1) * 2 / STEP_S


@pytest.mark.parametrize("children", [1, 2])
@pytest.mark.parametrize("seed", range(40))
def test_from_up_on_no_packet_is_lost_when_both_began(seed: int, children: int) -> None:
    pair = _meeting(seed, children)
    _until_up(pair)
    _no_packet_is_lost_for(pair, 2.5)
    pair.wait(25)
    assert pair.east.endpoint.census().established == pair.west.endpoint.census().established == 1
    assert len(pair.west.plane.associations) == len(pair.east.plane.associations) == 2 * children
