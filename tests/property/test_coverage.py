"""What is left of selectors without others: nothing is lost, nothing is added, and nothing is carried twice."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given, settings
from hypothesis import strategies as st

from culvert.ipsec.coverage import SelectorPair, missing, pair_of, pairs, product_of
from culvert.ipsec.selectors import ICMP, PortRange, TrafficSelector

EDGES = (0, 1, 2, 3, 7, 8, 9, 15)
"""Few addresses, so that ranges meet in every way."""
PORTS = (0, 1, 79, 80, 81, 65_535)
BASE = int(IPv4Address("10.0.0.0"))


def _range(draw: st.DrawFn, edges: tuple[int, ...]) -> tuple[int, int]:
    one, other = draw(st.sampled_from(edges)), draw(st.sampled_from(edges))
    return min(one, other), max(one, other)


@st.composite
def selectors(draw: st.DrawFn) -> TrafficSelector:
    start, end = _range(draw, EDGES)
    protocol = draw(st.sampled_from((0, 0, 6, 17, ICMP)))
    ports = PortRange(*_range(draw, PORTS)) if protocol and draw(st.booleans()) else PortRange()
    return TrafficSelector(IPv4Address(BASE + start), IPv4Address(BASE + end), protocol, ports)


SIDES = st.lists(selectors(), min_size=1, max_size=3)
CHILDREN = st.tuples(SIDES, SIDES).map(lambda sides: pairs(*sides))
Packet = tuple[int, int, int, int, int]


def _is_of(packet: Packet, pair: SelectorPair) -> bool:
    """Judge a packet (addresses, protocol, ports) by itself, without the code under test."""
    local, remote, protocol, source, destination = packet
    ends = ((pair.local, local, source), (pair.remote, remote, destination))
    return all(
        int(one.start) <= address <= int(one.end)
        and one.protocol in (0, protocol)
        and one.ports.start <= port <= one.ports.end
        for one, address, port in ends
    )


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    addresses = st.integers(min(EDGES), max(EDGES)).map(lambda offset: BASE + offset)
    protocol = draw(st.sampled_from((1, 6, 17, 47)))
    source, destination = draw(st.sampled_from(PORTS)), draw(st.sampled_from(PORTS))
    # Type and code are one number, and the same on both sides.
    return draw(addresses), draw(addresses), protocol, source, source if protocol == ICMP else destination


@settings(max_examples=300)
@given(CHILDREN, st.lists(CHILDREN, max_size=3), st.lists(packets(), min_size=8, max_size=24))
def test_every_packet_is_carried_or_missing(
    wanted: list[SelectorPair], children: list[list[SelectorPair]], some: list[Packet]
) -> None:
    carried = [pair for child in children for pair in child]
    found = missing(wanted, carried)
    for packet in some:
        is_wanted = any(_is_of(packet, pair) for pair in wanted)
        is_carried = any(_is_of(packet, pair) for pair in carried)
        in_a_piece = any(_is_of(packet, pair) for pair in found.pieces)
        in_part = any(_is_of(packet, pair) for pair in found.partial)
        assert not (is_carried and in_a_piece)
        assert not (in_a_piece and not is_wanted)
        assert not (in_part and not is_wanted)
        assert not is_wanted or is_carried or in_a_piece or in_part


@given(CHILDREN)
def test_without_anything_carried_all_is_missing_as_it_is_written(wanted: list[SelectorPair]) -> None:
    assert missing(wanted, ()).pieces == tuple(wanted)
    assert missing(wanted, wanted).nothing


@given(CHILDREN, st.lists(CHILDREN, max_size=2))
def test_what_is_asked_for_together_is_missing_in_every_part(
    wanted: list[SelectorPair], children: list[list[SelectorPair]]
) -> None:
    left = missing(wanted, [pair for child in children for pair in child]).pieces
    for piece in left:
        local, remote = product_of(left, piece)
        assert (local[0], remote[0]) == (piece.local, piece.remote)
        assert all(pair in left for pair in pairs(local, remote))


@given(selectors(), selectors(), packets())
def test_a_pair_has_the_packets_of_both_sides(local: TrafficSelector, remote: TrafficSelector, packet: Packet) -> None:
    pair = pair_of(local, remote)
    expected = _is_of(packet, SelectorPair(local, remote))
    assert (pair is not None and _is_of(packet, pair)) == expected
