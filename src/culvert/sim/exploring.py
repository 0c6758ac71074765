"""All explorations, on all processors, told in their order."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from culvert.sim.explorer import DEPTH, FAULTS, Explorer
from culvert.sim.starts import NAMES, cases, exploration


@dataclass(frozen=True, slots=True)
class Explored:
    """What one exploration came to. `reactions` are those of one gateway to one input; `healed` states came to rest."""

    name: str
    states: int
    reactions: int
    healed: int
    failure: str

    def __str__(self) -> str:
        return f"{self.name}: {self.states} states, {self.healed} of them healed, {self.reactions} reactions"


def explore(number: int, depth: int = DEPTH, faults: int = FAULTS) -> Explored:
    """Explore from one beginning, with one assignment of roles."""
    beginning, roles = cases()[number]
    explorer = Explorer()
    failure = explorer.explore(exploration(explorer, beginning, roles), depth, faults)
    name = f"{beginning.name}, {NAMES[roles[0]]} first"
    return Explored(name, explorer.states, explorer.reactions, explorer.healed, failure)


def explore_all(depth: int, jobs: int) -> Iterator[Explored]:
    """Explore from every beginning."""
    numbers = range(len(cases()))
    if jobs <= 1:
        yield from (explore(number, depth) for number in numbers)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(explore, numbers, [depth] * len(numbers))
