"""Any message, divided in any way, in any order, repeated and among forgeries: the same message once, or nothing."""

from __future__ import annotations

import random
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from culvert.addresses import SocketAddress
from culvert.entropy import SeededEntropy
from culvert.ike.cookies import Cookies
from culvert.ike.v2 import opening
from culvert.ike.v2.context import Context
from culvert.ike.v2.opening import Opened
from culvert.ike.v2.sa import IkeSa
from culvert.ike.v2.sealing import reseal_within, seal, seal_within
from culvert.ipsec.proposals import Proposal, ike_proposal
from culvert.limits import MAX_FRAGMENTED_OCTETS, MAX_FRAGMENTS
from culvert.wire.isakmp.header import read_header
from culvert.wire.isakmp.message import emit_payloads
from culvert.wire.isakmp.numbers import ExchangeType
from culvert.wire.isakmp.payload import Unknown
from tests.unit.ike.line import AEAD, Line, is_fragment, numbers

REMOTE = SocketAddress.parse("203.0.113.1", 4500)
CBC = (ike_proposal("aes256-sha512-x25519"),)
SUITES = st.sampled_from([AEAD, CBC])
LEAST_ROOM = 36 + 16 + 32 + 16
"""Header, IV, ICV and one block."""
QUICK = settings(max_examples=150, deadline=None)


@cache
def _ends(proposals: tuple[Proposal, ...]) -> tuple[IkeSa, IkeSa]:
    """Give the two ends of one IKE SA."""
    line = Line(proposals=proposals).connect()
    return line.sa("west"), line.sa("east")


def _context() -> Context:
    entropy = SeededEntropy(3)
    return Context(entropy, Cookies(entropy))


def _message(octets: int) -> tuple[Unknown, ...]:
    """Make payloads of so many octets, each other than the one before."""
    source = random.Random(octets)
    chain = []
    while octets > 0:
        chain.append(Unknown(200, False, source.randbytes(min(octets, 1_000))))
        octets -= 1_000
    return tuple(chain)


def _sealed(west: IkeSa, octets: int, room: int) -> tuple[bytes, ...]:
    what = ExchangeType.INFORMATIONAL, _message(octets)
    return seal_within(west, SeededEntropy(5), *what, message_id=9, response=False, room=room)


def _take(ctx: Context, east: IkeSa, data: bytes) -> Opened | None:
    opened = opening.take(ctx, east, read_header(data), data, REMOTE)
    assert ctx.fragments.octets() <= MAX_FRAGMENTED_OCTETS
    assert len(ctx.fragments) <= 1
    return opened


@QUICK
@given(SUITES, st.integers(0, 12_000), st.integers(LEAST_ROOM, 3_000), st.randoms(use_true_random=False))
def test_any_division_in_any_order_gives_the_same_message(
    proposals: tuple[Proposal, ...], octets: int, room: int, source: random.Random
) -> None:
    west, east = _ends(proposals)
    datagrams = _sealed(west, octets, room)
    if len(datagrams) > 1:
        assert all(is_fragment(one) and len(one) <= room for one in datagrams)
        assert [numbers(one) for one in datagrams] == [(at + 1, len(datagrams)) for at in range(len(datagrams))]
    else:
        assert not is_fragment(datagrams[0])
    ctx = _context()
    mixed = [*datagrams, *source.choices(datagrams, k=source.randrange(4))]
    source.shuffle(mixed)
    opened = [found for one in mixed if (found := _take(ctx, east, one)) is not None]
    if len(datagrams) > MAX_FRAGMENTS:
        assert opened == []
        return
    # A whole message is judged by its ID before; here, repeated datagrams may make it once more.
    assert opened
    assert all(one.inner == emit_payloads(_message(octets)) for one in opened)
    assert all(one.contents().payloads == _message(octets) for one in opened)
    assert len(datagrams) == 1 or all(one.fragment_octets == max(map(len, datagrams)) for one in opened)


@QUICK
@given(SUITES, st.integers(1_000, 8_000), st.randoms(use_true_random=False))
def test_forged_and_damaged_fragments_change_nothing(
    proposals: tuple[Proposal, ...], octets: int, source: random.Random
) -> None:
    west, east = _ends(proposals)
    datagrams = list(_sealed(west, octets, 600))
    source.shuffle(datagrams)
    ctx, opened = _context(), []
    for one in datagrams:
        for _ in range(source.randrange(4)):
            forged = bytearray(source.choice(datagrams))
            at = source.choice([16, 18, 20, 28, 32, 33, 34, 35, source.randrange(len(forged))])
            forged[at] ^= source.randrange(1, 256)
            header = read_header(bytes(forged))
            before = ctx.fragments.octets()
            if header.message_id == 9 and header.length == len(forged) and header.major == 2 and not header.response:
                assert opening.take(ctx, east, header, bytes(forged), REMOTE) is None
            assert ctx.fragments.octets() == before
        opened.append(_take(ctx, east, one))
    assert [one is not None for one in opened] == [False] * (len(datagrams) - 1) + [True]
    assert opened[-1] is not None
    assert opened[-1].inner == emit_payloads(_message(octets))


@QUICK
@given(SUITES, st.integers(1_500, 8_000), st.randoms(use_true_random=False))
def test_a_division_into_more_fragments_begins_anew(
    proposals: tuple[Proposal, ...], octets: int, source: random.Random
) -> None:
    """Fragments of both divisions in any order: the message comes out, never a mixture (RFC 7383 section 2.6)."""
    west, east = _ends(proposals)
    large = _sealed(west, octets, 1_248)
    small = reseal_within(west, SeededEntropy(6), large, 544)
    assert len(small) > len(large)
    mixed = [*large, *small]
    source.shuffle(mixed)
    ctx = _context()
    opened = [found for one in mixed if (found := _take(ctx, east, one)) is not None]
    assert opened
    assert all(one.inner == emit_payloads(_message(octets)) for one in opened)


@QUICK
@given(st.lists(st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(0, 3_000), st.booleans()), max_size=40))
def test_an_authentic_peer_cannot_make_us_keep_more(told: list[tuple[int, int, int, bool]]) -> None:
    """Any fragments that hold the right keys: bounded, and no exception."""
    west, east = _ends(AEAD)
    ctx = _context()
    whole = _sealed(west, 3_000, 1_248)
    assert len(whole) > 1
    for number, total, octets, critical in told:
        if number > total:
            continue
        data = _own_fragment(west, number, total, bytes([critical]) * octets)
        opened = _take(ctx, east, data)
        if opened is not None:
            assert len(opened.inner) <= MAX_FRAGMENTED_OCTETS


def _own_fragment(sa: IkeSa, number: int, total: int, inner: bytes) -> bytes:
    from culvert.ike.v2 import sealing
    from culvert.wire.isakmp.encrypted import EncryptedFragment

    header = read_header(seal(sa, SeededEntropy(5), ExchangeType.INFORMATIONAL, (), message_id=9, response=False))
    return sealing._fragment(
        sa, SeededEntropy(5), header, EncryptedFragment(200 if number == 1 else 0, number, total, inner)
    )
