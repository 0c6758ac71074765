"""Our own addresses and routes change; traffic finds no answer."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert.clock import SECOND
from culvert.config.model import Child, Start
from culvert.identities import Identity
from culvert.ike.events import Configured, Connect, NothingReceived, PathsChanged
from culvert.ipsec.associations import AssociationId, Direction
from culvert.ipsec.selectors import traffic_selector
from culvert.sim.link import Conditions
from culvert.sim.pair import ESP, STEADY, Pair

WEST, NEW, ELSEWHERE = (ip_address(text) for text in ("203.0.113.1", "203.0.113.77", "192.0.2.1"))
LOST = Conditions(loss=1.0)


def roaming() -> Pair:
    """Give a tunnel that west began; east knows west by its name alone."""
    pair = Pair()
    name = Identity.parse("west.example.org")
    pair.west_peer = replace(pair.west_peer, start=Start.ALWAYS, local_identity=name)
    pair.east_peer = replace(pair.east_peer, identity=name, addresses=())
    pair.configure()
    pair.wait(50)
    assert pair.west.up("east")
    return pair


def asks(lines: list[str], who: str = "west") -> int:
    return sum(f"{who} sends INFORMATIONAL request" in line for line in lines)


def inbound(pair: Pair) -> AssociationId:
    (one,) = pair.west.plane.side(Direction.IN)
    return one.id


def test_a_new_address_makes_a_new_tunnel_at_once_and_the_old_one_goes() -> None:
    pair = roaming()
    pair.west.address = NEW
    pair.tell("west", PathsChanged((NEW, ELSEWHERE), ("east",)), 1.5)
    ike = pair.west.endpoint.status("east").ike
    assert ike is not None
    assert ike.local.ip == NEW
    assert pair.east.up("west")
    sends_on = pair.east.plane.sends_on().values()
    (out,) = [sa for sa in pair.east.plane.side(Direction.OUT) if sa.spi in sends_on]
    assert out.destination == NEW
    pair.wait(120)
    for node in (pair.west, pair.east):
        assert node.endpoint.census().established == 1
        assert node.endpoint.census().ending == 0


def test_every_part_of_a_child_is_led_to_the_new_address_at_once() -> None:
    """Something shows it soon that we have the last part, too: it is asked whether it is there."""
    pair, name = Pair(), Identity.parse("west.example.org")
    ours, theirs = ((traffic_selector(f"10.{n}.0.0/16"), traffic_selector(f"10.{n + 2}.0.0/16")) for n in (1, 2))
    children = Child("east", "net", ours, theirs, ESP), Child("west", "net", theirs, ours, ESP)
    pair.west_peer = replace(pair.west_peer, start=Start.ALWAYS, local_identity=name, split=True, children=children[:1])
    pair.east_peer = replace(pair.east_peer, identity=name, addresses=(), children=children[1:])
    pair.configure()
    pair.wait(50)
    pair.west.address = NEW
    pair.tell("west", PathsChanged((NEW, ELSEWHERE), ("east",)), 0.2)
    led = [one.destination == NEW for one in pair.east.plane.side(Direction.OUT)]
    assert sum(led) == len(ours) * len(theirs)


def test_other_addresses_that_come_and_go_are_nobodys_concern() -> None:
    pair = roaming()
    lines = pair.tell("west", PathsChanged((WEST, ELSEWHERE)), 0.5)
    lines += pair.tell("west", PathsChanged((WEST,)), 0.5)
    assert not any("sends" in line for line in lines)


def test_another_way_makes_us_ask_at_once() -> None:
    pair = roaming()
    assert asks(pair.tell("west", PathsChanged((WEST,), ("nobody",)), 0.5)) == 0
    assert asks(pair.tell("west", PathsChanged((WEST,), ("east",)), 0.5)) == 1


def test_an_uplink_that_comes_back_is_used_at_once() -> None:
    """No attempt waits for its turn when the host says that there is a way again."""
    pair = roaming()
    pair.world.link.conditions = LOST
    pair.tell("west", PathsChanged((WEST,), ("east",)), 200)
    assert pair.west.endpoint.census().established == 0
    pair.world.link.conditions = STEADY
    pair.tell("west", PathsChanged((WEST,), ("east",)), 0.3)
    assert pair.west.up("east")


def test_a_flapping_interface_asks_no_faster_than_once_a_second() -> None:
    pair = roaming()
    sent = 0
    for _ in range(100):
        sent += asks(pair.tell("west", PathsChanged((WEST,), ("east",)), 0.1))
    assert sent <= 11
    pair.world.link.conditions = LOST
    sent = 0
    for number in range(300):
        here = (WEST,) if number % 2 else (ELSEWHERE,)
        lines = pair.tell("west", PathsChanged(here, ("east",)), 0.1)
        sent += sum("west sends" in line for line in lines)
    assert sent < 100
    pair.world.link.conditions = STEADY
    pair.tell("west", PathsChanged((WEST,), ("east",)), 5)
    assert pair.west.up("east")


@pytest.mark.parametrize("sending", [False, True])
def test_traffic_without_an_answer_makes_us_ask(sending: bool) -> None:
    pair = roaming()
    assert asks(pair.tell("west", NothingReceived(inbound(pair), sending), 0.5)) == 1
    assert asks(pair.tell("west", NothingReceived(inbound(pair), sending), 0.1)) == 0  # it answered just now
    strange = AssociationId(WEST, 0xBAD)
    assert asks(pair.tell("west", NothingReceived(strange, sending), 2)) == 0


def test_dpd_that_is_off_is_off() -> None:
    pair = Pair()
    pair.west_peer = replace(pair.west_peer, dpd_s=0)
    pair.connect()
    pair.wait(60)
    assert asks(pair.tell("west", NothingReceived(inbound(pair), True), 2)) == 0


def test_traffic_that_is_sent_in_vain_asks_for_the_tunnel() -> None:
    """East begins the tunnel and loses it; west waits for traffic, and this is some."""
    pair = Pair()
    pair.west_peer = replace(pair.west_peer, start=Start.TRAFFIC)
    pair.configure()
    pair.tell("east", Connect("west"), 60)
    pair.east.configured = Configured((pair.east_peer,))
    pair.world.restart("east")
    pair.tell("west", NothingReceived(inbound(pair), True), 2)
    assert pair.west.up("east")
    assert pair.east.up("west")


def test_hints_about_thousands_are_followed_at_a_bounded_rate() -> None:
    pair = roaming()
    hints = pair.west.endpoint._ctx.hints
    slots = [hints.slot(pair.world.now) for _ in range(5_000)]
    given = [at for at in slots if at is not None]
    assert len(given) == 2_001
    assert given[-1] - given[0] == 4 * SECOND
    assert asks(pair.tell("west", NothingReceived(inbound(pair), True), 2)) == 0
    assert asks(pair.tell("west", NothingReceived(inbound(pair), True), 3)) == 1
