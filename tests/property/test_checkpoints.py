"""Whatever is in an IKE SA reads back the same, and whatever octets are kept are taken up or refused by name."""

from __future__ import annotations

import contextlib
import zlib
from dataclasses import fields, is_dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from culvert.addresses import IPNetwork
from culvert.clock import SECOND
from culvert.config.model import Child, Peer, Start
from culvert.crypto.key_exchange import KeyExchangeState, begin
from culvert.crypto.transforms import ENCRYPTION, INTEGRITY, KEY_EXCHANGE, PRF
from culvert.entropy import SeededEntropy
from culvert.ike.actions import Log
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import Configured, DeadlineReached, RekeyRequested
from culvert.ike.v2 import checkpoint
from culvert.ike.v2.checkpoint import Deadline, Pending
from culvert.ike.v2.sa import ChildOffer, ChildSa, IkeOffer, IkeSa, Lineage, Outstanding, RekeyChild
from culvert.ipsec.selectors import PortRange, Selector, TrafficSelector
from culvert.reasons import Refusal
from culvert.sim.pair import Pair, peer
from culvert.wire.plain import MAX_NUMBER, UnreadableError

patient = settings(deadline=None)
PEER = peer("east", "198.51.100.1", "10.1.0.0/16", "10.2.0.0/16", Start.ALWAYS)
DAMAGE = (b"", b"0", b"9", b"null", b"[]", b'"', b"1,", b"-")
NUMBER = st.integers(0, 2**63)


@cache
def exchange(name: str) -> KeyExchangeState:
    return begin(next(one for one in KEY_EXCHANGE if one.name == name), SeededEntropy(1))


@st.composite
def traffic_selectors(draw: st.DrawFn) -> TrafficSelector:
    kind: Any = draw(st.sampled_from((IPv4Address, IPv6Address)))
    low, high = sorted(draw(st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=2)))
    ports = sorted(draw(st.lists(st.integers(0, 65_535), min_size=2, max_size=2)))
    return TrafficSelector(kind(low), kind(high), draw(st.integers(0, 255)), PortRange(*ports))


@st.composite
def selectors(draw: st.DrawFn) -> Selector:
    version = draw(st.sampled_from((4, 6)))
    one, other = (draw(networks(version)) for _ in range(2))
    return Selector(one, other, draw(st.integers(0, 255)), (draw(st.integers(0, 65_535)), 0xFFFF))


def networks(version: int) -> st.SearchStrategy[IPNetwork]:
    bits = 32 if version == 4 else 128
    return st.builds(
        lambda address, length: ip_network((address, length), strict=False),
        st.ip_addresses(v=version),
        st.integers(0, bits),
    )


def register() -> None:
    """Say how leaves are drawn; all else follows from the types of the fields."""
    st.register_type_strategy(int, st.integers(-MAX_NUMBER, MAX_NUMBER))
    for kinds in (ENCRYPTION, INTEGRITY, PRF, KEY_EXCHANGE):
        st.register_type_strategy(type(kinds[0]), st.sampled_from(kinds))
    st.register_type_strategy(
        KeyExchangeState, st.sampled_from(("x25519", "ecp256", "ecp384", "modp2048")).map(exchange)
    )
    st.register_type_strategy(Peer, st.just(PEER))
    st.register_type_strategy(Child, st.just(PEER.children[0]))
    st.register_type_strategy(TrafficSelector, traffic_selectors())
    st.register_type_strategy(Selector, selectors())


register()


CHILDREN = st.dictionaries(st.integers(0, 2**32), st.from_type(ChildSa), max_size=1)
VALUES: dict[type, st.SearchStrategy[Any]] = {
    **{kind: st.from_type(kind) for kind in (IkeSa, Outstanding, ChildOffer, IkeOffer, ChildSa, Pending, Deadline)},
    Lineage: st.builds(Lineage, NUMBER, children=CHILDREN, queue=st.lists(st.from_type(RekeyChild), max_size=2)),
}


@pytest.mark.parametrize("kind", VALUES)
def test_whatever_is_written_reads_back_the_same(kind: type) -> None:
    codec = checkpoint._STATE
    reader = codec.reader(codec.layout)

    @settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
    @given(VALUES[kind])
    def same(value: Any) -> None:
        octets = codec.write(value)
        again = reader.read(octets, kind, PEER)
        assert type(again) is kind
        assert codec.write(again) == octets
        for field in fields(kind):
            if "private" not in field.name and not is_dataclass(getattr(value, field.name)):
                assert repr(getattr(again, field.name)) == repr(getattr(value, field.name))

    same()


@cache
def written() -> tuple[Pair, tuple[bytes, ...]]:
    """Give a pair of gateways in the middle of a rekey, and the checkpoint of one of them in its parts."""
    pair = Pair().connect()
    pair.wait(5)
    pair.tell("west", RekeyRequested("east"), 0.001)
    (octets,) = pair.west.blobs.values()
    lengths = [int.from_bytes(octets[at : at + 4], "big") for at in (18, 22, 26, 30)]
    parts, rest = [octets[:34]], octets[34:]
    for length in lengths:
        parts.append(rest[:length])
        rest = rest[length:]
    return pair, (*parts, rest)


def taken_up(octets: bytes) -> list[Any]:
    """Let a process take it up and live for a while; give what it says."""
    pair, _ = written()
    endpoint = Endpoint(SeededEntropy(3), pair.world.now)
    actions = endpoint.step(Configured((pair.west_peer,), None, pair.west.plane.held(), (octets,)), pair.world.now)
    for seconds in (1, 30, 100):
        now = pair.world.now + seconds * SECOND
        actions += endpoint.step(DeadlineReached(), now) + endpoint.step(RekeyRequested("east"), now)
    return actions


@patient
@given(st.binary(max_size=200))
def test_any_octets_are_refused_by_name(octets: bytes) -> None:
    assert [one for one in taken_up(octets) if isinstance(one, Log) and one.reason is Refusal.CHECKPOINT_UNREADABLE]


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_what_is_damaged_and_sealed_again_is_taken_up_or_refused_and_nothing_else(data: st.DataObject) -> None:
    parts = list(written()[1])
    which = data.draw(st.sampled_from((1, 2, 3, 4, 5)))
    part = bytearray(zlib.decompress(parts[which]) if which < 3 else parts[which])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(part) - 1)))
        part[at : at + data.draw(st.integers(0, 3))] = data.draw(st.sampled_from(DAMAGE))
    parts[which] = zlib.compress(bytes(part)) if which < 3 else bytes(part)
    head = bytearray(parts[0])
    for number in range(4):
        head[18 + 4 * number : 22 + 4 * number] = len(parts[1 + number]).to_bytes(4, "big")
    taken_up(checkpoint.sealed(b"".join((bytes(head), *parts[1:]))))


@patient
@given(st.binary(max_size=100), st.sampled_from((Lineage, IkeSa, Pending)))
def test_any_octets_are_a_value_or_unreadable(octets: bytes, kind: type) -> None:
    with contextlib.suppress(UnreadableError):
        checkpoint._STATE.reader(checkpoint._STATE.layout).read(octets, kind, PEER)


@patient
@given(st.binary(max_size=100))
def test_any_octets_are_a_layout_or_unreadable(octets: bytes) -> None:
    with contextlib.suppress(UnreadableError):
        checkpoint._STATE.reader(octets)
