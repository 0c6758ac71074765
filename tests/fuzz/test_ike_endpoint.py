"""Endpoint.step against whatever a network, or a peer with the right keys, can send. Each case follows from its seed.

CULVERT_FUZZ_SECONDS makes each test longer; CULVERT_FUZZ_SEED begins elsewhere.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest

from culvert import limits
from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.ike.events import Connect, DatagramReceived, Disconnect, RekeyRequested, UnknownSpi
from culvert.ike.status import PeerState
from culvert.wire.isakmp.header import NO_SPI, read_header
from culvert.wire.isakmp.numbers import ExchangeType
from tests.fuzz.duel import ADDRESSES, OTHER, PORTS, Duel, opened, sealed
from tests.fuzz.mutation import inner_mutated, mutated

SECONDS = float(os.environ.get("CULVERT_FUZZ_SECONDS", "4"))
FIRST_SEED = int(os.environ.get("CULVERT_FUZZ_SEED", "1"))
LEAST_CASES = 3
"""However slow the machine is."""
HEALS_S = 600
"""How long two honest ends may need once nobody disturbs them any more."""

pytestmark = pytest.mark.timeout(60 + 4 * SECONDS)


def seeds() -> Iterator[int]:
    """Give seeds until the time is over."""
    began = time.monotonic()
    for seed in range(FIRST_SEED, FIRST_SEED + 1_000_000):
        if seed - FIRST_SEED >= LEAST_CASES and time.monotonic() - began > SECONDS:
            return
        yield seed


def disturb(duel: Duel, source: random.Random, count: int, *, to: str = "") -> None:
    """Throw `count` changed copies of what was said so far at both ends, or at one."""
    messages = [sent.data for side in duel.said.values() for sent in side[-12:]]
    for _ in range(count if messages else 0):
        target = to or source.choice(tuple(ADDRESSES))
        duel.throw(target, mutated(source, messages), source.choice(PORTS), spoofed=source.random() < 0.7)


def disturbed_set_up(seed: int, *, per_message: int = 12) -> Duel:
    duel, source = Duel(seed), random.Random(seed)
    while duel.under_way:
        disturb(duel, source, source.randrange(per_message))
        duel.deliver()
    return duel


def joined(seed: int) -> Duel:
    duel = Duel(seed)
    duel.rest(60)
    assert duel.settled()
    return duel


def stray(duel: Duel, source: random.Random) -> None:
    """Let one end meet a packet of an SPI that it may or may not know, from anywhere."""
    target = source.choice(tuple(ADDRESSES))
    spis = [source.getrandbits(32), *duel.ends[target]._ctx.child_owners, *duel.ends[OTHER[target]]._ctx.child_owners]
    address = source.choice((ADDRESSES[OTHER[target]], ip_address(source.getrandbits(32))))
    remote = SocketAddress(address, source.choice((0, *PORTS, source.getrandbits(16))))
    local = SocketAddress(ADDRESSES[target], 4500 if remote.port else 0)
    duel.step(target, UnknownSpi(local, remote, source.choice((50, 51)), source.choice(spis)))


def test_packets_of_unknown_spis_never_end_what_stands() -> None:
    """Forged ones by the hundred, and the messages that they cause delivered or not."""
    for seed in seeds():
        duel, source = joined(seed), random.Random(seed)
        for _ in range(100):
            stray(duel, source)
            duel.now += source.randrange(SECOND // 4)
            if source.random() < 0.5:
                disturb(duel, source, 1)
            while duel.under_way and source.random() < 0.9:
                duel.deliver()
        duel.rest(HEALS_S)
        assert duel.settled(), f"seed {seed}: {duel.status('a')}, {duel.status('b')}"


def test_a_set_up_among_forgeries_comes_to_rest() -> None:
    """A forged first answer may cost an attempt; it must never cost the tunnel."""
    for seed in seeds():
        duel = disturbed_set_up(seed)
        duel.rest(HEALS_S)
        assert duel.settled(), f"seed {seed}: {duel.status('a')}, {duel.status('b')}"


def test_an_established_tunnel_survives_everything_that_is_not_authentic() -> None:
    for seed in seeds():
        duel, source = joined(seed), random.Random(seed)
        before = [duel.status(name) for name in ADDRESSES]
        disturb(duel, source, 150)
        duel.under_way.clear()
        duel.now += SECOND
        disturb(duel, source, 50)
        duel.under_way.clear()
        after = [duel.status(name) for name in ADDRESSES]
        assert [one.ike.spi_i for one in after] == [one.ike.spi_i for one in before], f"seed {seed}"
        assert [one.children for one in after] == [one.children for one in before], f"seed {seed}"
        duel.step("a", RekeyRequested("b"))
        duel.rest(60)
        assert duel.settled(), f"seed {seed}: the SA still stands and is of no use"


EXCHANGES: tuple[Callable[[Duel, str], None], ...] = (
    lambda duel, name: duel.step(name, RekeyRequested(OTHER[name])) and None,
    lambda duel, name: duel.step(name, RekeyRequested(OTHER[name], ike=True)) and None,
    lambda duel, name: duel.step(name, Disconnect(OTHER[name])) and None,
    lambda duel, name: duel.step(name, Connect(OTHER[name])) and None,
)


def test_exchanges_among_forgeries_end_as_they_do_without() -> None:
    """Rekeys, deletes and set-ups, with changed copies before each message; only real ones have consequences."""
    for seed in seeds():
        duel, source = joined(seed), random.Random(seed)
        for _ in range(6):
            source.choice(EXCHANGES[:2])(duel, source.choice(tuple(ADDRESSES)))
            while duel.under_way:
                disturb(duel, source, source.randrange(10))
                duel.deliver()
            duel.rest(60)
            assert duel.settled(), f"seed {seed}: {duel.status('a')}, {duel.status('b')}"


def test_a_peer_with_the_right_keys_breaks_nothing_but_its_own_tunnel() -> None:
    """Each sealed message is replaced by one whose inside is changed; afterwards both begin anew."""
    for seed in seeds():
        duel, source = Duel(seed), random.Random(seed)
        for _ in range(40):
            while duel.under_way:
                _deliver_spoilt(duel, source)
            source.choice(EXCHANGES)(duel, source.choice(tuple(ADDRESSES)))
            duel.now += SECOND
        for name in ADDRESSES:
            duel.step(name, Disconnect(OTHER[name]))
        while duel.under_way:
            duel.deliver()
        for name in ADDRESSES:
            duel.step(name, Connect(OTHER[name]))
        duel.rest(HEALS_S)
        assert duel.status("a").state is PeerState.UP, f"seed {seed}: {duel.status('a')}"


def _deliver_spoilt(duel: Duel, source: random.Random) -> None:
    name, sent = duel.under_way.popleft()
    data = sent.data
    sa = duel.ends[name]._ctx.sas.get(data[0:8]) or duel.ends[name]._ctx.sas.get(data[8:16])
    inside = opened(sa, sent) if sa is not None and sa.keys is not None else None
    if inside is not None and sa is not None and source.random() < 0.6:
        first, inner = inside
        first = source.choice((first, first, first, 41, 42, 33, 0))
        data = sealed(sa, source, sent, first, inner_mutated(source, inner))
    duel.now += SECOND // 100
    duel.step(OTHER[name], DatagramReceived(sent.remote, sent.local, data))


def test_a_flood_of_first_messages_is_bounded_and_a_real_one_gets_through() -> None:
    """More first messages than there is room for, from many sources; then a cookie lets the honest peer in."""
    duel, source = joined(FIRST_SEED), random.Random(FIRST_SEED)
    first = next(sent.data for sent in duel.said["a"] if sent.data[8:16] == NO_SPI)
    cookies, real, octets_in, octets_out = 0, 0, 0, 0
    for number in range(3 * limits.MAX_HALF_OPEN):
        data = source.randbytes(8) + first[8:]
        source_address = f"10.{number % 250}.{source.randrange(250)}.{source.randrange(1, 250)}"
        for answer in _first_message(duel, source_address, data):
            cookies += answer[16] == 41
            real += answer[16] == 33
            octets_out += len(answer)
        octets_in += len(data)
    assert real <= limits.COOKIE_THRESHOLD
    assert cookies >= 2 * limits.MAX_HALF_OPEN
    assert octets_out < octets_in
    duel.under_way.clear()
    duel.step("a", Disconnect("b"))
    duel.rest(1)
    duel.step("a", Connect("b"))
    duel.rest(30)
    assert duel.status("a").state is PeerState.UP


def _first_message(duel: Duel, address: str, data: bytes) -> list[bytes]:
    from ipaddress import ip_address

    from culvert.addresses import IKE_PORT, SocketAddress
    from culvert.ike.actions import Transmit

    local, remote = SocketAddress(ADDRESSES["b"], IKE_PORT), SocketAddress(ip_address(address), IKE_PORT)
    actions = duel.step("b", DatagramReceived(local, remote, data))
    answers = [action.data for action in actions if isinstance(action, Transmit)]
    assert all(read_header(answer).exchange == ExchangeType.IKE_SA_INIT for answer in answers)
    return answers


def test_random_octets_do_nothing_at_all() -> None:
    duel, source = joined(FIRST_SEED), random.Random(FIRST_SEED)
    census = duel.ends["b"].census()
    for _ in range(3_000):
        octets = source.randbytes(source.choice((0, 1, 27, 28, 29, 60, 400, 1_500, 20_000)))
        duel.throw("b", octets, source.choice(PORTS), spoofed=True)
    duel.under_way.clear()
    assert duel.ends["b"].census() == census
