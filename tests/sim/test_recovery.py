"""A peer reboots, an address changes, a link is away: traffic flows within five seconds of it being possible."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.clock import SECOND
from culvert.config.model import Start
from culvert.identities import Identity
from culvert.ike.events import Connect
from culvert.reasons import Refusal
from culvert.sim.pair import Pair
from tests.sim.outages import WITHIN_S, Traffic, cut, heal, move

MINUTE = 60
SEEDS = range(1, 6)
STARTS = [
    ("always", "always", "west"),
    ("always", "passive", "west"),
    ("always", "passive", "east"),
    ("passive", "always", "west"),
    ("traffic", "traffic", "west"),
    ("traffic", "passive", "west"),
    ("passive", "traffic", "east"),
]
"""`start` of west and of east, and who sends the pings."""


def joined(seed: int, west: str = "always", east: str = "always", sender: str = "west") -> tuple[Pair, Traffic]:
    """Give two gateways with traffic between them that has flowed for a while."""
    pair = Pair(seed)
    pair.west_peer = replace(pair.west_peer, start=Start(west))
    pair.east_peer = replace(pair.east_peer, start=Start(east))
    pair.configure()
    if "always" not in (west, east):
        pair.tell(sender, Connect("east" if sender == "west" else "west"))
    traffic = Traffic(pair, sender).begin()
    pair.wait(9 + seed)
    assert traffic.gap_s(pair.world.now - SECOND) < 0.5
    return pair, traffic


def assert_flows(pair: Pair, traffic: Traffic) -> None:
    """See that traffic flows in time, and that all comes to rest afterwards."""
    since = pair.world.now
    pair.wait(10)
    assert traffic.gap_s(since) <= WITHIN_S, "\n".join(pair.world.trace[-150:])
    assert traffic.gap_s(pair.world.now - SECOND) < 0.5


def assert_rests(pair: Pair, traffic: Traffic) -> None:
    """See that what was begun beside is gone in the end."""
    traffic.ended = True
    pair.wait(180)
    for node in (pair.west, pair.east):
        census = node.endpoint.census()
        assert (census.established, census.setting_up, census.ending) == (1, 0, 0), "\n".join(pair.world.trace[-150:])


@pytest.mark.parametrize("away_s", [2, 7, 30, MINUTE, 10 * MINUTE])
@pytest.mark.parametrize("one_way", [False, True])
def test_the_link_is_away(away_s: int, one_way: bool) -> None:
    for seed in SEEDS:
        pair, traffic = joined(seed)
        before = pair.west.endpoint.status("east").ike
        cut(pair, one_way=one_way)
        pair.wait(away_s + seed / 10)
        heal(pair)
        assert_flows(pair, traffic)
        assert_rests(pair, traffic)
        after = pair.west.endpoint.status("east").ike
        assert before is not None
        assert after is not None
        if away_s <= MINUTE and not one_way:
            assert before.established_at == after.established_at, "\n".join(pair.world.trace[-150:])


@pytest.mark.parametrize("away_s", [0, 3, 10, MINUTE, 10 * MINUTE])
@pytest.mark.parametrize(("west", "east", "sender"), STARTS)
def test_a_gateway_reboots(west: str, east: str, sender: str, away_s: int) -> None:
    """East loses all, and is away for a while."""
    for seed in SEEDS:
        pair, traffic = joined(seed, west, east, sender)
        cut(pair)
        pair.wait(away_s + seed / 10)
        heal(pair)
        pair.world.restart("east")
        assert_flows(pair, traffic)
        assert_rests(pair, traffic)


@pytest.mark.parametrize(("west", "east"), [("always", "always"), ("always", "passive")])
def test_a_gateway_reboots_again_and_again(west: str, east: str) -> None:
    for seed in SEEDS:
        pair, traffic = joined(seed, west, east)
        for number in range(5):
            pair.wait(0.7 * number)
            pair.world.restart("east")
        assert_flows(pair, traffic)
        assert_rests(pair, traffic)


def named(seed: int, *, passive: bool = False) -> tuple[Pair, Traffic]:
    """Give the same, where west has a name and may be anywhere, and east is known by a DNS name."""
    pair = Pair(seed)
    west, east = (Identity.parse(f"{name}.example.org") for name in ("west", "east"))
    pair.world.names["east.example.org"] = "198.51.100.1"
    pair.west_peer = replace(
        pair.west_peer, start=Start.ALWAYS, addresses=("east.example.org",), identity=east, local_identity=west
    )
    pair.east_peer = replace(pair.east_peer, identity=west, local_identity=east, addresses=())
    if passive:
        pair.west_peer = replace(pair.west_peer, identity=None)
        pair.east_peer = replace(pair.east_peer, local_identity=None)
    pair.configure()
    traffic = Traffic(pair).begin()
    pair.wait(20 + seed)
    assert traffic.gap_s(pair.world.now - SECOND) < 0.5
    return pair, traffic


def test_our_address_changes() -> None:
    for seed in SEEDS:
        pair, traffic = named(seed)
        move(pair, "west", "203.0.113.77")
        assert_flows(pair, traffic)
        move(pair, "west", "203.0.113.1")
        assert_flows(pair, traffic)
        assert_rests(pair, traffic)


@pytest.mark.parametrize("late_s", [0, 3, 20, 10 * MINUTE])
@pytest.mark.parametrize("by_address", [False, True])
def test_the_peers_address_changes_and_its_name_later(late_s: int, by_address: bool) -> None:
    """East, which cannot call, moves; its name follows a while later."""
    for seed in SEEDS:
        pair, traffic = named(seed, passive=by_address)
        move(pair, "east", "198.51.100.77")
        pair.wait(late_s + seed / 10)
        pair.world.names["east.example.org"] = "198.51.100.77"
        assert_flows(pair, traffic)
        assert_rests(pair, traffic)


def test_nothing_ends_within_a_minute_of_silence() -> None:
    pair, _ = joined(1)
    pair.world.forbidden = (Refusal.PEER_DEAD,)
    cut(pair)
    pair.wait(MINUTE)
    assert pair.west.endpoint.census().established == 1
    heal(pair)
    pair.wait(10)
    assert pair.west.up("east")
