"""Ten thousand tunnels to one gateway: set up, used, asked whether they live, and rekeyed."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from culvert.clock import SECOND
from culvert.ike.events import Configured, RekeyRequested
from culvert.ipsec.associations import AssociationId
from culvert.sim.crowd import APART_NS, GATEWAY, REKEY_S, caller_name, crowd, passing, weight
from culvert.sim.world import World

pytestmark = pytest.mark.minutes

TUNNELS = 10_000
MOST_CPU_S = 240
"""Both ends of ten thousand set-ups, rekeys of children and questions whether they live, on one of these cores."""
MOST_OCTETS = 30 * 1024
"""What a tunnel may hold at one end."""
EVERY = 97
"""One in so many rekeys its IKE SA, and one restarts, while the others are set up."""
LOOK_S = 10


def _disturb(world: World, tunnels: int) -> None:
    """Rekey some IKE SAs, at either end, and restart some callers."""
    for number in range(0, tunnels // 2, EVERY):
        at = world.now + number * APART_NS
        world.at(at, caller_name(number), RekeyRequested(GATEWAY, ike=True))
        world.at(at, GATEWAY, RekeyRequested(caller_name(number + 1), ike=True))
        world.restart(caller_name(number + 2))
        assert not world.nodes[caller_name(number + 2)].plane.associations


def _inbound(world: World) -> dict[AssociationId, None]:
    """Give the inbound associations of the gateway; every rekey makes others."""
    return dict.fromkeys(world.nodes[GATEWAY].plane.used)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("tunnels", [300, pytest.param(TUNNELS, marks=pytest.mark.slow)])
def test_many_tunnels_to_one_gateway(tunnels: int, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.process_time()
    world = crowd(tunnels)
    gateway, whole = world.nodes[GATEWAY], tunnels * APART_NS
    world.run(whole // 2)
    _disturb(world, tunnels)
    up = dict.fromkeys(caller_name(number) for number in range(tunnels // 2 - 1) if number % EVERY != 2)
    end = whole + (REKEY_S + 1) * SECOND
    while world.now < end:
        world.run(min(world.now + LOOK_S * SECOND, end))
        # Whoever has a tunnel has it all the time, while IKE SAs and children are rekeyed and others restart.
        assert not up.keys() - passing(world).keys()
    census, octets = gateway.endpoint.census(), weight(gateway.endpoint) // tunnels
    spent = time.process_time() - started
    with capsys.disabled():
        print(f"\n{tunnels} tunnels: {octets} octets each, {spent:.0f} s of one core, {world.events} events")
    assert census.established == tunnels == len(passing(world))
    assert tunnels <= census.children <= tunnels * 1.01, "but for rekeys under way, each has one"
    assert len(_inbound(world)) >= 2 * tunnels, "every child was rekeyed"
    assert octets < MOST_OCTETS
    assert spent < MOST_CPU_S


def test_packets_pass_where_both_ends_have_the_tunnel() -> None:
    world = crowd(20)
    world.run(10 * APART_NS)
    assert 0 < len(passing(world)) < 20
    world.run(20 * APART_NS + SECOND)
    assert len(passing(world)) == 20
    world.nodes[caller_name(3)].plane.flush()
    world.at(world.now, caller_name(4), Configured(()))
    world.run(world.now + SECOND)
    assert passing(world).keys() == {caller_name(number) for number in range(20)} - {caller_name(3), caller_name(4)}


def test_the_weight_of_a_tunnel_is_counted() -> None:
    """What is counted by following references is about what was allocated, both for all that such a world holds."""
    world = crowd(20)
    world.run(20 * APART_NS + SECOND)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    world = crowd(100)
    gateway = world.nodes[GATEWAY]
    world.run(100 * APART_NS + SECOND)
    allocated = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert gateway.endpoint.census().established == 100
    assert 0.85 < weight(world) / allocated < 1.15
    assert 2_000 < weight(gateway.endpoint) / 100 < MOST_OCTETS
