"""`python -m culvert.sim --seed N --runs M`: set up, disturb and heal tunnels; exit 0 if all of them came to rest."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from hashlib import sha256

from culvert.clock import SECOND
from culvert.sim.many import Summary, processors, summaries
from culvert.sim.play import seeded

PROGRESS_EVERY_S = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Play seeds in order. The last three lines of the output depend on the arguments alone."""
    chosen = _parser().parse_args(arguments)
    if chosen.trace:
        return _trace(chosen.seed)
    found: list[Summary] = []
    said = started = time.monotonic()
    for summary in summaries(range(chosen.seed, chosen.seed + chosen.runs), chosen.jobs):
        found.append(summary)
        if summary.failure:
            print(f"seed {summary.seed}: {summary.failure}")
        if time.monotonic() - said > PROGRESS_EVERY_S:
            said = time.monotonic()
            print(f"{len(found)} runs, {len(found) / (said - started):.0f} a second", file=sys.stderr, flush=True)
    return _report(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m culvert.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds in a row (default 1)")
    parser.add_argument("--jobs", type=int, default=processors(), help="processes (default: one for each processor)")
    parser.add_argument("--trace", action="store_true", help="print every event of the first seed, and no more")
    return parser


def _report(found: Sequence[Summary]) -> int:
    failed = [one.seed for one in found if one.failure]
    events, simulated = sum(one.events for one in found), sum(one.simulated_ns for one in found)
    digest = sha256("\n".join(one.digest for one in found).encode()).hexdigest()
    outcome = "all came to rest" if not failed else f"failed: {', '.join(map(str, failed))}"
    print(f"{len(found)} runs from seed {found[0].seed if found else 0}: {outcome}")
    print(f"{events} events in {simulated // SECOND} simulated seconds")
    print(f"trace {digest}")
    return 1 if failed else 0


def _trace(seed: int) -> int:
    played = seeded(seed)
    print(played.script.setting)
    print("\n".join(played.world.trace))
    print(f"seed {seed}: {played.failure or 'came to rest'}")
    return 1 if played.failure else 0


if __name__ == "__main__":
    sys.exit(main())
