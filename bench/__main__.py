"""`make bench`: every figure through every way in turns, the medians' ratios; then what many policies and SAs cost.

python -m bench [--only ways|scale] [--runs N] [--seconds S] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from bench import scale
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


def measure_scales() -> dict[str, float]:
    """Give the cost of a packet in microseconds for each number of policies and SAs."""
    costs = {}
    for size in scale.GROWING:
        print(f"{size} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            costs[str(size)] = scale.packet_cost_us(size, Path(folder))
    return costs


def report_scales(costs: dict[str, float]) -> str:
    """Give a table: the engine's processor time for a packet, and as a multiple of the first."""
    first = next(iter(costs.values()))
    lines = [f"{name:34}{cost:8.2f} us{cost / first:8.2f} x" for name, cost in costs.items()]
    title = "The engine's processor time for a packet of 100 octets, sent to each policy's network in turn:"
    return "\n".join([title, *lines])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Throughput and latency, beside others.")
    parser.add_argument("--only", choices=("ways", "scale"), help="one of the two parts")
    parser.add_argument("--runs", type=int, default=3, help="how often everything is measured (default 3)")
    parser.add_argument("--seconds", type=int, default=4, help="how long each flow runs (default 4)")
    parser.add_argument("--json", action="store_true", help="every value, as one document")
    options = parser.parse_args()
    enter_user_namespace()
    results = measure(options.runs, options.seconds) if options.only != "scale" else {}
    costs = measure_scales() if options.only != "ways" else {}
    if options.json:
        print(json.dumps(results | {"packet_cost_us": costs}))
        return 0
    texts = [report(results)] if results else []
    print("\n\n".join([*texts, report_scales(costs)] if costs else texts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
