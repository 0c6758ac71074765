"""Two gateways, and everything that a network can do to them within so many steps."""

from __future__ import annotations

import pytest

from culvert.sim.explorer import Explorer
from culvert.sim.exploring import explore
from culvert.sim.starts import cases, exploration, winner
from tests.sim.test_mutations import AlwaysWins, ForgetsAnswers, OutboundFirst, RepeatsIvs, RepliesFirst, SwitchesEarly

SHALLOW = 4


@pytest.mark.parametrize("number", range(len(cases())), ids=lambda number: f"{cases()[number][0].name} {number}")
def test_everything_holds_and_heals_within_a_few_steps(number: int) -> None:
    explored = explore(number, depth=SHALLOW)
    assert explored.failure == ""
    assert explored.healed > 100


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", range(len(cases())), ids=lambda number: f"{cases()[number][0].name} {number}")
def test_everything_holds_and_heals(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    explored = explore(number)
    with capsys.disabled():
        print(f"\n{explored}")
    assert explored.failure == ""


def test_each_end_wins_once() -> None:
    beginning = next(one for one, _ in cases() if one.name == "child rekey at both ends")
    explorer = Explorer()
    for first in (0, 1):
        assert winner(explorer, exploration(explorer, beginning, (first, 1 - first))) == first


def test_states_that_different_ways_lead_to_are_one() -> None:
    """Two messages to two ends: whichever comes first, both having come is one state."""
    beginning = next(one for one, _ in cases() if one.name == "IKE rekey at both ends")
    explorer = Explorer()
    state = exploration(explorer, beginning, (0, 1))
    one, other = (choice for choice in explorer.choices(state, 0) if choice.arrival is not None)
    first = explorer.follow(explorer.follow(state, one), other)
    second = explorer.follow(explorer.follow(state, other), one)
    assert first.key == second.key != state.key
    assert first.story() != second.story()


def test_what_was_tried_does_not_change_what_it_was_tried_on() -> None:
    explorer = Explorer()
    state = exploration(explorer, cases()[2][0], (0, 1))
    before = [explorer.digester.digest(end.node) for end in state.ends]
    assert explorer.explore(state, depth=2) == ""
    assert [explorer.digester.digest(end.node) for end in state.ends] == before == [one.digest for one in state.ends]


FOUND = {
    RepliesFirst: ("child rekey at both ends", "replies before"),
    OutboundFirst: ("child rekey at both ends", "before it can receive"),
    RepeatsIvs: ("IKE rekey at both ends", "uses an IV twice"),
    AlwaysWins: ("child rekey at both ends", ""),
    ForgetsAnswers: ("child rekey at both ends", ""),
    SwitchesEarly: ("child rekey at both ends", "does not have"),
}


@pytest.mark.parametrize("mutant", FOUND, ids=lambda mutant: mutant.__name__)
def test_faults_are_found(mutant: type) -> None:
    """A fault shows itself while the beginning is set up, or on the way from there, and how is told."""
    name, words = FOUND[mutant]
    explorer = Explorer(build=mutant)
    beginning = next(one for one, _ in cases() if one.name == name)
    try:
        failure = explorer.explore(exploration(explorer, beginning, (0, 1)), depth=SHALLOW)
    except (AssertionError, ValueError) as broken:
        failure = str(broken)
    assert failure
    assert words in failure
