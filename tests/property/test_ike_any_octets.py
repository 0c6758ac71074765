"""Any octets, and any damage to real messages, in any state: no exception, no ERROR line, no harm done."""

from __future__ import annotations

from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.entropy import SeededEntropy
from culvert.ike.actions import Action, Log, Transmit
from culvert.ike.events import Connect, DatagramReceived, RekeyRequested
from culvert.ike.logs import ERROR
from culvert.ike.status import PeerState
from culvert.ike.v2.sealing import seal
from culvert.sim.pair import Pair
from culvert.sim.world import Node
from culvert.wire.isakmp.encrypted import Encrypted
from culvert.wire.isakmp.message import parse_message
from culvert.wire.isakmp.numbers import ExchangeType
from culvert.wire.isakmp.payload import Unknown

QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PAYLOAD_TYPES = [*range(33, 49), 53, 200]


def _receive(node: Node, other: Node, data: bytes) -> list[Action]:
    local, remote = SocketAddress(node.address, 4500), SocketAddress(other.address, 4500)
    return node.endpoint.step(DatagramReceived(local, remote, data), 60 * SECOND)


def _no_error(actions: list[Action]) -> None:
    assert not [one for one in actions if isinstance(one, Log) and one.level >= ERROR]


@cache
def _real_messages() -> tuple[bytes, ...]:
    """Give one of each kind of message, as they travelled in a whole life."""
    pair = Pair()
    seen: list[bytes] = []
    inner = pair.world.wire.sent

    class Recorder:
        delivered = staticmethod(pair.world.wire.delivered)

        @staticmethod
        def sent(sender: str, data: bytes) -> None:
            seen.append(data)
            inner(sender, data)

    pair.world.wire = Recorder()  # type: ignore[assignment]
    pair.connect()
    pair.tell("west", RekeyRequested("east"))
    pair.tell("east", RekeyRequested("west", ike=True))
    return tuple(seen)


@QUICK
@given(data=st.binary(max_size=600))
def test_any_octets(data: bytes) -> None:
    pair = Pair().connect()
    _no_error(_receive(pair.east, pair.west, data))
    assert pair.east.endpoint.status("west").state is PeerState.UP


@QUICK
@given(
    number=st.integers(0, 1_000),
    at=st.integers(0, 2_000),
    octet=st.integers(0, 255),
    cut=st.integers(0, 400),
    milliseconds=st.integers(0, 60),
)
def test_damaged_messages_in_every_state(number: int, at: int, octet: int, cut: int, milliseconds: int) -> None:
    """Runs of one seed are alike, so a message of an earlier run has the right SPIs for this one."""
    messages = _real_messages()
    data = bytearray(messages[number % len(messages)])
    data[at % len(data)] = octet
    damaged = bytes(data[: max(1, len(data) - cut)])
    pair = Pair().configure()
    pair.world.at(pair.world.now, "west", Connect("east"))
    pair.world.run(pair.world.now + milliseconds * SECOND // 1_000)
    for node, other in ((pair.east, pair.west), (pair.west, pair.east)):
        _no_error(node.endpoint.step(_event(node, other, damaged), pair.world.now))
    pair.wait(3)


def _event(node: Node, other: Node, data: bytes) -> DatagramReceived:
    return DatagramReceived(SocketAddress(node.address, 500), SocketAddress(other.address, 500), data)


@QUICK
@given(
    chain=st.lists(st.tuples(st.sampled_from(PAYLOAD_TYPES), st.booleans(), st.binary(max_size=80)), max_size=5),
    exchange=st.sampled_from([ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL]),
    response=st.booleans(),
)
def test_whatever_an_authenticated_peer_writes(
    chain: list[tuple[int, bool, bytes]], exchange: ExchangeType, response: bool
) -> None:
    pair = Pair().connect()
    sa = next(iter(pair.west.endpoint._ctx.sas.values()))
    payloads = tuple(Unknown(kind, critical, body) for kind, critical, body in chain if kind not in (46, 53))
    message_id = sa.window.expected if response else sa.window.next_request
    if response:
        pair.east.endpoint.step(RekeyRequested("west"), pair.world.now)
    data = seal(sa, SeededEntropy(3), exchange, payloads, message_id=message_id, response=response)
    actions = _receive(pair.east, pair.west, data)
    _no_error(actions)
    sealed = [parse_message(one.data).encrypted for one in actions if isinstance(one, Transmit)]
    assert all(isinstance(one, Encrypted) for one in sealed)
