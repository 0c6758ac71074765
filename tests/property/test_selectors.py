"""XFRM selectors against a naive reading of traffic selectors, packet by packet."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from culvert.addresses import IPAddress
from culvert.ipsec.selectors import (
    ANY_PROTOCOL,
    MAX_DECOMPOSED,
    MAX_PORT,
    PortRange,
    Selector,
    SelectorError,
    TrafficSelector,
    decompose,
    traffic_selector,
)

FIRST = int(IPv4Address("10.0.0.0"))


@dataclass(frozen=True)
class Packet:
    source: IPAddress
    destination: IPAddress
    protocol: int
    source_port: int
    destination_port: int


addresses = st.integers(FIRST, FIRST + 31).map(IPv4Address)
protocols = st.sampled_from([6, 17])
ports = st.one_of(st.integers(0, 40), st.sampled_from([MAX_PORT, MAX_PORT - 1, 32_768]))
packets = st.builds(Packet, addresses, addresses, protocols, ports, ports)


@st.composite
def port_ranges(draw: st.DrawFn) -> PortRange:
    if draw(st.booleans()):
        return PortRange()
    start, end = sorted((draw(ports), draw(ports)))
    return PortRange(start, end)


@st.composite
def traffic_selectors(draw: st.DrawFn) -> TrafficSelector:
    start, end = sorted((draw(addresses), draw(addresses)))
    return TrafficSelector(start, end, draw(st.sampled_from([ANY_PROTOCOL, 6, 17])), draw(port_ranges()))


def side_covers(selector: TrafficSelector, address: IPAddress, protocol: int, port: int) -> bool:
    return (
        int(selector.start) <= int(address) <= int(selector.end)
        and selector.protocol in (ANY_PROTOCOL, protocol)
        and selector.ports.start <= port <= selector.ports.end
    )


def selector_covers(selector: Selector, packet: Packet) -> bool:
    return (
        packet.source in selector.source
        and packet.destination in selector.destination
        and selector.protocol in (ANY_PROTOCOL, packet.protocol)
        and packet.source_port & selector.source_port[1] == selector.source_port[0]
        and packet.destination_port & selector.destination_port[1] == selector.destination_port[0]
    )


lists = st.lists(traffic_selectors(), min_size=1, max_size=3)


@given(lists, lists, st.lists(packets, min_size=1, max_size=30))
def test_decompose_covers_exactly_what_the_two_sides_cover(
    source: list[TrafficSelector], destination: list[TrafficSelector], some: list[Packet]
) -> None:
    try:
        selectors = decompose(source, destination)
    except SelectorError:
        return  # it fell into too many, which has a test of its own
    assert len(selectors) == len(set(selectors)) <= MAX_DECOMPOSED
    for packet in some:
        expected = any(
            side_covers(one, packet.source, packet.protocol, packet.source_port)
            and side_covers(other, packet.destination, packet.protocol, packet.destination_port)
            for one in source
            for other in destination
        )
        assert any(selector_covers(selector, packet) for selector in selectors) is expected


@given(st.integers(0, MAX_PORT), st.integers(0, MAX_PORT))
def test_port_masks_are_disjoint_and_complete(one: int, other: int) -> None:
    ports = PortRange(min(one, other), max(one, other))
    masks = ports.masks()
    assert len(masks) <= 30
    assert sum(MAX_PORT + 1 - mask for _, mask in masks) == ports.end - ports.start + 1
    for value, mask in masks:
        assert value & mask == value
        assert ports.start <= value <= value | ~mask & MAX_PORT <= ports.end


@given(traffic_selectors(), traffic_selectors(), packets)
def test_intersection(one: TrafficSelector, other: TrafficSelector, packet: Packet) -> None:
    both = one.intersect(other)
    inside = [side_covers(side, packet.source, packet.protocol, packet.source_port) for side in (one, other)]
    assert all(inside) is (both is not None and side_covers(both, packet.source, packet.protocol, packet.source_port))
    assert both == other.intersect(one)
    assert one.covers(one)
    assert both is None or (one.covers(both) and other.covers(both))


@given(traffic_selectors())
def test_what_is_written_is_read_again(selector: TrafficSelector) -> None:
    assert traffic_selector(str(selector)) == selector


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = traffic_selector(text)
    except SelectorError:
        return
    assert found.networks()
