"""A process that takes over the data plane of a former one: no packet is lost, and one IKE SA remains."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Start
from culvert.ike import peering
from culvert.ike.actions import Transmit
from culvert.ike.events import DatagramReceived, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.timers import Timer
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import Lineage, Liveness, Task
from culvert.ipsec.associations import Direction
from culvert.reasons import Refusal
from culvert.sim.link import MILLISECOND
from culvert.sim.pair import Pair, with_child
from culvert.sim.world import Node

STEP_S = 0.001
TRANSIT_NS = MILLISECOND
"""Packets travel faster than IKE, which two processes in Python have to handle before it counts."""


def _pair(start: Start = Start.ALWAYS) -> Pair:
    pair = Pair(start=start)
    pair.west_peer = replace(pair.west_peer, start=Start.ALWAYS)
    pair.configure()
    pair.wait(10)
    return pair


def _sends_on(node: Node) -> int:
    """Give the SPI that the data plane sends on: the newest outbound association's."""
    return list(node.plane.side(Direction.OUT))[-1].spi


def _takes(node: Node) -> list[int]:
    return [one.spi for one in node.plane.side(Direction.IN)]


def _no_packet_is_lost_for(pair: Pair, seconds: float) -> None:
    """Send a packet in each direction at every millisecond, and see that the other end opens it when it arrives."""
    on_the_way: list[tuple[int, Node, int]] = []
    end = pair.world.now + int(seconds * SECOND)
    while pair.world.now < end:
        pair.wait(STEP_S)
        for receiver, spi in ((pair.east, _sends_on(pair.west)), (pair.west, _sends_on(pair.east))):
            on_the_way.append((pair.world.now + TRANSIT_NS, receiver, spi))
        while on_the_way and on_the_way[0][0] <= pair.world.now:
            _, receiver, spi = on_the_way.pop(0)
            assert spi in _takes(receiver), f"{receiver.name} dropped a packet at {pair.world.now / SECOND} s"


@pytest.mark.parametrize("start", [Start.ALWAYS, Start.PASSIVE])
def test_traffic_goes_on_while_the_process_is_another(start: Start) -> None:
    pair = _pair(start)
    old = pair.east.endpoint.status("west").ike
    pair.world.replace("west", checkpoints=False)
    _no_packet_is_lost_for(pair, 30)
    assert pair.west.endpoint.status("east").state is pair.east.endpoint.status("west").state is PeerState.UP
    assert pair.east.endpoint.census().established == pair.west.endpoint.census().established == 1
    assert len(pair.west.plane.associations) == len(pair.east.plane.associations) == 2
    new = pair.east.endpoint.status("west").ike
    assert old is not None
    assert new is not None
    assert new.spi_i != old.spi_i
    assert pair.east.endpoint.census().ending == 0


@pytest.mark.parametrize("start", [Start.TRAFFIC, Start.PASSIVE])
def test_who_does_not_call_by_itself_calls_for_what_it_holds(start: Start) -> None:
    pair = Pair()
    pair.west_peer = replace(pair.west_peer, start=start)
    pair.connect()
    pair.world.replace("west", checkpoints=False)
    _no_packet_is_lost_for(pair, 30)
    assert pair.west.endpoint.status("east").state is PeerState.UP


def test_several_children_go_over_one_after_the_other() -> None:
    pair = Pair(start=Start.ALWAYS)
    pair.west_peer = with_child(pair.west_peer, "10.1.0.0/16", "10.9.0.0/16", "more")
    pair.east_peer = with_child(pair.east_peer, "10.9.0.0/16", "10.1.0.0/16", "more")
    pair.configure()
    pair.wait(10)
    pair.world.replace("west", checkpoints=False)
    for _ in range(30_000):
        pair.wait(STEP_S)
        for sender, receiver in ((pair.west, pair.east), (pair.east, pair.west)):
            newest = {one.reqid: one.spi for one in sender.plane.side(Direction.OUT)}
            assert all(spi in _takes(receiver) for spi in newest.values())
    assert len(pair.west.endpoint.status("east").children) == 2
    assert len(pair.west.plane.associations) == len(pair.east.plane.associations) == 4


def test_the_old_ike_sa_is_gone_within_half_a_minute_also_where_it_was_rekeyed() -> None:
    pair = _pair()
    pair.tell("east", RekeyRequested("west", ike=True))
    pair.world.replace("west", checkpoints=False)
    pair.wait(30)
    assert pair.east.endpoint.census() == replace(pair.west.endpoint.census(), children=1)
    assert pair.east.endpoint.census().established == 1


def test_a_tunnel_set_up_shortly_before_is_no_collision() -> None:
    pair = Pair(start=Start.ALWAYS).configure()
    pair.wait(2)
    for name in ("west", "east"):
        pair.world.replace(name, checkpoints=False)
        _no_packet_is_lost_for(pair, 3)
    pair.wait(40)
    assert pair.east.endpoint.census().established == pair.west.endpoint.census().established == 1


def test_an_unknown_ike_sa_is_named_without_protection_and_ends_nothing() -> None:
    pair = _pair(Start.PASSIVE)
    pair.world.restart("west")
    pair.world.names.clear()
    pair.west.configured = None
    pair.world.restart("west")  # nothing is configured there any more: it does not call by itself
    lines = pair.tell("east", RekeyRequested("west"), 20)
    assert sum("west sends CREATE_CHILD_SA response" in line for line in lines) > 1
    assert pair.east.endpoint.census().established == 1
    assert pair.east.endpoint.status("west").reason is Refusal.NO_RESPONSE
    pair.wait(60)
    assert pair.east.endpoint.status("west").reason is Refusal.PEER_DEAD


def test_what_is_being_ended_goes_when_the_peer_does_not_know_it() -> None:
    pair = _pair(Start.PASSIVE)
    pair.world.replace("west", checkpoints=False)
    pair.wait(21)
    assert pair.east.endpoint.census().ending == 0
    assert not [key for key in pair.east.endpoint._ctx.timers._due if key[0] is Timer.RETRANSMIT]


def test_answers_without_protection_are_bounded() -> None:
    pair = _pair()
    pair.world.restart("west")
    sealed = bytes(range(1, 17)) + bytes((46, 0x20, 37, 0x08)) + bytes(4) + (60).to_bytes(4, "big") + bytes(32)
    path = pair.west.address, pair.east.address
    event = DatagramReceived(SocketAddress(path[0], 500), SocketAddress(path[1], 500), sealed)
    sent = [
        action
        for _ in range(100)
        for action in pair.west.endpoint.step(event, pair.world.now)
        if isinstance(action, Transmit)
    ]
    assert 0 < len(sent) <= 21
    assert all(len(action.data) <= len(sealed) for action in sent)


def test_where_the_peer_shows_nothing_we_change_over_after_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = _pair(Start.PASSIVE)
    enqueue = peering.lineages.enqueue

    def asking_nothing(ctx: Context, lineage: Lineage, task: Task, **more: bool) -> None:
        if not isinstance(task, Liveness):  # as other implementations do
            enqueue(ctx, lineage, task, **more)

    monkeypatch.setattr(peering.lineages, "enqueue", asking_nothing)
    old = _sends_on(pair.east)
    pair.world.replace("west", checkpoints=False)
    pair.wait(0.5)
    assert _sends_on(pair.east) == old
    pair.wait(1)
    assert _sends_on(pair.east) != old
    assert _sends_on(pair.east) in _takes(pair.west)
