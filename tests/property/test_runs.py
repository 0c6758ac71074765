"""Runs decide about every packet as the list of policies does that they were made from."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from culvert.plan import runs
from culvert.plan.entries import Entry, Verdict
from culvert.plan.runs import MASKS, Run, Shape, compile_runs


class Packet(NamedTuple):
    """What entries look at."""

    source: int
    destination: int
    protocol: int
    source_port: int
    destination_port: int


ADDRESSES = st.integers(0, 15).map(lambda low: 0x0A000000 | low)
LENGTHS = st.sampled_from([0, 8, 29, 30, 31, 32])
PROTOCOLS = st.sampled_from([0, 6, 17])
PORTS = st.tuples(st.integers(0, 7), st.sampled_from([0, 0xFFF8, 0xFFFC, 0xFFFF]))
PACKETS = st.builds(Packet, ADDRESSES, ADDRESSES, st.sampled_from([6, 17, 50]), st.integers(0, 7), st.integers(0, 7))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    source_length, destination_length, protocol = draw(LENGTHS), draw(LENGTHS), draw(PROTOCOLS)
    (source_port, source_mask), (port, mask) = (draw(PORTS), draw(PORTS)) if protocol else ((0, 0), (0, 0))
    return Entry(
        draw(st.integers(0, 3)),
        draw(st.integers(1, 99)),
        4,
        draw(ADDRESSES) & MASKS[4][source_length],
        source_length,
        draw(ADDRESSES) & MASKS[4][destination_length],
        destination_length,
        protocol,
        source_port & source_mask,
        source_mask,
        port & mask,
        mask,
        draw(st.sampled_from(Verdict)),
    )


def by_the_list(listed: list[Entry], packet: Packet) -> Verdict | None:
    for entry in listed:
        if (
            packet.source & MASKS[4][entry.source_length] == entry.source
            and packet.destination & MASKS[4][entry.destination_length] == entry.destination
            and entry.protocol in (0, packet.protocol)
            and packet.source_port & entry.source_mask == entry.source_port
            and packet.destination_port & entry.destination_mask == entry.destination_port
        ):
            return entry.verdict
    return None


def by_runs(found: tuple[Run, ...], packet: Packet) -> Verdict | None:
    for run in found:
        for shape, keys in run.sets:
            if looked_at(shape, packet) in keys:
                return run.verdict
    return None


def looked_at(shape: Shape, packet: Packet) -> tuple[int, ...]:
    masks = MASKS[4]
    return (
        packet.source & masks[shape.source_length],
        packet.destination & masks[shape.destination_length],
        packet.protocol * shape.protocol,
        packet.source_port & shape.source_mask,
        packet.destination_port & shape.destination_mask,
    )


@given(st.lists(entries(), max_size=12).map(sorted), st.lists(PACKETS, min_size=1, max_size=40))
def test_runs_decide_as_the_list_does(listed: list[Entry], packets: list[Packet]) -> None:
    found = compile_runs(listed)
    for packet in packets:
        assert by_runs(found, packet) is by_the_list(listed, packet), packet


@given(st.lists(entries(), max_size=12).map(sorted), st.lists(PACKETS, min_size=1, max_size=40))
def test_they_still_do_where_no_more_comparisons_are_allowed(listed: list[Entry], packets: list[Packet]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "MAX_COMPARISONS", 3)
        test_runs_decide_as_the_list_does.hypothesis.inner_test(listed, packets)


@given(st.lists(entries(), max_size=12).map(sorted))
def test_two_runs_in_a_row_have_different_verdicts(listed: list[Entry]) -> None:
    verdicts = [run.verdict for run in compile_runs(listed)]
    assert all(one is not other for one, other in pairwise(verdicts))
