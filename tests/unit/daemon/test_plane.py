"""The engine as the gateway's data plane, against an engine in memory that speaks the same messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from culvert.addresses import SocketAddress
from culvert.crypto.transforms import ENCRYPTION
from culvert.daemon.logging import Journal
from culvert.daemon.plane import EnginePlane
from culvert.daemon.tasks import Tasks
from culvert.ike import events as ike
from culvert.ipsec.associations import Direction, Encapsulation, SecurityAssociation
from culvert.ipsec.policies import Action, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.wire.netlink.strays import StrayWire
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.fake import FakeEngine

US, THEM, ELSEWHERE = (ip_address(text) for text in ("203.0.113.1", "198.51.100.1", "198.51.100.77"))
GCM = next(one for one in ENCRYPTION if one.name == "aes128gcm16")
OUT = SecurityAssociation(
    US, THEM, 0x1000, Direction.OUT, 7, GCM, bytes(range(20)), encapsulation=Encapsulation(4500, 40_000)
)
IN = SecurityAssociation(
    THEM, US, 0x2000, Direction.IN, 7, GCM, bytes(range(1, 21)), encapsulation=Encapsulation(40_000, 4500)
)
SELECTOR = Selector(ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24"))
TEMPLATE = Template(ip_address(0), ip_address(0), 7)
POLICIES = (
    Policy(SELECTOR, Direction.OUT, Action.PROTECT, 100, (TEMPLATE,)),
    Policy(SELECTOR.reversed, Direction.IN, Action.PROTECT, 100, (TEMPLATE,)),
)


class Bench:
    """A plane, the engine that it drives, a client beside it, and what the plane told."""

    def __init__(self, plane: EnginePlane, engine: FakeEngine, client: XfrmClient) -> None:
        self.plane, self.engine, self.client = plane, engine, client
        self.told: asyncio.Queue[object] = asyncio.Queue()

    async def next(self) -> object:
        async with asyncio.timeout(5):
            return await self.told.get()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    engine, path = FakeEngine(), tmp_path / "engine.sock"
    engine.listen(path)
    journal = Journal(logging.getLogger("culvert.test"))
    tasks = Tasks(journal)
    bench = Bench(EnginePlane(path, tasks, journal), engine, await XfrmClient.connect(path))
    put = bench.told.put_nowait
    assert await bench.plane.start(put, lambda: None, lambda: put("path"))
    await bench.plane.apply(POLICIES)
    for association in (OUT, IN):
        await bench.plane.install(association)
    yield bench
    await bench.plane.detach()
    await tasks.cancel_all()
    bench.client.close()
    engine.close()


async def test_a_new_mapping_is_told_to_the_core(bench: Bench) -> None:
    old, new = SocketAddress(THEM, 40_000), SocketAddress(ELSEWHERE, 41_000)
    bench.engine.rebind(IN.id, old, new)
    assert await bench.next() == ike.MappingChanged(IN.id, new)


async def test_a_packet_for_an_unknown_association_is_told_to_the_core(bench: Bench) -> None:
    ends = SocketAddress(US, 4500), SocketAddress(THEM, 40_000)
    bench.engine.stray(StrayWire(*ends, 50, 0x12345678))
    assert await bench.next() == ike.UnknownSpi(*ends, 50, 0x12345678)


async def test_ports_alone_are_changed_where_the_association_stands(bench: Bench) -> None:
    await bench.plane.move(OUT, replace(OUT, encapsulation=Encapsulation(4500, 41_000)))
    state = await bench.client.association(OUT.id, keys=True)
    assert state is not None
    assert state.encapsulation == Encapsulation(4500, 41_000)


async def test_an_address_takes_both_associations_along_and_leaves_the_policies(bench: Bench) -> None:
    before = await bench.client.policies()
    there = replace(OUT, destination=ELSEWHERE, encapsulation=Encapsulation(4500, 41_000))
    back = replace(IN, source=ELSEWHERE, encapsulation=Encapsulation(41_000, 4500))
    await bench.plane.move(OUT, there)
    await bench.plane.move(IN, back)
    states = {state.id: state for state in await bench.client.associations(keys=True)}
    assert states.keys() == {there.id, back.id}
    for moved in (there, back):
        state = states[moved.id]
        assert (state.source, state.encapsulation) == (moved.source, moved.encapsulation)
        assert state.keys is not None
        assert state.keys.encryption == moved.encryption_key
    assert await bench.client.policies() == before


async def test_paths_are_told_and_given(bench: Bench) -> None:
    bench.engine.learn_path_mtu(THEM, 1400)
    assert await bench.next() == "path"
    assert await bench.plane.path_mtus() == {THEM: 1400}


async def test_associations_tell_which_way_they_work(bench: Bench) -> None:
    await bench.client.add_association(replace(OUT, spi=0x3000, direction=None))
    found = {one.id.spi: one.direction for one in await bench.plane.associations()}
    assert found == {0x1000: Direction.OUT, 0x2000: Direction.IN, 0x3000: None}


BY_HAND = Policy(Selector(ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16")), Direction.OUT, Action.DISCARD, 5)


async def another(path: Path, *, recalled: int) -> EnginePlane:
    """Have the next daemon find an engine at this place."""
    journal = Journal(logging.getLogger("culvert.test"))
    plane = EnginePlane(path, Tasks(journal), journal)
    assert (await plane.recall()).count == recalled
    assert await plane.start(lambda _: None, lambda: None, lambda: None)
    return plane


async def test_policies_of_others_outlive_engine_and_daemon(bench: Bench, tmp_path: Path) -> None:
    """An engine that has none is one that somebody started and did not live to fill: nobody else takes all away."""
    await bench.client.add_policy(BY_HAND)
    assert (await bench.plane.look()).count == 1
    engine, elsewhere = FakeEngine(), tmp_path / "later"
    elsewhere.mkdir()
    engine.listen(elsewhere / "engine.sock")
    (tmp_path / "policies").rename(elsewhere / "policies")
    later = await another(elsewhere / "engine.sock", recalled=1)
    assert later.restored
    assert (await later.look()).count == 1
    await later.detach()
    again = await another(elsewhere / "engine.sock", recalled=1)
    assert not again.restored
    await again.detach()
    await again.forget()
    engine.close()
    assert not (elsewhere / "policies").exists()


async def test_policies_of_others_that_are_taken_away_are_not_recalled(bench: Bench, tmp_path: Path) -> None:
    await bench.client.add_policy(BY_HAND)
    await bench.plane.look()
    await bench.client.flush_policies()
    await bench.plane.look()
    journal = Journal(logging.getLogger("culvert.test"))
    assert (await EnginePlane(tmp_path / "engine.sock", Tasks(journal), journal).recall()).count == 0
