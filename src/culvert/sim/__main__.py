"""`python -m culvert.sim --seed N --runs M`: set up, disturb and heal tunnels; exit 0 if all of them came to rest."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from culvert.clock import SECOND
from culvert.sim import failures, script_text
from culvert.sim.explorer import DEPTH, FAULTS
from culvert.sim.exploring import explore_all
from culvert.sim.many import Summary, processors, summaries
from culvert.sim.play import Played, play, seeded

PROGRESS_EVERY_S = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Play seeds in order. The last three lines of the output depend on seed and runs alone."""
    chosen = _parser().parse_args(arguments)
    if chosen.replay is not None:
        return _replay(chosen.replay, chosen.out)
    if chosen.explore:
        return _explore(chosen.depth, chosen.jobs)
    if chosen.trace:
        return _told(seeded(chosen.seed), chosen.seed)
    seeds = itertools.count(chosen.seed) if chosen.forever else range(chosen.seed, chosen.seed + chosen.runs)
    found: list[Summary] = []
    try:
        for summary in _watched(summaries(seeds, chosen.jobs)):
            found.append(summary)
            if summary.failure:
                print(f"seed {summary.seed}: {summary.failure}", flush=True)
            if summary.failure and chosen.forever:
                break
    except KeyboardInterrupt:
        print(file=sys.stderr)
    _explain(found, chosen.out)
    return _report(chosen.seed, found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m culvert.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds in a row (default 1)")
    parser.add_argument("--forever", action="store_true", help="go on until interrupted, or until a seed fails")
    parser.add_argument("--jobs", type=int, default=processors(), help="processes (default: one for each processor)")
    parser.add_argument("--out", type=Path, default=Path("build/sim"), help="where a failure is written to (build/sim)")
    parser.add_argument("--trace", action="store_true", help="print every event of the first seed, and no more")
    parser.add_argument("--explore", action="store_true", help="try everything that a network can do to two gateways")
    parser.add_argument("--depth", type=int, default=DEPTH, help=f"how many steps of the network ({DEPTH})")
    parser.add_argument("--replay", type=Path, help="play a script.toml, and draw it")
    return parser


def _explore(depth: int, jobs: int) -> int:
    """Explore from every beginning, and count."""
    states, failures = 0, []
    for explored in explore_all(depth, jobs):
        print(explored, flush=True)
        states += explored.states
        failures += [explored.failure] if explored.failure else []
    print("\n".join(failures[:1]))
    print(f"depth {depth}, {FAULTS} faults: {states} states, {'all healed' if not failures else 'NOT all good'}")
    return 1 if failures else 0


def _watched(found: Iterable[Summary]) -> Iterator[Summary]:
    """Pass on what was found, and say now and then how far it is."""
    said = started = time.monotonic()
    for count, summary in enumerate(found, 1):
        yield summary
        if time.monotonic() - said > PROGRESS_EVERY_S:
            said = time.monotonic()
            print(f"{count} runs, {count / (said - started):.0f} a second", file=sys.stderr, flush=True)


def _explain(found: Sequence[Summary], out: Path) -> None:
    """Shorten the first failure, and write it down."""
    failed = next((one.seed for one in found if one.failure), None)
    if failed is not None:
        print("\n".join(failures.leave(out / f"seed-{failed}", seeded(failed))))


def _report(first: int, found: Sequence[Summary]) -> int:
    failed = [one.seed for one in found if one.failure]
    events, simulated = sum(one.events for one in found), sum(one.simulated_ns for one in found)
    digest = sha256("\n".join(one.digest for one in found).encode()).hexdigest()
    outcome = "all came to rest" if not failed else f"failed: {', '.join(map(str, failed))}"
    print(f"{len(found)} runs from seed {first}: {outcome}")
    print(f"{events} events in {simulated // SECOND} simulated seconds")
    print(f"trace {digest}")
    return 1 if failed else 0


def _told(played: Played, seed: int) -> int:
    print(played.script.setting)
    print("\n".join(played.world.trace))
    print(f"seed {seed}: {played.failure or 'came to rest'}")
    return 1 if played.failure else 0


def _replay(file: Path, out: Path) -> int:
    script = script_text.read(file.read_text())
    played = play(script)
    if played.failure:
        print("\n".join(failures.leave(out / file.stem, played)))
    return _told(played, script.seed)


if __name__ == "__main__":
    sys.exit(main())
