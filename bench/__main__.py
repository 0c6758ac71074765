"""`make bench`: every figure through every way, in turns, and the ratios of the medians.

python -m bench [--runs N] [--seconds S] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from bench.figures import FIGURES
from bench.ways import WAYS
from culvert.lab.lab import Lab
from culvert.lab.privilege import enter_user_namespace

Results = dict[str, dict[str, list[float]]]
"""By way, by figure: one value a run."""
OURS = "culvert"


def measure(runs: int, seconds: int) -> Results:
    """Take the ways in turns, so that a busy moment of the machine does not hit one alone."""
    results: Results = {way: {figure: [] for figure in FIGURES} for way in WAYS}
    for run in range(runs):
        for way, build in WAYS.items():
            print(f"run {run + 1} of {runs}: {way} ...", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory() as folder, Lab() as lab, build(lab, Path(folder)) as chapter:
                for figure, (take, _) in FIGURES.items():
                    results[way][figure].append(take(chapter, seconds))
    return results


def report(results: Results) -> str:
    """Give a table: medians, and ours as a ratio of each other way's."""
    medians = {way: {f: statistics.median(values) for f, values in table.items()} for way, table in results.items()}
    lines = [f"{'':28}" + "".join(f"{way:>26}" for way in medians)]
    for figure, (_, unit) in FIGURES.items():
        ours = medians[OURS][figure]
        cells = []
        for way, table in medians.items():
            ratio = "" if way == OURS else f" ({ours / table[figure]:.2f} x)"
            cells.append(f"{f'{table[figure]:.2f}{ratio}':>26}")
        lines.append(f"{f'{figure}, {unit}':28}" + "".join(cells))
    return "\n".join([*lines, f"Medians; in brackets, {OURS}'s as a multiple of that way's."])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Throughput and latency, beside others.")
    parser.add_argument("--runs", type=int, default=3, help="how often everything is measured (default 3)")
    parser.add_argument("--seconds", type=int, default=4, help="how long each flow runs (default 4)")
    parser.add_argument("--json", action="store_true", help="every value, as one document")
    options = parser.parse_args()
    enter_user_namespace()
    results = measure(options.runs, options.seconds)
    print(json.dumps(results) if options.json else report(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
