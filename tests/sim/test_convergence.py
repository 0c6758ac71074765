"""Whatever the network did, once it heals both ends have one IKE SA, and one pair of child SAs for each child."""

from __future__ import annotations

import pytest

from culvert.sim.__main__ import main
from culvert.sim.play import seeded

BLOCKS, RUNS = 4, 25


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_seed_comes_to_rest(block: int) -> None:
    for seed in range(block * RUNS + 1, (block + 1) * RUNS + 1):
        assert seeded(seed).failure == ""


def test_the_same_seed_gives_the_same_trace() -> None:
    assert seeded(7).world.trace == seeded(7).world.trace
    assert seeded(7).world.trace != seeded(8).world.trace


def test_the_program_tells_how_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "3", "--runs", "2"]) == 0
    assert "2 runs from seed 3: all came to rest" in capsys.readouterr().out
