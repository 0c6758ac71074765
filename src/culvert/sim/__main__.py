"""`python -m culvert.sim --seed N --runs M`: set up, disturb and heal tunnels; exit 0 if all of them came to rest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from culvert.sim.invariants import Broken
from culvert.sim.scenario import play

SHOWN_LINES = 400


def main(arguments: list[str] | None = None) -> int:
    """Run seeds in order; stop at the first that fails and print its trace."""
    parser = argparse.ArgumentParser(prog="python -m culvert.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds in a row (default 1)")
    parser.add_argument("--trace", action="store_true", help="print every message of every run")
    chosen = parser.parse_args(arguments)
    for seed in range(chosen.seed, chosen.seed + chosen.runs):
        try:
            world = play(seed)
        except Broken as broken:
            _print(broken.trace[-SHOWN_LINES:])
            print(f"seed {seed} failed: {broken}", file=sys.stderr)
            return 1
        if chosen.trace:
            _print(world.trace)
    print(f"{chosen.runs} runs from seed {chosen.seed}: all came to rest")
    return 0


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        print(line)


if __name__ == "__main__":
    sys.exit(main())
