"""When a peer is up whose child is asked for in parts: with all of them, and each made once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from culvert.config.model import Child, Start
from culvert.ike.events import Configured, Connect
from culvert.ike.status import PeerState, PeerStatus
from culvert.ipsec.selectors import traffic_selector as ts
from culvert.sim.link import MILLISECOND, Conditions
from culvert.sim.pair import ESP, Pair

WEST = ts("10.1.0.0/16"), ts("10.3.0.0/16")
EAST = ts("10.2.0.0/16"), ts("10.4.0.0/16")
PARTS = len(WEST) * len(EAST)
STEP_S = 0.005
IKE_AUTH_S = 0.035
"""When the answering end has the IKE SA and nothing of the child."""


def _pair(start: Start) -> Pair:
    pair = Pair(start=start)
    pair.west_peer = replace(pair.west_peer, children=(Child("east", "net", WEST, EAST, ESP),), split=True)
    pair.east_peer = replace(pair.east_peer, children=(Child("west", "net", EAST, WEST, ESP),), split=True)
    return pair


def _statuses(pair: Pair, seconds: float) -> Iterator[tuple[PeerStatus, PeerStatus]]:
    """Give what both ends say, again and again while time passes."""
    for _ in range(int(seconds / STEP_S)):
        pair.wait(STEP_S)
        yield pair.west.endpoint.status("east"), pair.east.endpoint.status("west")


@pytest.mark.parametrize("side", [0, 1], ids=["west", "east"])
def test_up_means_that_all_parts_are_there(side: int) -> None:
    pair = _pair(Start.ALWAYS)
    pair.tell("west", Configured((pair.west_peer,)), 0.1)
    pair.tell("east", Configured((pair.east_peer,)), 0)
    seen = [both[side] for both in _statuses(pair, 3)]
    assert {len(one.children) for one in seen if one.state is PeerState.UP} == {PARTS}
    assert {len(one.children) for one in seen if one.state is PeerState.CONNECTING} >= {1, PARTS - 1}


def test_who_asks_for_a_peer_that_is_making_its_parts_makes_none_twice() -> None:
    """At both ends somebody waits for the tunnel, and the parts are under way: only who began asks for them."""
    pair = _pair(Start.PASSIVE).configure()
    pair.tell("west", Connect("east"), IKE_AUTH_S)
    before = len(pair.world.trace)
    for both in _statuses(pair, 0.2):
        pair.tell("east", Connect("west"), 0)
        assert all(len(one.children) <= PARTS for one in both)
    assert [one.state for one in both] == [PeerState.UP, PeerState.UP]
    assert not any("east sends CREATE_CHILD_SA request" in line for line in pair.world.trace[before:])


def test_who_asks_gets_what_the_peer_leaves_out() -> None:
    """West has one pair of the networks configured. Its own time passes first; then east asks for the others."""
    pair = _pair(Start.PASSIVE)
    pair.west_peer = replace(pair.west_peer, children=(Child("east", "net", WEST[:1], EAST[:1], ESP),))
    more = Child("east", "more", WEST[1:], EAST[1:], ESP)
    pair.west_peer = replace(pair.west_peer, start=Start.TRAFFIC, children=(*pair.west_peer.children, more))
    pair.configure()


@pytest.mark.parametrize("seed", [4, 15, 36])
def test_an_ike_sa_that_is_filled_beside_a_whole_one_takes_nothing_away(seed: int) -> None:
    """Both ends set up at once. What carries all is what the peer is judged by, until the other one does."""
    pair, configured = Pair(seed), _pair(Start.ALWAYS)
    pair.world.link.conditions = Conditions(shortest=MILLISECOND, longest=40 * MILLISECOND)
    pair.world.at(0, "west", Configured((configured.west_peer,)))
    pair.world.at(0, "east", Configured((configured.east_peer,)))
    up = [False, False]
    for both in _statuses(pair, 1):
        for end, status in enumerate(both):
            up[end] |= status.state is PeerState.UP
            assert not up[end] or (status.state is PeerState.UP and len(status.children) >= PARTS)
    assert up == [True, True]
    assert sum("IKE_AUTH request" in line and "sends" in line for line in pair.world.trace) == 2
