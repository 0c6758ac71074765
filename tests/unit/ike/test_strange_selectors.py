"""Selectors that nobody should write: outside of what was asked for, contradictory, none, too many, opaque."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert.config.model import Child, Start
from culvert.ike.events import RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2 import carrying, child_negotiation, lineages
from culvert.ike.v2.exchanges import create_child_sa
from culvert.ike.v2.sa import CreateChild
from culvert.ipsec.selectors import traffic_selector as ts
from culvert.reasons import Refusal
from culvert.sim.pair import ESP, Pair
from culvert.sim.world import Node
from culvert.wire.isakmp.ts import OPAQUE_PORTS, TSi, TSr, UnknownSelector
from culvert.wire.isakmp.ts import TrafficSelector as Wire
from tests.unit.ike.altered import alter_child

OPAQUE = Wire(6, *OPAQUE_PORTS, ip_address("10.1.0.0"), ip_address("10.1.255.255"))
UNKNOWN = UnknownSelector(9, 0, bytes(12))


def _why(node: Node, other: str) -> tuple[PeerState, Refusal | None, str]:
    status = node.endpoint.status(other)
    return status.state, status.reason, status.message


def _sides(monkeypatch: pytest.MonkeyPatch, side: str, tsi: TSi, tsr: TSr) -> None:
    """Let one side write these selectors."""
    alter_child(monkeypatch, side, lambda some: (*(one for one in some if not isinstance(one, TSi | TSr)), tsi, tsr))


# Answers that nobody may give


@pytest.mark.parametrize(
    ("tsi", "tsr"),
    [
        ((), ()),
        (("10.1.0.0/16",), ()),
        (("10.0.0.0/8",), ("10.2.0.0/16",)),
        (("10.1.0.0/16", "10.1.0.0-10.2.0.0"), ("10.2.0.0/16",)),
        (("2001:db8::/32",), ("2001:db8::/32",)),
        (("10.1.0.0/16[tcp]",), ("10.2.0.0/16[udp]",)),
        (("10.1.0.0/16[icmp/8]",), ("10.2.0.0/16[icmp/0]",)),
        (("0.0.0.0/0",), ("0.0.0.0/0",)),
        (tuple(f"10.1.{n}.0/24" for n in range(255)), ("10.2.0.0/16",)),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_makes_no_child(
    monkeypatch: pytest.MonkeyPatch, tsi: tuple[str, ...], tsr: tuple[str, ...]
) -> None:
    wire = child_negotiation.wire_selectors
    sides = TSi(wire(map(ts, tsi))), TSr(wire(map(ts, tsr)))
    _sides(monkeypatch, "respond", *sides)
    pair = Pair().connect()
    assert not pair.west.plane.associations
    state, reason, _ = _why(pair.west, "east")
    assert (state, reason) == (PeerState.DOWN, Refusal.TS_UNACCEPTABLE)
    pair.wait(8)
    assert not pair.east.plane.associations


@pytest.mark.parametrize(
    ("tsi", "tsr"),
    [
        ((), ()),
        (("10.1.0.0/16",), ()),
        (("2001:db8::/32",), ("10.2.0.0/16",)),
        (("10.1.0.0/16[tcp]",), ("10.2.0.0/16[udp]",)),
        (("10.1.0.0/16[icmp/8]",), ("10.2.0.0/16[icmp/0]",)),
        (("10.5.0.0/16",), ("10.6.0.0/16",)),
        (tuple(f"10.9.{n}.0/24" for n in range(255)), ("10.2.0.0/16",)),
    ],
)
def test_a_request_without_a_packet_in_common_makes_no_child(
    monkeypatch: pytest.MonkeyPatch, tsi: tuple[str, ...], tsr: tuple[str, ...]
) -> None:
    wire = child_negotiation.wire_selectors
    sides = TSi(wire(map(ts, tsi))), TSr(wire(map(ts, tsr)))
    _sides(monkeypatch, "request", *sides)
    pair = Pair().connect()
    assert not pair.west.plane.associations
    assert not pair.east.plane.associations
    assert _why(pair.east, "west")[:2] == (PeerState.DOWN, Refusal.TS_UNACCEPTABLE)


def test_an_overlapping_offer_of_255_selectors_is_narrowed_to_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = child_negotiation.wire_selectors
    many = [f"10.{n % 4}.{n}.0-10.{n % 4}.{n}.99" for n in range(254)]
    sides = TSi(wire(map(ts, ["10.1.0.0/16", *many]))), TSr(wire(map(ts, ["10.2.0.0/16", *many])))
    _sides(monkeypatch, "request", *sides)
    pair = Pair().connect()
    assert _why(pair.east, "west")[:2] == (PeerState.UP, None)
    (child,) = pair.east.endpoint.status("west").children
    assert (child.local, child.remote) == (("10.2.0.0/16",), ("10.1.0.0/16",))


def test_families_that_mix_make_no_empty_association(monkeypatch: pytest.MonkeyPatch) -> None:
    """An association without selectors takes everything: one side IPv4 and the other IPv6 must not come to that."""
    pair = Pair()
    both = (ts("10.1.0.0/16"), ts("2001:db8:1::/48")), (ts("10.2.0.0/16"), ts("2001:db8:2::/48"))
    pair.west_peer = replace(pair.west_peer, children=(Child("east", "net", *both, ESP),))
    pair.east_peer = replace(pair.east_peer, children=(Child("west", "net", both[1], both[0], ESP),))
    wire = child_negotiation.wire_selectors
    sides = TSi(wire(both[0][:1])), TSr(wire(both[1][1:]))
    _sides(monkeypatch, "request", *sides)
    pair.connect()
    assert not pair.east.plane.associations


@pytest.mark.parametrize("strange", [OPAQUE, UNKNOWN])
def test_an_answer_that_we_do_not_understand_in_part_makes_no_child(
    monkeypatch: pytest.MonkeyPatch, strange: Wire | UnknownSelector
) -> None:
    wire = child_negotiation.wire_selectors
    _sides(monkeypatch, "respond", TSi((*wire([ts("10.1.0.0/16")]), strange)), TSr(wire([ts("10.2.0.0/16")])))
    pair = Pair().connect()
    assert not pair.west.plane.associations
    assert "more that we do not understand" in _why(pair.west, "east")[2]


@pytest.mark.parametrize("strange", [OPAQUE, UNKNOWN])
def test_what_is_not_understood_of_a_request_is_left_out(
    monkeypatch: pytest.MonkeyPatch, strange: Wire | UnknownSelector
) -> None:
    """RFC 7296 section 2.9: the rest is narrowed; where there is no rest, that is refused."""
    wire = child_negotiation.wire_selectors
    _sides(monkeypatch, "request", TSi((strange, *wire([ts("10.1.0.0/16")]))), TSr(wire([ts("10.2.0.0/16")])))
    (child,) = Pair().connect().east.endpoint.status("west").children
    assert (child.local, child.remote) == (("10.2.0.0/16",), ("10.1.0.0/16",))
    monkeypatch.undo()
    _sides(monkeypatch, "request", TSi((strange,)), TSr(wire([ts("10.2.0.0/16")])))
    pair = Pair().connect()
    assert _why(pair.east, "west")[:2] == (PeerState.DOWN, Refusal.TS_UNACCEPTABLE)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("[icmp]", "10.2.0.0/16[1]"),
        ("[icmp/8]", "10.2.0.0/16[1/8]"),
        ("[icmp/3(1)]", "10.2.0.0/16[1/3(1)]"),
        ("[icmp/3(4)-8(0)]", "10.2.0.0/16[1/3(4)-8(0)]"),
        ("[58/128]", None),
    ],
)
def test_types_and_codes_of_icmp(monkeypatch: pytest.MonkeyPatch, asked: str, given: str | None) -> None:
    wire = child_negotiation.wire_selectors
    sides = TSi(wire([ts(f"10.1.0.0/16{asked}")])), TSr(wire([ts(f"10.2.0.0/16{asked}")]))
    _sides(monkeypatch, "request", *sides)
    hosts = (ts(f"10.1.0.0/16{asked}"),), (ts(f"10.2.0.0/16{asked}"),)
    monkeypatch.setattr(carrying, "first_wish", lambda *_: hosts)
    pair = Pair().connect()
    children = pair.east.endpoint.status("west").children
    assert [child.local for child in children] == ([(given,)] if given else [("10.2.0.0/16[58/128]",)])


# Rekeys that are about something else


def test_a_rekey_for_another_child_s_traffic_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair()
    for side, (local, remote) in {
        "west": ("10.5.0.0/16", "10.6.0.0/16"),
        "east": ("10.6.0.0/16", "10.5.0.0/16"),
    }.items():
        peer = getattr(pair, f"{side}_peer")
        more = Child(peer.name, "more", (ts(local),), (ts(remote),), ESP)
        setattr(pair, f"{side}_peer", replace(peer, children=(*peer.children, more)))
    pair.connect()
    wire = child_negotiation.wire_selectors
    _sides(monkeypatch, "request", TSi(wire([ts("10.5.0.0/16")])), TSr(wire([ts("10.6.0.0/16")])))
    before = [child.inbound for child in pair.east.endpoint.status("west").children]
    trace = pair.tell("west", RekeyRequested("east", "net"))
    assert any("east says" in line and "net" in line for line in trace)
    assert [child.inbound for child in pair.east.endpoint.status("west").children] == before


def test_a_rekey_with_less_leaves_a_gap_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 2.9.2 forbids it; who does it all the same gets what it asks for, and is asked for the rest."""
    pair = Pair(start=Start.ALWAYS).connect()
    wire = child_negotiation.wire_selectors
    half = ts("10.1.0.0/17")
    with monkeypatch.context() as patch:
        _sides(patch, "request", TSi(wire([half])), TSr(wire([ts("10.2.0.0/16")])))
        pair.tell("west", RekeyRequested("east"), 0.5)
    pair.wait(20)
    for node, other in ((pair.west, "east"), (pair.east, "west")):
        status = node.endpoint.status(other)
        assert (status.state, status.reason) == (PeerState.UP, None)
        assert len(status.children) == 2


# Bounds


def test_more_children_than_there_may_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the bound may stand, so that each of them can have a successor."""
    monkeypatch.setattr(child_negotiation, "MAX_CHILDREN", 24)
    pair = _bounded(monkeypatch, lambda number: ((ts(f"10.1.{number}.0/24"),), (ts("10.2.0.0/24"),)), 12)
    before = {child.inbound for child in pair.east.endpoint.status("west").children}
    pair.tell("west", RekeyRequested("east"), 60)
    after = {child.inbound for child in pair.east.endpoint.status("west").children}
    assert len(after) == 12
    assert not after & before


def test_more_selectors_than_there_may_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children with 256 pairs of prefixes each."""
    monkeypatch.setattr(carrying, "MAX_SELECTORS_HELD", 6 * 256)
    remote = tuple(ts(f"10.2.{at}.0/24") for at in range(0, 128, 2))
    _bounded(monkeypatch, lambda number: (tuple(ts(f"10.1.{number}.{at}/32") for at in range(0, 8, 2)), remote), 6)


def _bounded(monkeypatch: pytest.MonkeyPatch, ask: Callable[[int], tuple], most: int) -> Pair:
    """Let west ask for one child after the other; east has `most` of them in the end, and says why."""
    asked = iter(range(250))
    monkeypatch.setattr(carrying, "first_wish", lambda *_: ask(next(asked)))
    monkeypatch.setattr(create_child_sa, "_wish", lambda *_: ask(next(asked)))
    pair = Pair().connect()
    ctx = pair.west.endpoint._ctx
    (lineage,) = ctx.lineages.values()
    for _ in range(most + 2):
        lineages.enqueue(ctx, lineage, CreateChild("net"))
        pair.tell("west", RekeyRequested("nobody"), 0.1)
    assert len(pair.east.endpoint.status("west").children) == most
    assert any("NO_ADDITIONAL_SAS" in line for line in pair.world.trace)
    return pair
