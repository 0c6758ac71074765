import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.daemon.loop import MAX_QUEUED_DATAGRAMS, MAX_QUEUED_FIRST_MESSAGES
from culvert.ike.actions import Log, PeerChanged, RemoveAssociation, ResolvePath, Transmit
from culvert.ike.events import (
    Acquired,
    Configured,
    Connect,
    DatagramReceived,
    DeadlineReached,
    Disconnect,
    PathFailed,
    PathResolved,
    Stop,
)
from culvert.ipsec.associations import AssociationId
from culvert.reasons import Refusal

HERE = SocketAddress(ip_address("203.0.113.1"), 500)
THERE = SocketAddress(ip_address("198.51.100.1"), 500)
DATAGRAM = DatagramReceived(HERE, THERE, b"")


@pytest.fixture
async def shell(world):
    world.plane.running = True
    running = world.tasks.spawn("ike", world.gateway.shell.run())
    yield world.gateway.shell
    running.cancel()


async def handled(world, kind):
    async with asyncio.timeout(5):
        while not any(isinstance(event, kind) for event in world.core.events):
            await asyncio.sleep(0.001)


async def test_actions_are_done_in_order_before_the_next_event(world, shell):
    world.core.script[Connect] = [
        Transmit(HERE, THERE, b"1"),
        RemoveAssociation(AssociationId(HERE.ip, 1)),
        Transmit(HERE, THERE, b"2"),
    ]
    world.core.script[Disconnect] = [Transmit(HERE, THERE, b"3")]
    shell.post(Connect("warehouse"))
    shell.post(Disconnect("warehouse"))
    assert await shell.stop(5)
    assert world.story.steps == ["transmit", "remove", "transmit", "transmit"]
    assert [data for _, _, data in world.plane.sent] == [b"1", b"2", b"3"]


async def test_a_deadline_that_comes_is_told(world, shell):
    world.core.script[DeadlineReached] = lambda _event: setattr(world.core, "due", None) or []
    world.core.due = (world.clock.now() + SECOND // 100, "retransmission")
    shell.post(Connect("warehouse"))
    await asyncio.sleep(0)
    world.clock.advance(SECOND)
    await handled(world, DeadlineReached)


async def test_a_deadline_that_never_moves_does_not_starve_the_queue(world, shell):
    world.core.due = (0, "stuck")
    shell.post(Connect("warehouse"))
    await handled(world, Connect)
    assert await shell.stop(5)


async def test_a_flood_of_events_does_not_starve_the_deadline(world, shell):
    world.core.due = (0, "due")
    for _ in range(MAX_QUEUED_DATAGRAMS):
        shell.post(DATAGRAM)
    await handled(world, DeadlineReached)
    first = next(index for index, event in enumerate(world.core.events) if isinstance(event, DeadlineReached))
    assert first < 3


async def test_datagrams_beyond_the_bound_are_dropped_and_counted_but_nothing_else_is(world):
    shell = world.gateway.shell
    for _ in range(MAX_QUEUED_DATAGRAMS + 5):
        shell.post(DATAGRAM)
    shell.post(Connect("warehouse"))
    assert shell.datagrams_dropped == 5
    world.tasks.spawn("ike", shell.run())
    assert await shell.stop(5)
    assert [type(event) for event in world.core.events] == [Connect, Stop]


async def test_a_flood_of_first_messages_does_not_push_aside_who_is_known(world):
    shell = world.gateway.shell
    first = replace(DATAGRAM, data=bytes(range(1, 9)) + bytes(20))
    known = replace(DATAGRAM, data=bytes(range(1, 29)))
    for _ in range(MAX_QUEUED_DATAGRAMS):
        shell.post(first)
    shell.post(known)
    assert shell.datagrams_dropped == MAX_QUEUED_DATAGRAMS - MAX_QUEUED_FIRST_MESSAGES
    world.tasks.spawn("ike", shell.run())
    await handled(world, DatagramReceived)
    assert world.core.events[0] == known


async def test_a_failure_in_the_core_does_not_end_the_shell(world, shell, caplog):
    def fail(_event):
        raise KeyError("a bug")

    world.core.script[Connect] = fail
    shell.post(Connect("warehouse"))
    shell.post(Acquired(1, HERE.ip, THERE.ip))
    await handled(world, Acquired)
    assert "The IKE core failed at an event." in caplog.text


async def test_a_data_plane_that_is_gone_stops_nothing(world, shell):
    world.plane.running = False
    world.core.script[Connect] = [Transmit(HERE, THERE, b"1"), PeerChanged("warehouse")]
    change = world.tasks.spawn("change", world.gateway.changed())
    await asyncio.sleep(0)
    shell.post(Connect("warehouse"))
    async with asyncio.timeout(5):
        await change


async def test_paths_are_resolved_beside_and_answered(world, shell):
    world.core.script[Configured] = [ResolvePath("warehouse", ("198.51.100.1",)), ResolvePath("x", ("nowhere",))]
    shell.post(Configured(()))
    await handled(world, PathResolved)
    await handled(world, PathFailed)
    failed = next(event for event in world.core.events if isinstance(event, PathFailed))
    assert failed.reason is Refusal.NAME_NOT_RESOLVED


async def test_what_the_core_says_is_logged_with_its_fields(world, shell, caplog):
    world.core.script[Connect] = [Log(30, "warehouse", "The peer does not answer.", Refusal.NO_RESPONSE)]
    with caplog.at_level(10):
        shell.post(Connect("warehouse"))
        assert await shell.stop(5)
    record = next(record for record in caplog.records if record.getMessage() == "The peer does not answer.")
    assert record.culvert_fields == {"peer": "warehouse", "reason": Refusal.NO_RESPONSE}


async def test_stopping_a_shell_that_hangs_takes_no_longer_than_it_may(world):
    assert not await world.gateway.shell.stop(0.01)
    assert world.gateway.shell._events[-1][0] == Stop()


async def test_nobody_waits_for_a_shell_that_has_ended(world, shell):
    shell.post(Stop())
    async with asyncio.timeout(5):
        await shell.perform(Connect("warehouse"))
        await shell.perform(Connect("warehouse"))


async def test_the_core_knows_the_time_of_day_before_anything_else_and_when_it_was_set(world, shell):
    shell.post(Connect("warehouse"))
    await handled(world, Connect)
    assert world.core.calendar == [world.clock.utc_offset_s]
    world.clock.utc_offset_s += 1  # two clocks that are read in whole seconds
    shell.post(Disconnect("warehouse"))
    await handled(world, Disconnect)
    world.clock.utc_offset_s += 3_600
    shell.post(Acquired(1, HERE.ip, THERE.ip))
    await handled(world, Acquired)
    assert world.core.calendar == [world.clock.utc_offset_s - 3_601, world.clock.utc_offset_s]
