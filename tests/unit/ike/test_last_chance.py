"""A set-up beside a silent IKE SA was answered, and waits a moment so that the old one may answer as well (ADR 15).

Whatever happens in this moment ends well: the set-up goes on once, or is given up; nothing waits for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from culvert.addresses import SocketAddress
from culvert.config.model import Start
from culvert.ike.actions import Action, Transmit
from culvert.ike.events import (
    Acquired,
    Configured,
    Connect,
    DatagramReceived,
    DeadlineReached,
    Disconnect,
    EngineRestarted,
    PathResolved,
    PathsChanged,
    RekeyRequested,
    Stop,
)
from culvert.ike.timers import Timer
from culvert.ike.v2.sa import IkeSa, IkeState
from culvert.sim.link import MILLISECOND, Conditions, Link
from culvert.sim.pair import STEADY, Pair
from culvert.wire.isakmp.header import NO_SPI
from culvert.wire.isakmp.message import Message, emit_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType

AWAY = Conditions(loss=1.0)
STEP_S = 0.005


@pytest.fixture
def pair() -> Pair:
    """Give west while it waits: east came back from an outage without anything of before."""
    pair = Pair()
    pair.west_peer = replace(pair.west_peer, start=Start.ALWAYS)
    pair.tell("east", Configured((pair.east_peer,)))
    pair.tell("west", Configured((pair.west_peer,)))
    assert pair.west.up("east")
    _link(pair).conditions = AWAY
    pair.tell("west", RekeyRequested("east"), 10)
    pair.world.restart("east")
    _link(pair).conditions = STEADY
    for _ in range(1_000):
        pair.wait(STEP_S)
        if _waiting(pair):
            return pair
    raise AssertionError("no set-up waits")


def _link(pair: Pair) -> Link:
    assert isinstance(pair.world.link, Link)
    return pair.world.link


def _waiting(pair: Pair) -> IkeSa | None:
    ctx = pair.west.endpoint.state
    found = (sa for sa in ctx.sas.values() if ctx.timers.at(Timer.LAST_CHANCE, sa.spi.hex()) is not None)
    return next(found, None)


def _sa(pair: Pair) -> IkeSa:
    sa = _waiting(pair)
    assert sa is not None
    assert (sa.state, sa.window.outstanding) == (IkeState.INIT_SENT, None)
    return sa


def _answer(sa: IkeSa, *notifies: Notify, spi_r: bytes | None = None) -> DatagramReceived:
    """Give another answer to the first message, as anybody on the way can make one."""
    known = sa.spi_r if spi_r is None else spi_r
    data = emit_message(Message(sa.spi_i, known, ExchangeType.IKE_SA_INIT, False, True, 0, notifies))
    return DatagramReceived(sa.local, sa.remote, data)


def _ended_well(pair: Pair, *, up: bool = True) -> None:
    """Both ends have one IKE SA in the end, or none."""
    pair.wait(150)
    assert pair.west.up("east") is up
    for node in (pair.west, pair.east):
        census = node.endpoint.census()
        assert (census.established, census.setting_up, census.ending) == (int(up), 0, 0)
        assert len(node.plane.associations) == 2 * up


def test_it_goes_on_after_the_moment_and_not_before(pair: Pair) -> None:
    sa = _sa(pair)
    due = pair.west.endpoint.state.timers.at(Timer.LAST_CHANCE, sa.spi.hex())
    assert due is not None
    lines = pair.wait((due - pair.world.now - MILLISECOND) / 1e9)
    assert not any("west sends IKE_AUTH" in line for line in lines)
    lines = pair.wait(0.01)
    assert sum("west sends IKE_AUTH" in line for line in lines) == 1
    _ended_well(pair)


FORGED: dict[str, tuple[Notify, ...]] = {
    "nothing": (),
    "cookie": (Notify(NotifyType.COOKIE, b"of nobody"),),
    "another group": (Notify(NotifyType.INVALID_KE_PAYLOAD, (14).to_bytes(2, "big")),),
    "refused": (Notify(NotifyType.NO_PROPOSAL_CHOSEN),),
}


@pytest.mark.parametrize("spi_r", [None, NO_SPI, b"stranger"])
@pytest.mark.parametrize("what", FORGED)
def test_another_answer_to_the_first_message_changes_nothing(pair: Pair, what: str, spi_r: bytes | None) -> None:
    sa, keys = _sa(pair), _sa(pair).keys
    actions = pair.west.endpoint.step(_answer(sa, *FORGED[what], spi_r=spi_r), pair.world.now)
    assert _transmitted(actions) == []
    assert _sa(pair).keys is keys
    assert _sa(pair).hint is None
    _ended_well(pair)


def test_the_same_answer_once_more_changes_nothing(pair: Pair) -> None:
    sa = _sa(pair)
    due = pair.west.endpoint.state.timers.at(Timer.LAST_CHANCE, sa.spi.hex())
    event = DatagramReceived(sa.local, sa.remote, sa.init_response)
    assert _transmitted(pair.west.endpoint.step(event, pair.world.now)) == []
    assert pair.west.endpoint.state.timers.at(Timer.LAST_CHANCE, _sa(pair).spi.hex()) == due
    _ended_well(pair)


def _transmitted(actions: list[Action]) -> list[bytes]:
    return [one.data for one in actions if isinstance(one, Transmit)]


def test_a_request_of_the_peer_is_too_early(pair: Pair) -> None:
    """Who answered cannot ask yet; so nobody who forges that gets anywhere."""
    sa = _sa(pair)
    data = emit_message(Message(sa.spi_i, sa.spi_r, ExchangeType.INFORMATIONAL, False, False, 0, ()))
    assert _transmitted(pair.west.endpoint.step(DatagramReceived(sa.local, sa.remote, data), pair.world.now)) == []
    _ended_well(pair)


def test_a_person_ends_the_tunnel(pair: Pair) -> None:
    sa = _sa(pair)
    lines = pair.tell("west", Disconnect("east"), 5)
    assert not any("west sends IKE_AUTH" in line for line in lines)
    assert pair.west.endpoint.state.timers.at(Timer.LAST_CHANCE, sa.spi.hex()) is None
    _ended_well(pair, up=False)


def test_a_person_ends_the_tunnel_and_wants_it_back(pair: Pair) -> None:
    pair.tell("west", Disconnect("east"), 0)
    pair.tell("west", Connect("east"))
    _ended_well(pair)


def test_the_gateway_stops(pair: Pair) -> None:
    lines = pair.tell("west", Stop(), 5)
    assert not any("west sends IKE_AUTH" in line for line in lines)
    assert pair.west.endpoint.census().setting_up == 0
    assert pair.west.endpoint.deadline() is None


def test_the_same_configuration_again_changes_nothing(pair: Pair) -> None:
    sa = _sa(pair)
    pair.tell("west", Configured((pair.west_peer,)), 0)
    assert _sa(pair) is sa
    _ended_well(pair)


def test_another_configuration_begins_anew(pair: Pair) -> None:
    sa = _sa(pair)
    pair.east_peer = replace(pair.east_peer, secret=b"another one")
    pair.tell("east", Configured((pair.east_peer,)), 0)
    pair.tell("west", Configured((replace(pair.west_peer, secret=b"another one"),)), 0)
    assert (sa.state, _waiting(pair)) == (IkeState.CLOSED, None)
    _ended_well(pair)


def test_the_peer_is_no_longer_configured(pair: Pair) -> None:
    lines = pair.tell("west", Configured(()), 5)
    assert not any("west sends IKE_AUTH" in line for line in lines)
    census = pair.west.endpoint.census()
    assert (census.setting_up, census.established) == (0, 0)


def test_the_process_is_another(pair: Pair) -> None:
    """A set-up is not kept; the next process begins its own."""
    pair.world.replace("west")
    _ended_well(pair)


def test_traffic_and_people_ask_for_what_is_under_way(pair: Pair) -> None:
    child = pair.west_peer.children[0]
    for event in (Acquired(child.reqid, child.local[0].start, child.remote[0].start), Connect("east")):
        lines = pair.tell("west", event, 0)
        assert not any("setting up" in line for line in lines)
    _ended_well(pair)


def test_the_data_plane_is_lost(pair: Pair) -> None:
    pair.tell("west", EngineRestarted(), 0)
    _ended_well(pair)


def test_the_ways_are_others(pair: Pair) -> None:
    """The address from which the peer was called is gone: it is called from the new one."""
    here = pair.west.address + 76
    pair.west.address = here
    pair.world.network.moved()
    pair.east_peer = replace(pair.east_peer, addresses=(str(here),))
    pair.tell("east", Configured((pair.east_peer,)), 0)
    pair.tell("west", PathsChanged((here,), ("east",)))
    _ended_well(pair)
    assert all(sa.local.ip == here for sa in pair.west.endpoint.state.sas.values())


def test_another_address_is_found_meanwhile(pair: Pair) -> None:
    """The name stands for nothing that was called: what was begun there is forgotten, and the set-up with it."""
    spi = _sa(pair).spi
    pair.west.endpoint.step(PathResolved("east", ((pair.west.address, pair.east.address + 98),)), pair.world.now)
    assert spi not in pair.west.endpoint.state.sas
    _ended_well(pair)


def test_the_old_ike_sa_ends_meanwhile(pair: Pair) -> None:
    ctx = pair.west.endpoint.state
    (old,) = (sa for sa in ctx.sas.values() if sa.state is IkeState.ESTABLISHED)
    ctx.timers.set(Timer.IKE_HARD, old.spi.hex(), pair.world.now)
    lines = pair.tell("west", DeadlineReached(), 0)
    assert any("reached its hard limit" in line for line in lines)
    _ended_well(pair)


def test_the_peer_calls_meanwhile() -> None:
    """Both call beside at once; one IKE SA stays."""
    both = Pair()
    both.west_peer = replace(both.west_peer, start=Start.ALWAYS)
    both.east_peer = replace(both.east_peer, start=Start.ALWAYS)
    both.configure()
    both.wait(60)
    _link(both).conditions = AWAY
    for name, other in (("west", "east"), ("east", "west")):
        both.world.at(both.world.now, name, RekeyRequested(other))
    both.wait(10)
    _link(both).conditions = STEADY
    _ended_well(both)


CHANGES: dict[str, Callable[[SocketAddress], SocketAddress]] = {
    "port": lambda end: SocketAddress(end.ip, end.port + 1),
    "address": lambda end: SocketAddress(end.ip + 1, end.port),
}


@pytest.mark.parametrize("what", CHANGES)
def test_an_answer_from_elsewhere_changes_nothing(pair: Pair, what: str) -> None:
    sa = _sa(pair)
    remote = sa.remote
    event = DatagramReceived(sa.local, CHANGES[what](remote), sa.init_response)
    assert _transmitted(pair.west.endpoint.step(event, pair.world.now)) == []
    assert _sa(pair).remote == remote
    _ended_well(pair)
