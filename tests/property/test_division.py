"""Pairs first and runs behind them decide as the whole SPD does, the configuration's policies and those of others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from culvert.config.model import Child, Gateway, Peer
from culvert.ipsec.policies import OWN_INDEX
from culvert.ipsec.selectors import Selector, traffic_selector
from culvert.plan.desired import HostFacts
from culvert.plan.division import Division, divide
from culvert.plan.entries import Entry, Others, Verdict
from culvert.plan.pairs import Protected
from culvert.plan.policies import priority
from tests.property.test_runs import PACKETS, Packet, by_runs, by_the_list, entries

SIDES = ("10.0.0.0/29", "10.0.0.8/30", "10.0.0.0/28", "10.0.0.8/29[tcp/0-3]", "10.0.0.0/8[udp]", "10.0.0.5/32")


@st.composite
def gateways(draw: st.DrawFn) -> Gateway:
    sides = st.sampled_from(SIDES).map(lambda text: (traffic_selector(text),))
    children = [Child("p", f"c{number}", draw(sides), draw(sides)) for number in range(draw(st.integers(0, 3)))]
    return Gateway("g", (), (), (Peer("p", ("198.51.100.1",), None, None, tuple(children)),))


def near(entry: Entry, number: int) -> Entry:
    """Priorities in front of, among and behind those of the configuration."""
    return entry._replace(priority=(900, 1_020, 1_060, 2_000)[number % 4])


PRIORITISED = st.lists(st.builds(near, entries(), st.integers(0, 3)), max_size=6).map(sorted).map(tuple)


def own(pair: Protected) -> Entry:
    selector: Selector = pair.selector
    return Entry(
        priority(selector),
        OWN_INDEX,
        4,
        int(selector.source.network_address),
        selector.source.prefixlen,
        int(selector.destination.network_address),
        selector.destination.prefixlen,
        selector.protocol,
        *selector.source_port,
        *selector.destination_port,
        Verdict.PROTECT,
    )


def decided(division: Division, packet: Packet) -> Verdict | None:
    if by_the_list([own(pair) for pair in division.simple], packet) is not None:
        return Verdict.PROTECT
    return by_runs(division.out, packet)


@given(gateways(), PRIORITISED, st.lists(PACKETS, min_size=1, max_size=40))
def test_what_leaves(gateway: Gateway, others: tuple[Entry, ...], packets: list[Packet]) -> None:
    division = divide(gateway, HostFacts(()), Others(out=others))
    whole = sorted([*others, *map(own, division.pairs)])
    for packet in packets:
        assert decided(division, packet) is by_the_list(whole, packet), packet
