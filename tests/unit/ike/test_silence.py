"""A peer that does not answer is called beside its IKE SA; what nothing protects ends none."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from culvert.clock import SECOND
from culvert.config.model import Peer, Start
from culvert.entropy import SeededEntropy
from culvert.ike.actions import ResolvePath, Transmit
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import Configured, Connect, DeadlineReached, PathResolved, RekeyRequested
from culvert.ike.status import PeerState
from culvert.reasons import Refusal
from culvert.sim.link import Conditions
from culvert.sim.pair import STEADY, Pair

LOST = Conditions(loss=1.0)
HERE = ip_address("203.0.113.1")


def standing(start: Start = Start.ALWAYS) -> Pair:
    """Give a tunnel that stands for a minute, begun by west; east calls nobody."""
    pair = Pair()
    pair.west_peer = replace(pair.west_peer, start=start)
    pair.configure()
    pair.tell("west", Connect("east"), 60)
    assert pair.west.up("east")
    return pair


def spi(pair: Pair) -> bytes:
    ike = pair.west.endpoint.status("east").ike
    assert ike is not None
    return ike.spi_i


def test_an_outage_of_a_minute_ends_no_ike_sa() -> None:
    pair = standing()
    before = spi(pair)
    pair.world.link.conditions = LOST
    pair.tell("west", RekeyRequested("east", ike=True), 58)
    status = pair.west.endpoint.status("east")
    assert (status.state, status.reason) == (PeerState.CONNECTING, Refusal.NO_RESPONSE)
    assert status.silent_since is not None
    assert pair.world.now - status.silent_since > 58 * SECOND
    pair.world.link.conditions = STEADY
    lines = pair.wait(5)
    assert any("IKE SA rekeyed" in line for line in lines)
    status = pair.west.endpoint.status("east")
    assert (status.state, status.silent_since) == (PeerState.UP, None)
    assert spi(pair) != before
    pair.wait(60)
    assert pair.west.endpoint.census().established == pair.east.endpoint.census().established == 1


def test_what_was_begun_beside_goes_when_the_old_one_answers() -> None:
    pair = standing()
    pair.world.link.conditions = LOST
    pair.tell("west", RekeyRequested("east"), 10)
    assert pair.west.endpoint.census().setting_up == 1
    pair.world.link.conditions = STEADY
    pair.wait(4)
    assert pair.west.endpoint.census().setting_up == 0
    pair.wait(60)
    assert pair.west.endpoint.census().established == 1


def test_a_peer_that_lost_everything_and_calls_nobody_is_called_beside() -> None:
    pair = standing()
    before, pair.east.configured = spi(pair), Configured((pair.east_peer,))
    pair.world.restart("east")
    lines = pair.tell("west", RekeyRequested("east"), 5)
    assert spi(pair) != before
    assert pair.east.up("west")
    assert not any("no longer answers" in line for line in lines)
    pair.wait(150)
    assert pair.west.endpoint.census().established == 1


def test_who_is_passive_calls_nobody_beside() -> None:
    pair = Pair().configure()
    pair.tell("east", Connect("west"), 60)
    pair.world.link.conditions = LOST
    lines = pair.tell("west", RekeyRequested("east"), 100)
    assert not any("west sends IKE_SA_INIT" in line for line in lines)
    assert pair.west.endpoint.status("east").reason is Refusal.PEER_DEAD


def test_an_unprotected_hint_ends_nothing_and_costs_one_call() -> None:
    """INVALID_IKE_SPI to a peer that lives: the old IKE SA answers, and the call beside it is taken back."""
    pair = standing()
    before = spi(pair)
    east, pair.world.nodes["east"].endpoint = pair.east.endpoint, Endpoint(SeededEntropy(7), pair.world.now)
    pair.tell("west", RekeyRequested("east"), 0.05)
    assert pair.west.endpoint.census().setting_up == 1
    pair.world.nodes["east"].endpoint = east
    lines = pair.wait(4)
    assert spi(pair) == before
    assert pair.west.up("east")
    assert sum("setting up IKE SA" in line for line in lines) == 0
    pair.wait(60)
    assert pair.west.endpoint.census().established == 1


def _called(peer: Peer, paths: list[str], seconds: int) -> list[tuple[float, str]]:
    """Give when which address was first called, where none of them answers."""
    endpoint, now = Endpoint(SeededEntropy(1), 0), 0
    endpoint.step(Configured((peer,)), now)
    actions = endpoint.step(PathResolved("east", tuple((HERE, ip_address(path)) for path in paths)), now)
    called = list[tuple[float, str]]()
    while now <= seconds * SECOND:
        called += [(now / SECOND, str(one.remote.ip)) for one in actions if isinstance(one, Transmit)]
        assert not any(isinstance(one, ResolvePath) for one in actions)
        deadline = endpoint.deadline()
        assert deadline is not None
        now = deadline[0]
        actions = endpoint.step(DeadlineReached(), now)
    return called


def test_addresses_are_called_in_their_order_a_little_after_each_other() -> None:
    paths = [f"198.51.100.{number}" for number in range(1, 5)]
    called = _called(replace(Pair().west_peer, start=Start.ALWAYS), paths, 15)
    first = {path: min(at for at, to in called if to == path) for path in paths}
    assert list(first.values()) == [0, 1, 2, 3]
    for path in paths:  # and none is forgotten meanwhile
        assert sum(to == path for _, to in called) >= 5
