"""Many runs, on all processors, told in the order of their seeds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

from culvert.sim.play import seeded

CHUNK = 4
"""Seeds that a process is handed at once; few, since one may take as long as a hundred others."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What one run came to. `digest` is that of its whole trace."""

    seed: int
    failure: str
    digest: str
    events: int
    simulated_ns: int


def summarise(seed: int) -> Summary:
    """Play a seed."""
    played = seeded(seed)
    trace = "\n".join((*played.world.trace, played.failure))
    digest = sha256(trace.encode()).hexdigest()
    return Summary(seed, played.failure, digest, played.world.events, played.world.now)


def summaries(seeds: Iterable[int], jobs: int) -> Iterator[Summary]:
    """Play seeds; give what they came to as if one had come after the other."""
    if jobs <= 1:
        yield from map(summarise, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(summarise, seeds, chunksize=CHUNK)


def processors() -> int:
    """Give how many runs can go on at once."""
    return len(os.sched_getaffinity(0))
