"""What hand-made associations, bundles and links add to the contract of a data plane: the fake and the engine alike."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from culvert.ipsec.associations import Direction, Mode, Protocol, SecurityAssociation
from culvert.ipsec.lifetimes import Lifetimes
from culvert.ipsec.policies import OWN_INDEX, Action, Level, Policy, Template, is_own
from culvert.ipsec.selectors import Selector
from culvert.xfrm.associations import Keys, ReplayState
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.errors import XfrmError
from culvert.xfrm.events import MigrateEvent
from culvert.xfrm.links import GifLink
from culvert.xfrm.migrations import Move
from tests.unit.xfrm.samples import (
    CIPHERS,
    EVERY_ALGORITHM,
    EVERY_OPTION,
    FAR,
    GCM,
    MACS,
    NEAR,
    THEM,
    US,
    as_installed,
    manual,
)

ELSEWHERE = ip_address("198.51.100.77")


@pytest.fixture
async def client(listening: Path) -> AsyncIterator[XfrmClient]:
    """A client of a fresh data plane that has the whole of XFRM."""
    client = await XfrmClient.connect(listening)
    try:
        await client.count_associations()
    except XfrmError as refused:
        client.close()
        pytest.skip(f"this engine is of before: {refused}")
    yield client
    client.close()


@pytest.mark.parametrize("association", EVERY_ALGORITHM.values(), ids=list(EVERY_ALGORITHM))
async def test_every_algorithm_comes_back_as_it_was_set(client: XfrmClient, association: SecurityAssociation) -> None:
    await client.add_association(association)
    (state,) = await client.associations(keys=True)
    assert as_installed(state) == association
    assert await client.association(association.id, keys=True) == state
    assert not state.larval


@pytest.mark.parametrize("association", EVERY_OPTION.values(), ids=list(EVERY_OPTION))
async def test_every_option_comes_back_as_it_was_set(client: XfrmClient, association: SecurityAssociation) -> None:
    await client.add_association(association)
    (state,) = await client.associations(keys=True)
    assert as_installed(state) == association


async def test_keys_are_given_to_those_who_ask_and_are_never_printed(client: XfrmClient) -> None:
    await client.add_association(GCM)
    (state,) = await client.associations()
    assert state.keys is None
    (state,) = await client.associations(keys=True)
    assert state.keys == Keys(GCM.encryption_key)
    assert repr(GCM.encryption_key)[2:-1] not in repr(state)


@pytest.mark.parametrize("association", [one for one in EVERY_ALGORITHM.values() if one.legacy])
async def test_weak_algorithms_have_to_be_allowed(client: XfrmClient, association: SecurityAssociation) -> None:
    with pytest.raises(XfrmError) as refused:
        await client.add_association(replace(association, legacy=False))
    assert refused.value.errno == errno.EOPNOTSUPP
    assert "RFC 8221" in refused.value.message
    assert await client.count_associations() == 0


async def test_protocols_are_flushed_apart(client: XfrmClient) -> None:
    authenticated = manual(None, MACS["sha256"])
    await client.add_association(GCM)
    await client.add_association(authenticated)
    assert await client.count_associations() == 2
    await client.flush_associations(Protocol.ESP)
    assert [state.id for state in await client.associations()] == [authenticated.id]


async def test_an_spi_is_held_in_a_range(client: XfrmClient) -> None:
    spi = await client.allocate_spi(THEM, US, protocol=Protocol.AH, first=0x1000, last=0x1000)
    assert spi == 0x1000
    with pytest.raises(XfrmError):
        await client.allocate_spi(THEM, US, protocol=Protocol.AH, first=0x1000, last=0x1000)


async def test_sequence_numbers_are_told_and_set(client: XfrmClient) -> None:
    cbc = manual(CIPHERS["aes128"], MACS["sha256"])
    association = replace(cbc, direction=Direction.IN, replay_window_packets=64)
    await client.add_association(association)
    assert await client.replay_state(replace(association.id, spi=0x909)) is None
    before = await client.replay_state(association.id)
    assert before is not None
    assert (before.sequence_out, before.sequence_in) == (0, 0)
    state = await client.association(association.id)
    assert state is not None
    await client.set_replay_state(state, ReplayState(0, 70, (0b101, 0)))
    assert await client.replay_state(association.id) == ReplayState(0, 70, (0b101, 0))
    await client.add_association(replace(GCM, spi=0x909))
    state = await client.association(replace(GCM, spi=0x909).id)
    assert state is not None
    with pytest.raises(XfrmError) as refused:
        await client.set_replay_state(state, ReplayState(1))
    assert refused.value.errno == errno.EOPNOTSUPP


BUNDLE = Policy(
    Selector(NEAR, FAR, 6, (0, 0), (80, 0xFFFF)),
    Direction.OUT,
    Action.PROTECT,
    5,
    (
        Template(US, THEM, 5, Protocol.ESP, Mode.TRANSPORT, Level.USE),
        Template(US, THEM, 6, Protocol.AH, Mode.TUNNEL, Level.REQUIRE, 0x1234),
        Template(ip_address("::"), ip_address("::"), 0, Protocol.ESP, Mode.TUNNEL),
    ),
)


async def test_a_bundle_is_dumped_in_order(client: XfrmClient) -> None:
    await client.add_policy(BUNDLE)
    (state,) = await client.policy_states()
    assert state.policy == BUNDLE
    assert state.added_at_s > 0
    assert (state.lifetimes, state.octets, state.packets, state.used_at_s) == (Lifetimes(), 0, 0, 0)
    assert await client.policy(BUNDLE) == state


async def test_policies_have_the_index_that_was_asked_for(client: XfrmClient) -> None:
    asked = replace(BUNDLE, index=OWN_INDEX + 8 * 5 + 1)
    await client.add_policy(asked)
    assert [one.index for one in await client.policies()] == [asked.index]
    with pytest.raises(XfrmError) as refused:
        await client.add_policy(replace(BUNDLE, direction=Direction.IN, index=9))
    assert refused.value.errno == errno.EINVAL
    with pytest.raises(XfrmError) as refused:
        await client.add_policy(replace(protect(1), index=asked.index))
    assert refused.value.errno == errno.EEXIST
    await client.update_policy(replace(BUNDLE, priority=1, index=17))
    assert [(one.index, one.priority) for one in await client.policies()] == [(asked.index, 1)]
    assert await client.delete_policy_index(asked.index)
    assert not await client.delete_policy_index(asked.index)
    assert await client.policy(BUNDLE) is None


def protect(number: int, direction: Direction = Direction.OUT, priority: int = 100) -> Policy:
    selector = Selector(ip_network((0x0A000000 + 256 * number, 24)), FAR)
    return Policy(selector, direction, Action.PROTECT, priority, (Template(US, THEM, 77),))


async def test_what_others_wrote_is_left_alone_unless_it_is_in_the_way(client: XfrmClient) -> None:
    theirs, in_the_way = protect(1), replace(protect(2), action=Action.DISCARD, templates=())
    await client.load_policies([theirs, in_the_way])
    wanted = [protect(2), protect(3), protect(3, Direction.IN)]
    assert await client.replace_policies(wanted) == [in_the_way]
    assert await client.replace_policies(wanted) == []
    own = [one for one in await client.policies() if is_own(one)]
    assert {(one.selector, one.direction) for one in own} == {(one.selector, one.direction) for one in wanted}
    assert {one.index % 8 for one in own if one.direction is Direction.IN} == {0}
    assert {one.index % 8 for one in own if one.direction is Direction.OUT} == {1}
    assert await client.replace_policies([]) == []
    assert await client.policies() == [theirs]


async def test_an_equal_policy_of_others_becomes_ours(client: XfrmClient) -> None:
    await client.add_policy(protect(1))
    assert await client.replace_policies([protect(1)]) == [protect(1)]
    assert [is_own(one) for one in await client.policies()] == [True]


async def test_new_indexes_do_not_meet_those_that_are_there(client: XfrmClient) -> None:
    await client.replace_policies([protect(1), protect(2), protect(3)])
    before = {one.selector: one.index for one in await client.policies()}
    wanted = [protect(3), protect(4), replace(protect(1), priority=7)]
    await client.replace_policies(wanted)
    after = {one.selector: one.index for one in await client.policies()}
    assert len(set(after.values())) == 3
    assert all(after[one.selector] == before[one.selector] for one in (wanted[0], wanted[2]))


async def test_many_policies_are_loaded_at_once_or_not_at_all(client: XfrmClient) -> None:
    many = [protect(number) for number in range(2000)]
    await client.load_policies(many)
    assert set(await client.policies()) == set(many)
    assert await client.count_policies() == {Direction.IN: 0, Direction.OUT: 2000, Direction.FORWARD: 0}
    with pytest.raises(XfrmError) as refused:
        await client.load_policies([protect(2000), protect(7)], [protect(3, priority=1)], [protect(4)])
    assert refused.value.errno == errno.EEXIST
    assert set(await client.policies()) == set(many)
    await client.load_policies([protect(2000)], [protect(3, priority=1)], [protect(4)])
    assert set(await client.policies()) == {*many, protect(2000), protect(3, priority=1)} - {protect(4), protect(3)}
    await client.load_policies([protect(4)], flush=True)
    assert await client.policies() == [protect(4)]


async def test_a_migration_moves_templates_and_associations(client: XfrmClient) -> None:
    events = client.events()
    await client.subscribe(migrations=True)
    association = replace(GCM, direction=Direction.OUT, reqid=77, selectors=(protect(1).selector,))
    await client.add_association(association)
    await client.add_policy(protect(1))
    move = Move(US, THEM, US, ELSEWHERE, 77)
    await client.migrate(protect(1), [move])
    (policy,) = await client.policies()
    assert policy.templates == (Template(US, ELSEWHERE, 77),)
    (state,) = await client.associations(keys=True)
    assert as_installed(state) == replace(association, destination=ELSEWHERE)
    assert await asyncio.wait_for(anext(events), 5) == MigrateEvent((move,))
    with pytest.raises(XfrmError) as refused:
        await client.migrate(protect(1), [move])
    assert refused.value.errno == errno.ESRCH


async def test_links_come_and_go(client: XfrmClient) -> None:
    link = GifLink("gif7", US, THEM, ecn_friendly=True)
    await client.set_gif(link)
    changed = replace(link, ecn_friendly=False, ingress_filter=False)
    await client.set_gif(changed)
    assert await client.gifs() == [changed]
    assert await client.delete_gif("gif7")
    assert not await client.delete_gif("gif7")
    assert await client.gifs() == []
    assert await client.path_mtus() == {}
