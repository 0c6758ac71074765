"""Everything that can happen to the core happens in simulation, and the core does there all that it can do."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import get_args

import pytest

from culvert.clock import SECOND
from culvert.entropy import Entropy
from culvert.ike.actions import Action
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import Event
from culvert.sim import nat, workload
from culvert.sim.forgeries import Forgery
from culvert.sim.link import Conditions, Link
from culvert.sim.play import play
from culvert.sim.script import Script
from culvert.sim.setting import Change
from culvert.sim.steps import DO, Verb

KINDS = (*get_args(Event), *get_args(Action))
PLAYED = range(1, 401)
"""Seeds of which so many are played as are needed to see everything once."""
DRAWN = range(1, 1_001)


class Counting(Endpoint):
    """Counts what happens to it and what it wants done."""

    def __init__(self, entropy: Entropy, now: int, met: Counter[type]) -> None:
        super().__init__(entropy, now)
        self._met = met

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        self._met.update([type(event), *map(type, actions)])
        return actions


@pytest.fixture(scope="module")
def met() -> Counter[type]:
    counts: Counter[type] = Counter()
    for seed in PLAYED:
        if all(counts[kind] for kind in KINDS):
            break
        assert play(workload.draw(seed), lambda entropy, now: Counting(entropy, now, counts)).failure == ""
    return counts


@pytest.fixture(scope="module")
def scripts() -> list[Script]:
    return [workload.draw(seed) for seed in DRAWN]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_and_every_action_occurs(kind: type, met: Counter[type]) -> None:
    """A new one that nobody lets happen, or that nothing causes, fails here."""
    assert met[kind] > 0


def _steps(scripts: list[Script]) -> Iterator[tuple[Verb, str]]:
    return ((step.verb, step.what) for script in scripts for one in script.rounds for _, step in one.steps)


def test_everything_that_can_be_done_is_done(scripts: list[Script]) -> None:
    done = dict.fromkeys(verb for verb, _ in _steps(scripts))
    assert set(done) == set(Verb) == set(DO)


def test_every_forgery_and_every_other_configuration_is_tried(scripts: list[Script]) -> None:
    done = dict.fromkeys(_steps(scripts))
    assert {what for verb, what in done if verb is Verb.FORGE} == set(Forgery)
    assert {what for verb, what in done if verb is Verb.CONFIGURE} - {""} == set(Change)


def test_rekeys_are_asked_for_at_either_end_and_at_both_at_once(scripts: list[Script]) -> None:
    for verb in (Verb.REKEY_CHILD, Verb.REKEY_IKE):
        ends = Counter(_rekeying(script, verb) for script in scripts)
        assert set(ends) >= {("hub",), ("spoke1",), ("hub", "spoke1")}


def _rekeying(script: Script, verb: Verb) -> tuple[str, ...]:
    one = script.rounds[-1]
    return tuple(sorted({step.who for _, step in one.steps if step.verb is verb}))


def test_a_day_without_anything_comes_by(scripts: list[Script]) -> None:
    idle = [one for script in scripts for one in script.rounds if one.lasts_ns == workload.DAY_NS and not one.steps]
    assert 5 < len(idle) < 50


def test_networks_do_all_that_they_can_do(scripts: list[Script]) -> None:
    weathers = [one.weather for script in scripts for one in script.rounds if one.weather is not None]
    for fault in ("loss", "duplication", "damage", "replay"):
        assert any(getattr(weather, fault) for weather in weathers)
    assert any(weather.longest > weather.shortest for weather in weathers)
    ways = [what for verb, what in _steps(scripts) if verb is Verb.CUT]
    assert len(ways) > 10


def test_cuts_are_of_one_direction_and_of_both(scripts: list[Script]) -> None:
    cuts = [
        {(step.who, step.what) for _, step in one.steps if step.verb is Verb.CUT}
        for script in scripts
        for one in script.rounds
    ]
    both = [cut for cut in cuts if any((other, one) in cut for one, other in cut)]
    one_way = [cut for cut in cuts if cut and not any((other, one) in cut for one, other in cut)]
    assert both
    assert one_way


def test_translators_are_of_every_kind(scripts: list[Script]) -> None:
    kinds = {
        (one.mapping, one.filtering, one.preserves_ports)
        for script in scripts
        if (one := script.setting.translator) is not None
    }
    assert kinds == {
        (mapping, filtering, preserves)
        for mapping in nat.Behaviour
        for filtering in nat.Behaviour
        for preserves in (False, True)
    }
    shared = Counter(script.setting.translator.shared for script in scripts if script.setting.translator)
    assert shared[True]
    assert shared[False]
    assert any(script.setting.hub_translated for script in scripts)


def test_a_link_does_what_its_conditions_say() -> None:
    """Each fault comes about as often as it is to; a wide range of delays lets datagrams overtake each other."""
    bad = Conditions(loss=0.2, duplication=0.3, longest=SECOND, damage=0.1, replay=0.1)
    way = Link(random.Random(1), bad, heals_at=1)
    fates = [way.fate(("hub", "IKE_AUTH request", number), 0) for number in range(2_000)]
    assert 0.15 < sum(not fate for fate in fates) / len(fates) < 0.25
    copies = [copy for fate in fates for copy in fate]
    assert 0.05 < sum(copy.damaged is not None for copy in copies) / len(copies) < 0.15
    assert any(copy.elsewhere for copy in copies)
    assert any(copy.after > SECOND for copy in copies)
    delays = [fate[0].after for fate in fates if fate]
    assert any(later < earlier - SECOND // 2 for earlier, later in pairwise(delays))


def test_a_link_that_is_healed_delivers_everything_once() -> None:
    way = Link(random.Random(1), Conditions(loss=1.0), heals_at=1)
    assert way.fate(("hub", "IKE_AUTH request", 1), 0) == ()
    healed = [way.fate(("hub", "IKE_AUTH request", number), 1) for number in range(100)]
    assert all(len(fate) == 1 and fate[0].damaged is None and not fate[0].elsewhere for fate in healed)
