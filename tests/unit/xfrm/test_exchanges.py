"""What goes wrong between client and data plane: refusals, batches, nonsense, silence and death."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from culvert.addresses import SocketAddress
from culvert.ipsec.associations import AssociationId
from culvert.reasons import Drop
from culvert.wire.netlink.events import AcquireWire
from culvert.wire.netlink.framing import NLM_F_DUMP_INTR, NLM_F_MULTI, Message, dump_done, parse_messages
from culvert.wire.netlink.numbers import Groups, Own, Xfrm
from culvert.wire.netlink.policy import PolicyWire, TemplateWire, emit_policy
from culvert.wire.netlink.sa import SaWire
from culvert.wire.netlink.structures import IdWire, SelectorWire
from culvert.xfrm import exchanges
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.errors import XfrmError
from culvert.xfrm.events import MAX_EVENTS, AcquireEvent, EventQueue, ExpireEvent, IkeDatagram, Overrun
from culvert.xfrm.fake import FakeEngine
from culvert.xfrm.transport import SocketTransport

HOST, FAR = ip_network("192.168.1.20"), ip_network("192.168.2.34")
POLICY = PolicyWire(SelectorWire(HOST, FAR), 1)
LOCAL, REMOTE = SocketAddress(ip_address("203.0.113.1"), 4500), SocketAddress(ip_address("198.51.100.1"), 4500)


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    engine = FakeEngine()
    yield engine
    engine.close()


@pytest.fixture
async def client(engine: FakeEngine) -> AsyncIterator[XfrmClient]:
    client = engine.connect()
    yield client
    client.close()


class Peer:
    """The other end of a client, played by the test."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket = ours
        self.socket.setblocking(False)
        self.client = XfrmClient(SocketTransport(theirs, own_family=True))

    async def read(self) -> list[Message]:
        return parse_messages(await asyncio.get_running_loop().sock_recv(self.socket, 65_536))

    def send(self, *messages: Message) -> None:
        self.socket.send(b"".join(message.emit() for message in messages))


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    yield peer
    peer.client.close()
    peer.socket.close()


async def test_notifications_become_events(engine: FakeEngine, client: XfrmClient) -> None:
    sa = SaWire(IdWire(REMOTE.ip, 4711, 50), LOCAL.ip, 77)
    engine.associations.by_id[sa.id] = sa
    template = TemplateWire(IdWire(REMOTE.ip, 0, 50), LOCAL.ip, 77)
    await client.subscribe()
    other = replace(template, reqid=78)
    flow = SelectorWire(HOST, FAR, 6, (40_000, 0xFFFF), (443, 0xFFFF))
    engine.acquire(AcquireWire(template.id, LOCAL.ip, SelectorWire(HOST, FAR, 1), POLICY, 5, (template,)))
    engine.acquire(AcquireWire(template.id, LOCAL.ip, flow, POLICY, 5, (template, other), missing=1))
    engine.expire(AssociationId(REMOTE.ip, 4711), hard=True)
    engine.receive_ike(LOCAL, REMOTE, b"message")
    engine.overrun()
    events = client.events()
    assert [await anext(events) for _ in range(5)] == [
        AcquireEvent(77, HOST.network_address, FAR.network_address, 1, REMOTE.ip),
        AcquireEvent(78, HOST.network_address, FAR.network_address, 6, REMOTE.ip, 40_000, 443),
        ExpireEvent(AssociationId(REMOTE.ip, 4711), True, 77),
        IkeDatagram(LOCAL, REMOTE, b"message"),
        Overrun(),
    ]
    assert engine.associations.by_id == {}


async def test_who_did_not_subscribe_is_told_nothing(engine: FakeEngine, client: XfrmClient) -> None:
    await client.subscribe(acquire=True, expire=False, ike=False)
    engine.receive_ike(LOCAL, REMOTE, b"message")
    engine.overrun()
    assert await anext(client.events()) == Overrun()


async def test_an_engine_of_a_former_version_goes_on_without_what_it_cannot_tell(
    engine: FakeEngine, client: XfrmClient
) -> None:
    engine.groups = ~(Groups.SILENCE | Groups.DROPPED)
    assert await client.subscribe(strays=True, silence=True, drops=True) == Groups.SILENCE | Groups.DROPPED
    engine.receive_ike(LOCAL, REMOTE, b"message")
    assert await anext(client.events()) == IkeDatagram(LOCAL, REMOTE, b"message")


async def test_an_engine_that_lacks_more_is_refused(engine: FakeEngine, client: XfrmClient) -> None:
    engine.groups = ~(Groups.SILENCE | Groups.IKE)
    with pytest.raises(XfrmError, match="no such group"):
        await client.subscribe(silence=True)


async def test_counters_are_named(engine: FakeEngine, client: XfrmClient) -> None:
    engine.drops[Drop.REPLAYED] = 3
    assert await client.counters() == {Drop.REPLAYED: 3}


async def test_a_refused_batch_says_why_and_changes_nothing(peer: Peer, engine: FakeEngine) -> None:
    client = engine.connect()
    with pytest.raises(XfrmError, match="there is a policy with this selector") as refused:
        await client._exchanges.batch([(Xfrm.NEWPOLICY, emit_policy(POLICY))] * 3)
    assert refused.value.errno == errno.EEXIST
    assert await client.policies() == []
    client.close()


async def test_when_the_engine_dies_all_waiters_fail_and_closed_resolves(peer: Peer) -> None:
    async with asyncio.TaskGroup() as tasks:
        waiters = [tasks.create_task(failing(peer.client)) for _ in range(3)]
        reading = tasks.create_task(drain(peer.client))
        await peer.read()
        peer.socket.close()
    assert {waiter.result().errno for waiter in waiters} == {errno.ECONNRESET}
    assert reading.result() == []
    assert "the data plane" in peer.client.closed.result().message


async def failing(client: XfrmClient) -> XfrmError:
    with pytest.raises(XfrmError) as refused:
        await client.barrier()
    return refused.value


async def drain(client: XfrmClient) -> list[object]:
    return [event async for event in client.events()]


@pytest.mark.parametrize(
    "datagram",
    [b"\x01", bytes(32), Message(Xfrm.ACQUIRE, body=b"short").emit(), Message(2, sequence=1, body=b"").emit()],
)
async def test_nonsense_ends_the_connection_with_a_name(peer: Peer, datagram: bytes) -> None:
    async with asyncio.TaskGroup() as tasks:
        waiter = tasks.create_task(failing(peer.client))
        await peer.read()
        peer.socket.send(datagram)
    assert waiter.result().errno == errno.EPROTO


async def test_an_answer_that_cannot_be_read_is_named(peer: Peer) -> None:
    async with asyncio.TaskGroup() as tasks:
        waiter = tasks.create_task(refused_info(peer.client))
        (request,) = await peer.read()
        peer.send(Message(Own.GETINFO, 0, request.sequence, 0, b""))
    assert waiter.result() == errno.EPROTO


async def refused_info(client: XfrmClient) -> int:
    with pytest.raises(XfrmError) as refused:
        await client.info()
    return refused.value.errno


async def test_silence_is_bounded(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "ANSWER_TIMEOUT_S", 0.01)
    assert (await failing(peer.client)).errno == errno.ETIMEDOUT


async def test_an_interrupted_dump_is_taken_again(peer: Peer) -> None:
    async with asyncio.TaskGroup() as tasks:
        waiter = tasks.create_task(peer.client.policies())
        (first,) = await peer.read()
        peer.send(Message(Xfrm.NEWPOLICY, NLM_F_MULTI, first.sequence, 0, emit_policy(POLICY)))
        peer.send(dump_done(first, interrupted=True))
        (second,) = await peer.read()
        peer.send(Message(Xfrm.NEWPOLICY, NLM_F_MULTI | NLM_F_DUMP_INTR, second.sequence, 0, emit_policy(POLICY)))
        peer.send(dump_done(second))
        (third,) = await peer.read()
        peer.send(dump_done(third))
    assert waiter.result() == []


async def test_requests_wait_while_the_engine_does_not_read(peer: Peer) -> None:
    blobs = 64
    async with asyncio.TaskGroup() as tasks:
        for number in range(blobs):
            tasks.create_task(peer.client.put_blob(str(number), bytes(16_000)))
        seen = 0
        while seen < blobs:
            for request in await peer.read():
                peer.send(Message(2, 0, request.sequence, 0, bytes(20)))
                seen += 1


async def test_a_cancelled_request_leaves_nothing_behind(peer: Peer) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await peer.client.barrier()
    (request,) = await peer.read()
    peer.send(Message(2, 0, request.sequence, 0, bytes(20)))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(peer.client.barrier())
        (later,) = await peer.read()
        assert later.sequence != request.sequence
        peer.send(Message(2, 0, later.sequence, 0, bytes(20)))


async def test_events_that_nobody_reads_end_in_an_overrun() -> None:
    queue = EventQueue()
    for number in range(MAX_EVENTS + 10):
        queue.put(ExpireEvent(AssociationId(REMOTE.ip, number), False))
    queue.end()
    events = [event async for event in queue.read()]
    assert len(events) == MAX_EVENTS
    assert events[-1] == Overrun()
    assert Overrun() not in events[:-1]
