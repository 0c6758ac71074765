"""Many runs, on all processors, told in the order of their seeds."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Protocol

from culvert.sim.play import seeded

AHEAD = 8
"""Seeds for each process that are handed out before the first of them is told: one may take as long as many others."""


class Digest(Protocol):
    """A digest that grows."""

    def update(self, octets: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


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


@dataclass(slots=True)
class Tally:
    """What many runs came to, one after the other. However many there are, it stays as small."""

    runs: int = 0
    events: int = 0
    simulated_ns: int = 0
    failed: list[int] = field(default_factory=list)
    _digest: Digest = field(default_factory=sha256)

    def add(self, one: Summary) -> None:
        self.runs += 1
        self.events += one.events
        self.simulated_ns += one.simulated_ns
        self.failed += [one.seed] if one.failure else []
        self._digest.update(one.digest.encode())

    @property
    def trace(self) -> str:
        """The digest of all traces so far."""
        return self._digest.hexdigest()


def summaries(seeds: Iterable[int], jobs: int) -> Generator[Summary, None, None]:
    """Play seeds, of which there may be no end; give what they came to as if one had come after the other."""
    if jobs <= 1:
        yield from map(summarise, seeds)
        return
    pool = ProcessPoolExecutor(jobs, initializer=_leave_interrupts)
    try:
        yield from _in_order(pool, iter(seeds), jobs * AHEAD)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, seeds: Iterator[int], ahead: int) -> Iterator[Summary]:
    under_way = deque(pool.submit(summarise, seed) for seed in islice(seeds, ahead))
    while under_way:
        yield under_way.popleft().result()
        under_way.extend(pool.submit(summarise, seed) for seed in islice(seeds, 1))


def _leave_interrupts() -> None:
    """Ctrl-C goes to every process of a terminal; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def processors() -> int:
    """Give how many runs can go on at once."""
    return len(os.sched_getaffinity(0))
