"""The data plane of a gateway with many peers is lost: all children are made anew, soon, and never too many at once."""

from __future__ import annotations

import random

import pytest

from culvert.clock import SECOND
from culvert.config.model import Start
from culvert.ike.events import Acquired, Configured, Connect, EngineRestarted
from culvert.ike.v2.anew import APART_NS, AT_ONCE
from culvert.ipsec.associations import Direction
from culvert.sim.link import MILLISECOND, Link
from culvert.sim.pair import STEADY, peer
from culvert.sim.world import World

PEERS = 80


@pytest.fixture(scope="module")
def world() -> World:
    """A hub with a tunnel to each of many spokes."""
    world = World(Link(random.Random(1), STEADY, 1 << 62))
    hub = world.add("hub", "203.0.113.1", 1)
    peers = []
    for number in range(PEERS):
        name, address, network = f"spoke{number}", f"198.51.100.{number}", f"10.2.{number}.0/24"
        world.add(name, address, 2 + number)
        peers.append(peer(name, address, "10.1.0.0/16", network, Start.PASSIVE))
        there = peer("hub", "203.0.113.1", network, "10.1.0.0/16", Start.PASSIVE)
        world.at(world.now, name, Configured((there,)))
    world.at(world.now, "hub", Configured(tuple(peers)))
    world.run(SECOND)
    for number in range(PEERS):
        world.at(world.now, "hub", Connect(f"spoke{number}"))
    world.run(10 * SECOND)
    assert len(hub.plane.associations) == 2 * PEERS
    return world


def asked(lines: list[str]) -> int:
    return sum("hub sends CREATE_CHILD_SA request" in line for line in lines)


def test_all_are_made_anew_within_two_seconds_a_few_at_a_time(world: World) -> None:
    hub, since = world.nodes["hub"], len(world.trace)
    world.at(world.now, "hub", EngineRestarted())
    world.run(world.now + APART_NS // 2)
    assert asked(world.trace[since:]) == AT_ONCE
    world.run(world.now + 2 * SECOND)
    assert asked(world.trace[since:]) == PEERS
    assert len(hub.plane.associations) == 2 * PEERS
    for number in range(PEERS):
        there = world.nodes[f"spoke{number}"].plane
        assert any(hub.plane.takes(one.spi) for one in there.side(Direction.OUT))


def test_what_packets_wait_for_comes_at_once(world: World) -> None:
    hub, since = world.nodes["hub"], len(world.trace)
    world.at(world.now, "hub", EngineRestarted())
    last = hub.children(f"spoke{PEERS - 1}")[0].reqid
    source, destination = world.nodes["hub"].address, world.nodes[f"spoke{PEERS - 1}"].address
    world.at(world.now + MILLISECOND, "hub", Acquired(last, source, destination))
    world.run(world.now + APART_NS // 2)
    assert asked(world.trace[since:]) == AT_ONCE + 1
    world.run(world.now + 3 * SECOND)
    assert len(hub.plane.associations) == 2 * PEERS


def test_the_checkpoints_are_written_into_the_fresh_data_plane(world: World) -> None:
    hub = world.nodes["hub"]
    before = dict(hub.blobs)
    world.at(world.now, "hub", EngineRestarted())
    world.run(world.now + MILLISECOND)
    assert before.keys() == hub.blobs.keys()
    world.run(world.now + 3 * SECOND)


def test_a_process_that_is_killed_meanwhile_is_succeeded_by_one_that_goes_on(world: World) -> None:
    hub = world.nodes["hub"]
    world.at(world.now, "hub", EngineRestarted())
    world.run(world.now + APART_NS // 2)
    world.replace("hub")
    since = len(world.trace)
    world.run(world.now + 4 * SECOND)
    assert len(hub.plane.associations) == 2 * PEERS
    assert not any("IKE_SA_INIT" in line for line in world.trace[since:])
