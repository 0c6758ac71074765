"""The contract of a data plane, held by the fake and by the engine alike."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from culvert.addresses import SocketAddress
from culvert.crypto.transforms import Encryption, Integrity, transform_named
from culvert.ipsec.associations import AssociationId, Direction, Encapsulation, Mode, SecurityAssociation
from culvert.ipsec.lifetimes import Lifetimes
from culvert.ipsec.policies import Action, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.wire.netlink import family
from culvert.xfrm.client import FIRST_SPI, XfrmClient
from culvert.xfrm.errors import XfrmError
from culvert.xfrm.events import AssociationsChanged, PoliciesChanged

US, THEM = ip_address("203.0.113.1"), ip_address("198.51.100.1")
SELECTOR = Selector(ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24"))
SELECTOR6 = Selector(ip_network("2001:db8:1::/48"), ip_network("2001:db8:2::/48"), 6, (0, 0), (443, 0xFFFF))


def encryption(name: str) -> Encryption:
    transform = transform_named(name)
    assert isinstance(transform, Encryption)
    return transform


def integrity(name: str) -> Integrity:
    transform = transform_named(name)
    assert isinstance(transform, Integrity)
    return transform


OUT = SecurityAssociation(
    source=US,
    destination=THEM,
    spi=0xC0FFEE01,
    direction=Direction.OUT,
    reqid=77,
    encryption=encryption("aes128gcm16"),
    encryption_key=bytes(range(20)),
    selectors=(SELECTOR,),
    encapsulation=Encapsulation(4500, 33_000),
    lifetimes=Lifetimes(soft_s=3600, hard_s=3960, hard_octets=2**40),
)
IN = replace(
    OUT,
    source=THEM,
    destination=US,
    spi=0xC0FFEE02,
    direction=Direction.IN,
    selectors=(SELECTOR.reversed, SELECTOR6.reversed),
    replay_window_packets=128,
    encapsulation=None,
)
CBC = replace(
    OUT,
    spi=0xC0FFEE03,
    encryption=encryption("aes256"),
    encryption_key=bytes(32),
    integrity=integrity("sha256"),
    integrity_key=bytes(32),
    encapsulation=None,
)
CHACHA = replace(OUT, spi=0xC0FFEE04, encryption=encryption("chacha20poly1305"), encryption_key=bytes(36))


def protect(selector: Selector = SELECTOR, direction: Direction = Direction.OUT, priority: int = 100) -> Policy:
    return Policy(selector, direction, Action.PROTECT, priority, (Template(US, THEM, 77),))


DISCARD = Policy(SELECTOR6, Direction.OUT, Action.DISCARD, 5)


@pytest.mark.parametrize("association", [OUT, IN, CBC, CHACHA], ids=["out", "in", "cbc", "chacha"])
async def test_an_association_is_dumped_as_it_was_added(client: XfrmClient, association: SecurityAssociation) -> None:
    await client.add_association(association)
    (state,) = await client.associations()
    assert state.id == association.id
    assert (state.source, state.reqid, state.mode) == (association.source, 77, Mode.TUNNEL)
    assert state.direction is association.direction
    assert state.selectors == association.selectors
    assert state.lifetimes == association.lifetimes
    assert state.encapsulation == association.encapsulation
    assert (state.encryption, state.integrity) == (association.encryption, association.integrity)
    assert state.replay_window_packets == (128 if association is IN else 0)
    assert (state.octets, state.packets, state.used_at_s, state.larval) == (0, 0, 0, False)
    assert state.added_at_s > 0
    assert state.drops == {}
    assert await client.association(association.id) == state


async def test_an_association_exists_once(client: XfrmClient) -> None:
    await client.add_association(OUT)
    with pytest.raises(XfrmError) as refused:
        await client.add_association(OUT)
    assert refused.value.errno == errno.EEXIST
    assert refused.value.message
    assert len(await client.associations()) == 1


async def test_an_association_is_deleted_once(client: XfrmClient) -> None:
    await client.add_association(OUT)
    assert await client.delete_association(OUT.id)
    assert not await client.delete_association(OUT.id)
    assert await client.association(OUT.id) is None
    assert await client.associations() == []


async def test_a_held_spi_is_completed(client: XfrmClient) -> None:
    spi = await client.allocate_spi(THEM, US, reqid=77)
    assert spi >= FIRST_SPI
    (larval,) = await client.associations()
    assert larval.larval
    assert larval.id == AssociationId(US, spi)
    await client.update_association(replace(IN, spi=spi))
    (state,) = await client.associations()
    assert not state.larval
    assert state.selectors == IN.selectors


async def test_an_update_changes_lifetimes_and_encapsulation(client: XfrmClient) -> None:
    await client.add_association(OUT)
    moved = replace(OUT, encapsulation=Encapsulation(4500, 40_000), lifetimes=Lifetimes(hard_packets=9))
    await client.update_association(moved)
    (state,) = await client.associations()
    assert (state.encapsulation, state.lifetimes) == (moved.encapsulation, moved.lifetimes)
    with pytest.raises(XfrmError) as refused:
        await client.update_association(CBC)
    assert refused.value.errno == errno.ESRCH


async def test_flushes_leave_nothing_and_may_be_repeated(client: XfrmClient) -> None:
    for association in (OUT, IN):
        await client.add_association(association)
    await client.add_policy(protect())
    for _ in range(2):
        await client.flush_associations()
        await client.flush_policies()
    assert await client.associations() == []
    assert await client.policies() == []


async def test_many_associations_fill_several_datagrams(client: XfrmClient) -> None:
    await asyncio.gather(*(client.add_association(replace(OUT, spi=256 + number)) for number in range(300)))
    assert {state.id.spi for state in await client.associations()} == set(range(256, 556))


@pytest.mark.parametrize(
    "policy", [protect(), protect(SELECTOR6, Direction.IN), DISCARD, Policy(SELECTOR, Direction.FORWARD, Action.BYPASS)]
)
async def test_a_policy_is_dumped_as_it_was_added(client: XfrmClient, policy: Policy) -> None:
    await client.add_policy(policy)
    assert await client.policies() == [policy]
    with pytest.raises(XfrmError) as refused:
        await client.add_policy(policy)
    assert refused.value.errno == errno.EEXIST
    assert await client.delete_policy(policy)
    assert not await client.delete_policy(policy)


async def test_policies_are_replaced_by_what_is_wanted(client: XfrmClient) -> None:
    gone = protect(SELECTOR.reversed, Direction.IN)
    await client.replace_policies([protect(), gone])
    wanted = [replace(protect(), priority=7), DISCARD]
    for _ in range(2):
        await client.replace_policies(wanted)
        assert sorted(await client.policies(), key=lambda one: one.priority) == [DISCARD, wanted[0]]
    await client.replace_policies([])
    assert await client.policies() == []


async def test_a_thousand_policies_are_replaced_at_once(client: XfrmClient) -> None:
    wanted = [
        protect(Selector(ip_network(f"10.{number // 256}.{number % 256}.0/24"), SELECTOR.destination))
        for number in range(1000)
    ]
    await client.replace_policies(wanted)
    assert len(await client.policies()) == 1000
    await client.replace_policies(wanted[:1])
    assert await client.policies() == wanted[:1]


async def test_two_policies_of_one_selector_are_refused_and_nothing_is_done(client: XfrmClient) -> None:
    await client.replace_policies([DISCARD])
    with pytest.raises(XfrmError) as refused:
        await client.replace_policies([protect(), replace(protect(), priority=1)])
    assert refused.value.errno == errno.EEXIST
    assert await client.policies() == [DISCARD]


async def test_changes_are_told_to_those_who_asked(client: XfrmClient) -> None:
    events = client.events()
    await client.subscribe(changes=True)
    await client.add_association(OUT)
    assert await anext(events) == AssociationsChanged()
    await client.add_policy(protect())
    assert await anext(events) == PoliciesChanged()


async def test_an_ike_datagram_is_sent(client: XfrmClient) -> None:
    loopback = ip_address("127.0.0.1")
    await client.send_ike(SocketAddress(loopback, 500), SocketAddress(loopback, 9), b"x" * 28)


async def test_the_engine_says_who_it_is(client: XfrmClient) -> None:
    info = await client.info()
    assert info.pid > 0
    assert info.version
    assert info.tun_name in {"culvert0", "xfrmtest0"}


async def test_counters_and_barrier(client: XfrmClient) -> None:
    await client.barrier()
    assert isinstance(await client.counters(), dict)


async def test_blobs_are_kept_for_the_next_client(client: XfrmClient, listening: Path) -> None:
    await client.put_blob("sa/warehouse", bytes(16 * 1024))
    await client.put_blob("sa/warehouse", b"newer")
    await client.put_blob("epoch", b"\x01")
    client.close()
    successor = await XfrmClient.connect(listening)
    assert await successor.blobs() == {"sa/warehouse": b"newer", "epoch": b"\x01"}
    assert await successor.delete_blob("epoch")
    assert not await successor.delete_blob("epoch")
    successor.close()


async def test_what_is_kept_without_waiting_is_kept_before_what_comes_after(client: XfrmClient) -> None:
    refused: list[XfrmError] = []
    client.keep("a", b"1", refused.append)
    client.keep("b", b"2", refused.append)
    client.keep("a", b"3", refused.append)
    client.keep("b", None, refused.append)
    client.keep("c", None, refused.append)
    assert await client.blobs() == {"a": b"3"}
    assert not refused


async def test_a_long_blob_travels_in_parts(client: XfrmClient) -> None:
    longest = bytes(at % 251 for at in range(family.MAX_BLOB_OCTETS))
    await client.put_blob("a", longest)
    await client.put_blob("b", b"")
    refused: list[XfrmError] = []
    client.keep("c", longest[:100_000], refused.append)
    client.keep("a", longest[1:], refused.append)
    assert await client.blobs() == {"a": longest[1:], "b": b"", "c": longest[:100_000]}
    assert not refused


async def test_what_a_connection_began_and_did_not_end_is_nobodys(client: XfrmClient, listening: Path) -> None:
    longest = bytes(family.MAX_BLOB_OCTETS)
    client.keep("a", longest, lambda _error: None)
    assert list(await client.blobs()) == ["a"]
    client._exchanges.unawaited(family.emit_blob_in_parts(family.BlobWire("a", longest))[:-1])
    client.close()
    successor = await XfrmClient.connect(listening)
    await successor.put_blob("b", b"short")
    assert await successor.blobs() == {"a": longest, "b": b"short"}
    successor.close()


async def test_what_cannot_be_kept_is_told_and_what_was_there_is_gone(client: XfrmClient) -> None:
    refused: list[XfrmError] = []
    client.keep("a", b"1", refused.append)
    client.keep("a", bytes(family.MAX_BLOB_OCTETS + 1), refused.append)
    assert await client.blobs() == {}
    assert [error.errno for error in refused] == [errno.EMSGSIZE]


async def test_after_a_shutdown_the_connection_is_closed_and_nobody_listens(
    client: XfrmClient, listening: Path
) -> None:
    await client.shutdown()
    assert client.closed.done()
    with pytest.raises(XfrmError):
        await client.info()
    assert not listening.exists()


async def test_nobody_listening_is_named(tmp_path: Path) -> None:
    with pytest.raises(XfrmError, match="no packet engine listens here") as refused:
        await XfrmClient.connect(tmp_path / "nobody.sock")
    assert refused.value.errno == errno.ENOENT
    assert "culvert up" in str(refused.value)
