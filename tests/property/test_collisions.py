"""Exchanges that meet in any order, some of them lost: both ends keep the same, and never nothing."""

from __future__ import annotations

from collections import deque
from copy import copy
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from culvert.ike.events import AssociationExpired, DeadlineReached, RekeyRequested
from culvert.ike.v2 import collisions
from culvert.ike.v2.collisions import Meanwhile
from culvert.ike.v2.sa import Lineage
from culvert.sim.snapshots import CountedEntropy
from tests.fuzz.duel import ADDRESSES, OTHER, Duel
from tests.fuzz.stands import COPIER

NONCES = st.binary(min_size=16, max_size=40)
STEPS = st.lists(
    st.sampled_from(
        [
            *(("rekey child", name) for name in ADDRESSES),
            *(("rekey IKE SA", name) for name in ADDRESSES),
            *(("end child", name) for name in ADDRESSES),
            *(("next timer", name) for name in ADDRESSES),
            *((what, name) for what in ("deliver", "deliver", "lose") for name in ADDRESSES),
        ]
    ),
    max_size=24,
)
HEALS_S = 400
DECIDED_S = 20
"""Well before an end that awaits a DELETE in vain helps itself."""


@cache
def _joined() -> Duel:
    duel = Duel(0, entropy=lambda number: CountedEntropy(b"%d" % number))
    duel.rest(60)
    assert duel.settled()
    return duel


def _fresh() -> Duel:
    joined = _joined()
    duel = copy(joined)
    duel.ends = {name: COPIER.copied(end) for name, end in joined.ends.items()}
    duel.under_way, duel.said = deque(), {name: [] for name in joined.said}
    return duel


def _take(duel: Duel, what: str, name: str) -> None:
    """Let something happen at one end, or to the oldest message that it sent."""
    if what in ("deliver", "lose"):
        found = next((number for number, (sender, _) in enumerate(duel.under_way) if sender == name), None)
        if found is not None:
            duel.under_way.rotate(-found)
            duel.deliver() if what == "deliver" else duel.under_way.popleft()
    elif what == "next timer":
        due = duel.ends[name].deadline()
        assert due
        duel.now = max(duel.now, due[0])
        duel.step(name, DeadlineReached())
    elif what == "end child":
        _end_child(duel, name)
    else:
        duel.step(name, RekeyRequested(OTHER[name], ike=what == "rekey IKE SA"))


def _end_child(duel: Duel, name: str) -> None:
    """The data plane says that what is sent on came to its hard limit."""
    for child in duel.status(name).children:
        duel.step(name, AssociationExpired(child.outbound, hard=True))


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_both_ends_come_to_the_same(steps: list[tuple[str, str]]) -> None:
    duel = _fresh()
    for what, name in steps:
        _take(duel, what, name)
    duel.rest(HEALS_S)
    assert duel.settled(), [duel.status(name) for name in ADDRESSES]


@pytest.mark.parametrize("what", ["rekey child", "rekey IKE SA"])
@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(["a", "b"]), max_size=8))
def test_a_collision_leaves_one_and_neither_end_calls(what: str, order: list[str]) -> None:
    """Both ends begin the same, and everything arrives in any order: one successor stays, in the same lineage."""
    duel = _fresh()
    for name in ADDRESSES:
        _take(duel, what, name)
    for name in order:
        _take(duel, "deliver", name)
    duel.rest(DECIDED_S)
    assert duel.settled()
    assert [list(end.state.lineages) for end in duel.ends.values()] == [[1], [1]]


@given(st.tuples(NONCES, NONCES, NONCES, NONCES).filter(lambda four: len(set(four)) == len(four)))
def test_both_ends_close_the_same_one(four: tuple[bytes, bytes, bytes, bytes]) -> None:
    """What is ours at one end is theirs at the other; exactly one of the two finds that its own goes."""
    mine, yours = (Lineage(number, None, b"", True, 0, min(four[at : at + 2])) for number, at in ((1, 0), (2, 2)))
    decisions = {collisions.decide(mine, yours), collisions.decide(yours, mine)}
    assert decisions == {Meanwhile.OURS_LOWEST, Meanwhile.THEIRS_LOWEST}
    lowest = mine if min(four) in four[:2] else yours
    assert collisions.loses(lowest, yours if lowest is mine else mine)
