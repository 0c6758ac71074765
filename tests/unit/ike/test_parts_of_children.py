"""Children that are made of parts: a peer that narrows, takes one pair at a time, or refuses some of what is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert.config.model import Child, Peer, Start
from culvert.ike.events import Acquired, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2 import child_negotiation, lineages
from culvert.ike.v2.reading import refused
from culvert.ike.v2.sa import DeleteChild
from culvert.ipsec.associations import Direction
from culvert.ipsec.coverage import SelectorPair, Selectors, missing, pairs
from culvert.ipsec.selectors import TrafficSelector, decompose
from culvert.ipsec.selectors import traffic_selector as ts
from culvert.limits import MAX_CARRIERS, MAX_PROBES
from culvert.reasons import Refusal
from culvert.sim.pair import ESP, Pair
from culvert.sim.world import Node
from culvert.wire.isakmp.notify import NotifyType

A, B = ts("10.1.0.0/16"), ts("10.3.0.0/16")
C, D = ts("10.2.0.0/16"), ts("10.4.0.0/16")
WEST, EAST = (A, B), (C, D)
ALL = [(A, C), (A, D), (B, C), (B, D)]


def _with(peer: Peer, local: Selectors, remote: Selectors, name: str = "net", **more: object) -> Peer:
    others = tuple(one for one in peer.children if one.name != name)
    return replace(peer, children=(*others, Child(peer.name, name, local, remote, ESP)), **more)  # type: ignore[arg-type]


def _pair(
    west: tuple[Selectors, Selectors] = (WEST, EAST), east: tuple[Selectors, Selectors] = (EAST, WEST), **more: object
) -> Pair:
    pair = Pair()
    pair.west_peer = _with(pair.west_peer, *west, **more)
    pair.east_peer = _with(pair.east_peer, *east)
    return pair


def _there(node: Node, other: str) -> list[tuple[str, str]]:
    found = node.endpoint.status(other).children
    return sorted((" ".join(child.local), " ".join(child.remote)) for child in found)


def _shown(*expected: tuple[TrafficSelector, TrafficSelector]) -> list[tuple[str, str]]:
    return sorted((str(one), str(other)) for one, other in expected)


def _both_have(pair: Pair, *expected: tuple[TrafficSelector, TrafficSelector]) -> None:
    assert _there(pair.west, "east") == _shown(*expected)
    assert _there(pair.east, "west") == sorted((other, one) for one, other in _shown(*expected))


def _answers(monkeypatch: pytest.MonkeyPatch, judge: Callable[[Selectors, Selectors], None] | None = None) -> list:
    """Let responders take one pair at a time: the first that both sides name. `judge` may refuse before that."""
    real, asked = child_negotiation._narrow, []

    def narrow(sa, lineage, peer, contents, rekeyed):  # type: ignore[no-untyped-def]
        found, written = real(sa, lineage, peer, contents, rekeyed)
        asked.append((found.remote, found.local))
        if judge is not None:
            judge(found.remote, found.local)
        return replace(found, local=found.local[:1], remote=found.remote[:1]), written

    monkeypatch.setattr(child_negotiation, "_narrow", narrow)
    return asked


# One pair at a time


def test_a_peer_that_narrows_to_one_pair_gets_a_child_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _answers(monkeypatch)
    pair = _pair().connect()
    _both_have(pair, *ALL)
    assert asked[0] == (WEST, EAST)
    assert all(len(one) == len(other) == 1 for one, other in asked[1:])
    assert pair.west.endpoint.status("east").state is PeerState.UP
    assert pair.west.endpoint.status("east").reason is None
    assert len({one.reqid for one in pair.west.plane.associations.values()}) == 1


def test_split_asks_for_one_pair_at_once() -> None:
    pair = _pair(split=True).connect()
    _both_have(pair, *ALL)
    assert pair.east.endpoint.status("west").state is PeerState.UP
    requests = sum("west sends CREATE_CHILD_SA request" in line for line in pair.world.trace)
    assert requests == len(ALL)


def test_every_packet_of_the_child_has_exactly_one_way() -> None:
    pair = _pair(split=True).connect()
    carried = [selector for one in pair.west.plane.side(Direction.OUT) for selector in one.selectors]
    assert sorted(map(str, carried)) == sorted(map(str, decompose(WEST, EAST)))


def test_several_selectors_in_one_child_where_the_peer_takes_them() -> None:
    pair = _pair().connect()
    (child,) = pair.west.endpoint.status("east").children
    assert (child.local, child.remote) == (tuple(map(str, WEST)), tuple(map(str, EAST)))


def test_a_peer_that_says_single_pair_required_is_asked_for_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(local: Selectors, remote: Selectors) -> None:
        if len(local) + len(remote) > 2:
            raise refused(NotifyType.SINGLE_PAIR_REQUIRED, "one pair each")

    _answers(monkeypatch, judge)
    pair = _pair().connect()
    _both_have(pair, *ALL)
    assert pair.west.endpoint.status("east").state is PeerState.UP


def test_a_peer_that_wants_pairs_of_hosts_gets_them_as_traffic_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(local: Selectors, remote: Selectors) -> None:
        if any(one.start != one.end for one in (*local, *remote)):
            raise refused(NotifyType.SINGLE_PAIR_REQUIRED, "one pair of hosts each")

    _answers(monkeypatch, judge)
    pair = _pair(start=Start.TRAFFIC).connect()
    assert _there(pair.west, "east") == []
    reqid = pair.west_peer.children[0].reqid
    for last in (1, 2):
        host = ip_address(f"10.1.0.{last}")
        pair.tell("west", Acquired(reqid, host, ip_address("10.4.0.9"), 6, 40_000, 443))
    _both_have(pair, (ts("10.1.0.1"), ts("10.4.0.9")), (ts("10.1.0.2"), ts("10.4.0.9")))
    status = pair.west.endpoint.status("east")
    assert (status.state, status.reason) == (PeerState.UP, Refusal.PARTIAL)
    assert "as traffic asks" in status.message


def test_a_peer_that_does_not_narrow_is_asked_for_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(local: Selectors, remote: Selectors) -> None:
        if (local, remote) != ((A,), (C,)) and (local, remote) != ((B,), (D,)):
            raise refused(NotifyType.TS_UNACCEPTABLE, "exactly what is configured")

    _answers(monkeypatch, judge)
    pair = _pair().connect()
    _both_have(pair, (A, C), (B, D))
    status = pair.west.endpoint.status("east")
    assert (status.state, status.reason) == (PeerState.UP, Refusal.PARTIAL)
    assert status.message.startswith("net does not carry 10.1.0.0/16 <-> 10.4.0.0/16, 10.3.0.0/16 <-> 10.2.0.0/16")
    assert "TS_UNACCEPTABLE" in status.message


# What the peer does not have


def test_what_the_peer_does_not_have_is_named(caplog: pytest.LogCaptureFixture) -> None:
    pair = _pair(east=((C,), WEST)).connect()
    _both_have_one = pair.west.endpoint.status("east").children
    assert [(child.local, child.remote) for child in _both_have_one] == [(tuple(map(str, WEST)), (str(C),))]
    status = pair.west.endpoint.status("east")
    assert (status.state, status.reason) == (PeerState.UP, Refusal.PARTIAL)
    assert "10.1.0.0/16 <-> 10.4.0.0/16, 10.3.0.0/16 <-> 10.4.0.0/16" in status.message
    assert "TS_UNACCEPTABLE" in status.message


def test_what_was_refused_is_asked_for_again_after_a_while_and_not_before() -> None:
    pair = _pair(east=((C,), WEST)).connect()
    before = sum("sends CREATE_CHILD_SA request" in line for line in pair.world.trace)
    assert before == 2
    pair.wait(300)
    assert sum("sends CREATE_CHILD_SA request" in line for line in pair.world.trace) == before
    pair.wait(400)
    assert sum("sends CREATE_CHILD_SA request" in line for line in pair.world.trace) == before + 1


def test_finer_networks_at_the_peer_are_all_found(monkeypatch: pytest.MonkeyPatch) -> None:
    _answers(monkeypatch)
    fine = (ts("10.2.0.0/17"), ts("10.2.128.0/17"))
    pair = _pair(((A,), (C,)), (fine, (A,))).connect()
    _both_have(pair, (A, fine[0]), (A, fine[1]))
    assert pair.west.endpoint.status("east").reason is None


def test_a_narrower_peer_that_called_is_told_of_as_well() -> None:
    pair = _pair(((A,), (C,)), (EAST, WEST)).connect()
    status = pair.east.endpoint.status("west")
    assert (status.state, status.reason) == (PeerState.UP, Refusal.PARTIAL)
    assert "the peer asked for no more" in status.message


def test_nothing_in_common_is_said_once_and_costs_a_few_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple(ts(f"10.{n}.0.0/16") for n in range(100, 140))
    pair = _pair((many, EAST), ((ts("172.16.0.0/12"),), WEST)).connect()
    pair.wait(10)
    assert sum("sends CREATE_CHILD_SA request" in line for line in pair.world.trace) == 1 + MAX_PROBES
    status = pair.west.endpoint.status("east")
    assert (status.state, status.reason) == (PeerState.DOWN, Refusal.TS_UNACCEPTABLE)


# Absurd peers


def test_a_peer_that_gives_crumbs_is_not_asked_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    real, given = child_negotiation._narrow, []

    def narrow(sa, lineage, peer, contents, rekeyed):  # type: ignore[no-untyped-def]
        found, written = real(sa, lineage, peer, contents, rekeyed)
        crumb = [(replace(side[0], end=side[0].start),) for side in written]
        given.append(crumb)
        return replace(found, local=crumb[0], remote=crumb[1]), written

    monkeypatch.setattr(child_negotiation, "_narrow", narrow)
    pair = _pair(((A,), (C,)), ((C,), (A,)), start=Start.TRAFFIC).connect()
    pair.wait(30)
    assert len(given) == 1
    status = pair.west.endpoint.status("east")
    assert (status.state, status.reason) == (PeerState.UP, Refusal.PARTIAL)
    assert "as traffic asks" in status.message
    pair.wait(40 * 600)
    assert len(pair.west.endpoint.status("east").children) == 1
    reqid = pair.west_peer.children[0].reqid
    for number in range(1, MAX_CARRIERS + 10):
        host = ip_address(f"10.1.1.{number}")
        pair.tell("west", Acquired(reqid, host, ip_address("10.2.0.9"), 6, 40_000, 443))
    assert len(pair.west.endpoint.status("east").children) == MAX_CARRIERS


def test_a_peer_that_halves_everything_fills_a_bounded_number_of_associations(monkeypatch: pytest.MonkeyPatch) -> None:
    real = child_negotiation._narrow

    def narrow(sa, lineage, peer, contents, rekeyed):  # type: ignore[no-untyped-def]
        found, written = real(sa, lineage, peer, contents, rekeyed)
        if rekeyed is not None:
            return found, written
        local = found.local[0]
        half = type(local.start)((int(local.start) + int(local.end)) // 2)
        return replace(found, local=(replace(local, end=half),), remote=found.remote[:1]), written

    monkeypatch.setattr(child_negotiation, "_narrow", narrow)
    pair = _pair(((ts("10.0.0.0-10.0.255.254"),), (C,)), ((C,), (ts("10.0.0.0/8"),))).connect()
    pair.wait(30)
    children = pair.west.endpoint.status("east").children
    assert 1 < len(children) <= MAX_CARRIERS
    wanted = pairs((ts("10.0.0.0-10.0.255.254"),), (C,))
    carried = [SelectorPair(ts(child.local[0]), ts(child.remote[0])) for child in children]
    assert all(any(one.covers(pair_) for one in wanted) for pair_ in carried)
    assert missing(wanted, carried).nothing or len(children) == MAX_CARRIERS


def test_a_peer_that_deletes_what_it_gave_is_not_asked_at_once() -> None:
    pair = _pair(split=True).connect()
    ctx = pair.east.endpoint._ctx
    (lineage,) = ctx.lineages.values()
    for _ in range(2):
        lineages.enqueue(ctx, lineage, DeleteChild(next(iter(lineage.children))))
        trace = pair.tell("east", RekeyRequested("nobody"), 8)
        assert not any("west sends CREATE_CHILD_SA" in line for line in trace)
    assert len(_there(pair.west, "east")) == len(ALL) - 2
    pair.wait(40)
    _both_have(pair, *ALL)


# Traffic


def test_the_packet_that_asked_stands_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = child_negotiation.selectors_of
    monkeypatch.setattr(child_negotiation, "selectors_of", lambda payload: seen.append(real(payload)) or real(payload))
    pair = _pair()
    pair.west_peer = replace(pair.west_peer, start=Start.TRAFFIC)
    pair.configure()
    reqid = pair.west_peer.children[0].reqid
    pair.tell("west", Acquired(reqid, ip_address("10.3.0.5"), ip_address("10.4.0.6"), 6, 40_000, 443))
    tsi, tsr = seen[0], seen[1]
    assert tsi == (ts("10.3.0.5[tcp/40000]"), A, B)
    assert tsr == (ts("10.4.0.6[tcp/443]"), C, D)
    assert len(pair.west.endpoint.status("east").children) == 1
    assert pair.west.endpoint.status("east").reason is None


@pytest.mark.parametrize("split", [False, True])
def test_a_peer_that_takes_the_first_pair_gets_that_of_the_packet(monkeypatch: pytest.MonkeyPatch, split: bool) -> None:
    asked = _answers(monkeypatch)
    pair = _pair(split=split)
    pair.west_peer = replace(pair.west_peer, start=Start.TRAFFIC)
    pair.configure()
    reqid = pair.west_peer.children[0].reqid
    pair.tell("west", Acquired(reqid, ip_address("10.3.0.5"), ip_address("10.4.0.6"), 1, 8, 0), 0.05)
    pair.wait(2)
    assert (B in asked[0][0], D in asked[0][1]) == (True, True)
    _both_have(pair, *ALL) if split else None


def test_traffic_within_what_is_carried_asks_for_nothing() -> None:
    pair = _pair().connect()
    reqid = pair.west_peer.children[0].reqid
    trace = pair.tell("west", Acquired(reqid, ip_address("10.3.0.5"), ip_address("10.4.0.6"), 17, 53, 53))
    assert not any("sends" in line for line in trace)


def test_traffic_that_the_peer_refuses_asks_once_in_a_while() -> None:
    pair = _pair(east=((C,), WEST)).connect()
    reqid = pair.west_peer.children[0].reqid
    before = len(pair.world.trace)
    for _ in range(20):
        pair.tell("west", Acquired(reqid, ip_address("10.1.0.5"), ip_address("10.4.0.6"), 6, 40_000, 443))
    assert not any("sends" in line for line in pair.world.trace[before:])


# Successors


def test_each_part_gets_a_successor_of_its_own() -> None:
    pair = _pair(split=True).connect()
    before = {child.inbound.spi for child in pair.west.endpoint.status("east").children}
    for name, other in (("west", "east"), ("east", "west")):
        pair.tell(name, RekeyRequested(other), 10)
        _both_have(pair, *ALL)
    after = {child.inbound.spi for child in pair.west.endpoint.status("east").children}
    assert not before & after
    assert len(pair.west.plane.associations) == len(pair.east.plane.associations) == 2 * len(ALL)


def test_both_ends_rekey_all_parts_at_once() -> None:
    pair = _pair(split=True).connect()
    pair.world.at(pair.world.now, "west", RekeyRequested("east"))
    pair.world.at(pair.world.now, "east", RekeyRequested("west"))
    pair.wait(60)
    _both_have(pair, *ALL)
    assert len(pair.west.plane.associations) == len(pair.east.plane.associations) == 2 * len(ALL)


def test_a_peer_that_rekeys_a_part_with_all_that_it_has_gets_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = _pair(split=True).connect()
    real = child_negotiation.request

    def request(offer, *, key_exchange, old_spi_in=None):  # type: ignore[no-untyped-def]
        if old_spi_in is not None:
            offer.local, offer.remote = offer.child.local, offer.child.remote
        return real(offer, key_exchange=key_exchange, old_spi_in=old_spi_in)

    monkeypatch.setattr(child_negotiation, "request", request)
    pair.tell("east", RekeyRequested("west"), 10)
    _both_have(pair, *ALL)


def test_a_successor_that_is_narrower_leaves_a_gap_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = _pair().connect()
    _answers(monkeypatch)
    pair.tell("west", RekeyRequested("east"), 10)
    _both_have(pair, *ALL)


# Several children


def test_an_offer_of_several_children_is_the_one_of_the_packet() -> None:
    """West has one child, east has two: west gets them one after the other."""
    pair = _pair()
    pair.east_peer = replace(
        pair.east_peer,
        children=tuple(Child("west", f"to-{n}", (one,), WEST, ESP) for n, one in enumerate(EAST)),
    )
    pair.west_peer = replace(pair.west_peer, start=Start.TRAFFIC)
    pair.configure()
    reqid = pair.west_peer.children[0].reqid
    pair.tell("west", Acquired(reqid, ip_address("10.1.0.5"), ip_address("10.4.0.6"), 6, 40_000, 443), 3)
    names = [child.name for child in pair.east.endpoint.status("west").children]
    assert names == ["to-1", "to-0"]
    assert pair.west.endpoint.status("east").reason is None


def test_both_ends_with_different_splitting_come_to_rest() -> None:
    pair = _pair(split=True)
    pair.west_peer, pair.east_peer = (replace(one, start=Start.ALWAYS) for one in (pair.west_peer, pair.east_peer))
    pair.configure()
    pair.wait(60)
    for node, other in ((pair.west, "east"), (pair.east, "west")):
        status = node.endpoint.status(other)
        assert (status.state, status.reason) == (PeerState.UP, None)
        assert len(node.plane.associations) == 2 * len(status.children)
