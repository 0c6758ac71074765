from __future__ import annotations

from culvert.config.model import Child
from culvert.ike.narrowing import choose_child, describe, narrow, within
from culvert.ipsec.selectors import traffic_selector as ts
from culvert.limits import MAX_TRAFFIC_SELECTORS


def test_what_both_cover_stays() -> None:
    assert narrow((ts("10.0.0.0/8"),), (ts("10.1.0.0/16"), ts("10.2.0.0/16"))) == (ts("10.1.0.0/16"), ts("10.2.0.0/16"))
    assert narrow((ts("10.1.2.0/24[tcp/80]"),), (ts("10.1.0.0/16"),)) == (ts("10.1.2.0/24[tcp/80]"),)
    assert narrow((ts("10.1.0.0/16"),), (ts("10.2.0.0/16"),)) == ()
    assert narrow((ts("2001:db8::/32"),), (ts("10.2.0.0/16"),)) == ()


def test_what_is_covered_twice_is_given_once() -> None:
    packet, network = ts("10.1.0.5-10.1.0.5[tcp/80]"), ts("10.1.0.0/16")
    assert narrow((packet, network), (network,)) == (network,)


def test_it_is_bounded() -> None:
    offered = tuple(ts(f"10.{n}.0.0/16") for n in range(250))
    configured = tuple(ts(f"10.{n}.{m}.0/24") for n in range(60) for m in range(4))
    assert len(narrow(offered, configured)) <= MAX_TRAFFIC_SELECTORS


def test_an_answer_must_lie_in_the_offer() -> None:
    assert within((ts("10.1.2.0/24"),), (ts("10.1.0.0/16"),))
    assert not within((ts("10.0.0.0/8"),), (ts("10.1.0.0/16"),))
    assert not within((), (ts("10.1.0.0/16"),))


def test_the_child_that_is_exactly_meant_wins() -> None:
    wide = Child("p", "wide", (ts("10.0.0.0/8"),), (ts("10.0.0.0/8"),))
    exact = Child("p", "exact", (ts("10.1.0.0/16"),), (ts("10.2.0.0/16"),))
    chosen = choose_child((wide, exact), exact.local, exact.remote)
    assert chosen is not None
    assert chosen.child is exact
    assert choose_child((exact,), (ts("10.9.0.0/16"),), exact.remote) is None


def test_both_sides_are_shown() -> None:
    assert describe((ts("10.1.0.0/16"),), ()) == "10.1.0.0/16 <-> nothing"
