"""Ten thousand tunnels to one gateway."""

from __future__ import annotations

import time

import pytest

from culvert.clock import SECOND
from culvert.ike.events import RekeyRequested
from culvert.sim.crowd import APART_NS, GATEWAY, caller_name, crowd, weight

TUNNELS = 10_000
MOST_CPU_S = 240
"""Both ends of ten thousand set-ups, and of as many questions whether they live, on one of these cores."""
MOST_OCTETS = 30 * 1024
"""What a tunnel may hold at one end."""
EVERY = 97
"""One in so many rekeys its IKE SA, and one restarts, while the others are set up."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_thousand_tunnels_to_one_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.process_time()
    world = crowd(TUNNELS)
    gateway, whole = world.nodes[GATEWAY], TUNNELS * APART_NS
    world.run(whole // 2)
    for number in range(0, TUNNELS // 2, EVERY):
        world.at(world.now + number * APART_NS, caller_name(number), RekeyRequested(GATEWAY, ike=True))
        world.restart(caller_name(number + 1))
    world.run(whole + 40 * SECOND)
    spent = time.process_time() - started
    census, octets = gateway.endpoint.census(), weight(gateway) // TUNNELS
    with capsys.disabled():
        print(f"\n{TUNNELS} tunnels: {octets} octets each, {spent:.0f} s of one core, {world.events} events")
    assert (census.established, census.children) == (TUNNELS, TUNNELS)
    assert len(gateway.plane.associations) == 2 * TUNNELS
    assert all(world.nodes[caller_name(number)].up(GATEWAY) for number in range(TUNNELS))
    assert octets < MOST_OCTETS
    assert spent < MOST_CPU_S


def test_the_weight_of_a_tunnel_is_counted() -> None:
    world = crowd(20)
    gateway = world.nodes[GATEWAY]
    world.run(0)
    before = weight(gateway)
    world.run(20 * APART_NS + SECOND)
    assert gateway.endpoint.census().established == 20
    assert 2_000 < (weight(gateway) - before) / 20 < MOST_OCTETS
