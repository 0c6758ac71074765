"""`python -m culvert.sim --seed N --runs M`: set up, disturb and heal tunnels; exit 0 if all of them came to rest."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from culvert.clock import SECOND
from culvert.sim import failures, script_text
from culvert.sim.explorer import DEPTH, FAULTS
from culvert.sim.exploring import explore_all
from culvert.sim.many import Summary, Tally, processors, summaries
from culvert.sim.play import Played, play, seeded

Source = Callable[[Iterable[int], int], Generator[Summary, None, None]]


def main(arguments: list[str] | None = None, source: Source = summaries) -> int:
    """Play seeds in order. The last three lines of the output depend on seed and runs alone.

    `source` gives what each came to.
    """
    chosen = _parser().parse_args(arguments)
    if chosen.replay is not None:
        return _replay(chosen.replay, chosen.out)
    if chosen.explore:
        return _explore(chosen.depth, chosen.jobs)
    if chosen.trace:
        return _told(seeded(chosen.seed), chosen.seed)
    seeds = itertools.count(chosen.seed) if chosen.forever else range(chosen.seed, chosen.seed + chosen.runs)
    tally = Tally()
    try:
        with closing(source(seeds, chosen.jobs)) as found:
            _play_all(_watched(found, chosen.progress), tally, stop=chosen.forever)
        _explain(tally, chosen.out)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return _report(chosen.seed, tally)


def _play_all(found: Iterable[Summary], tally: Tally, *, stop: bool) -> None:
    """Count the runs, and tell of each that fails; `stop` at the first of these."""
    for summary in found:
        tally.add(summary)
        if summary.failure:
            print(f"seed {summary.seed}: {summary.failure}", flush=True)
            if stop:
                return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m culvert.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds in a row (default 1)")
    parser.add_argument("--forever", action="store_true", help="go on until interrupted, or until a seed fails")
    parser.add_argument("--jobs", type=int, default=processors(), help="processes (default: one for each processor)")
    parser.add_argument("--progress", type=float, default=5, help="seconds between two words of how far it is (5)")
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


def _watched(found: Iterable[Summary], every_s: float) -> Iterator[Summary]:
    """Pass on what was found, and say now and then how far it is, where that is no part of the output."""
    said = started = time.monotonic()
    for count, summary in enumerate(found, 1):
        yield summary
        if time.monotonic() - said >= every_s:
            said = time.monotonic()
            rate = f"{count / (said - started):.0f} a second"
            print(f"{count} runs, up to seed {summary.seed}, {rate}", file=sys.stderr, flush=True)


def _explain(tally: Tally, out: Path) -> None:
    """Shorten the first failure, and write it down."""
    for failed in tally.failed[:1]:
        print("\n".join(failures.leave(out / f"seed-{failed}", seeded(failed))), flush=True)


def _report(first: int, tally: Tally) -> int:
    failed = tally.failed
    outcome = "all came to rest" if not failed else f"failed: {', '.join(map(str, failed))}"
    print(f"{tally.runs} runs from seed {first}: {outcome}")
    print(f"{tally.events} events in {tally.simulated_ns // SECOND} simulated seconds")
    print(f"trace {tally.trace}")
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
