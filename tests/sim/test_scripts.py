"""A run is written down whole: what is read again plays again, to the octet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.sim import workload
from culvert.sim.link import Copy
from culvert.sim.play import play, seeded
from culvert.sim.script import Round, Script
from culvert.sim.script_text import read, write
from culvert.sim.setting import Setting, Translator
from culvert.sim.steps import Step, Verb

SEEDS = range(1, 41)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_written_is_read_again(seed: int) -> None:
    drawn = workload.draw(seed)
    calm = replace(drawn, rounds=tuple(replace(one, weather=None) for one in drawn.rounds))
    assert read(write(calm)) == calm


@pytest.mark.parametrize("seed", [2, 3, 5, 8, 13, 21])
def test_a_script_plays_as_the_seed_did(seed: int) -> None:
    first = seeded(seed)
    again = play(read(write(first.script)))
    assert again.world.trace == first.world.trace


def test_every_fate_is_written() -> None:
    fates = {
        ("hub", "IKE_AUTH response", 1): (),
        ("spoke1", "exchange 37 request", 2): (
            Copy(10_000_000),
            Copy(1_500_000_000, 57),
            Copy(90_000_001_000, None, True),
        ),
    }
    script = Script(3, Setting(translator=Translator(shared=True)), (Round((), 5_000_000_000),), fates)
    assert read(write(script)) == script


def test_a_step_about_somebody_who_is_not_there_is_left_out() -> None:
    rounds = (Round(((0, Step(Verb.RESTART, "spoke2")), (1, Step(Verb.CONFIGURE, "hub"))), 1_000_000_000),)
    assert play(Script(1, Setting(), rounds)).failure == ""
