"""The plan follows what children negotiated, and does not flap with them."""

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert.daemon.parts import Ending
from culvert.daemon.suites import learned, still_true
from culvert.ike.actions import PeerChanged
from culvert.ike.events import Connect
from culvert.ike.status import ChildStatus, PeerState, PeerStatus
from culvert.ipsec.associations import AssociationId

THEIRS = ip_address("198.51.100.1")
KEY = ("warehouse", "warehouse")


def child(cipher="aes256gcm16", encapsulation="esp", spi=0x1000, to=THEIRS):
    id_ = AssociationId(to, spi)
    return ChildStatus("warehouse", id_, id_, (), (), cipher, encapsulation, 0, None)


def up(*children):
    return PeerStatus("warehouse", PeerState.UP, children=children)


@pytest.mark.parametrize("cipher", ["aes256gcm16", "chacha20poly1305", "aes128-sha256"])
@pytest.mark.parametrize("encapsulation", ["esp", "udp"])
def test_what_the_core_shows_is_understood(cipher, encapsulation):
    suite = learned({}, [up(child(cipher, encapsulation))])[KEY]
    names = [suite.encryption.name, *([suite.integrity.name] if suite.integrity else [])]
    assert ("-".join(names), suite.udp, suite.outer_version) == (cipher, encapsulation == "udp", 4)


def test_the_version_outside_is_that_of_the_peers_address():
    assert learned({}, [up(child(to=ip_address("2001:db8::1")))])[KEY].outer_version == 6


def test_what_is_down_keeps_its_suite_and_what_comes_back_otherwise_takes_another():
    known = learned({}, [up(child())])
    assert learned(known, [PeerStatus("warehouse", PeerState.DOWN)]) == known
    assert learned(known, [up(child(spi=0x2000))]) == known
    assert learned(known, [up(child(encapsulation="udp"))])[KEY].udp


def test_another_configuration_keeps_only_peers_that_did_not_change(make):
    before = make.configuration(make.peer("a", "192.0.2.1", "10.1.0.0/16"), make.peer("b", "192.0.2.2", "10.2.0.0/16"))
    a, b = before.peers
    suite = learned({}, [up(child())])[KEY]
    known = {("a", "a"): suite, ("b", "b"): suite}
    assert list(still_true(known, before, make.configuration(a, replace(b, mtu=1400)))) == [("a", "a")]
    assert still_true(known, before, make.configuration(a, b)) == known


async def say(world, status):
    """Let the core tell of another state, and wait until all of that is done."""
    world.core.peers["warehouse"] = status
    world.core.script[Connect] = [PeerChanged("warehouse")]
    await world.gateway.perform(Connect("warehouse"))
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_route_and_the_status_follow_what_was_negotiated_and_keep_it(world):
    await world.gateway.start()
    assert world.network.steering.routes[0].mtu == 1500 - 73
    await say(world, up(child()))
    assert world.network.steering.routes[0].mtu == 1500 - 65
    assert (await world.gateway.status())["peers"]["warehouse"]["mtu"] == 1500 - 65
    world.story.steps.clear()
    for status in (PeerStatus("warehouse", PeerState.DOWN), up(), up(child(spi=0x2000)), up(child(spi=0x3000))):
        await say(world, status)
    assert world.story.steps == []
    await say(world, up(child(encapsulation="udp")))
    assert world.network.steering.routes[0].mtu == 1500 - 73
    await world.gateway.stop(Ending.OPEN)


async def test_many_changes_at_once_are_one_plan(world):
    await world.gateway.start()
    world.story.steps.clear()
    await world.gateway.applying.acquire()
    for encapsulation in ("udp", "esp", "udp", "esp"):
        await say(world, up(child(encapsulation=encapsulation)))
    world.gateway.applying.release()
    await say(world, up(child()))
    assert world.story.steps.count("facts") == 1
    assert world.network.steering.routes[0].mtu == 1500 - 65
    await world.gateway.stop(Ending.OPEN)
