"""`make bench`: every figure through every way in turns, the medians' ratios; what many policies and SAs cost; what
setting up a tunnel costs.

python -m bench [--only ways|scale|set-ups] [--runs N] [--seconds S] [--set-ups N] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from bench import scale, set_ups
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


def measure_set_ups(runs: int, count: int) -> dict[str, dict[str, float]]:
    """Give the medians of what one set-up costs each responder, the runs taken in turns."""
    taken: dict[str, list[set_ups.Cost]] = {way: [] for way in set_ups.WAYS}
    for run in range(runs):
        for way, costs in taken.items():
            print(f"run {run + 1} of {runs}: {count} set-ups, {way} ...", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory() as folder:
                costs.append(set_ups.cost(way, count, Path(folder)))
    return {
        way: {
            "set_ups_per_core_second": statistics.median(one.each_second for one in costs),
            "octets_each": statistics.median(one.octets for one in costs),
        }
        for way, costs in taken.items()
    }


def report_set_ups(medians: dict[str, dict[str, float]]) -> str:
    """Give a table: set-ups for a second of one core, with ours as a ratio, and the memory that each tunnel keeps."""
    ours = medians[OURS]["set_ups_per_core_second"]
    lines = ["IKEv2 set-ups (X25519, pre-shared key) at the responder, for each second of processor time:"]
    for way, figures in medians.items():
        rate, kept = figures["set_ups_per_core_second"], figures["octets_each"] / 1024
        ratio = "" if way == OURS else f" ({ours / rate:.2f} x)"
        lines.append(f"{way:34}{rate:8.0f}{ratio}, {kept:.1f} KiB kept for each")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Throughput and latency, beside others.")
    parser.add_argument("--only", choices=("ways", "scale", "set-ups"), help="one of the parts")
    parser.add_argument("--runs", type=int, default=3, help="how often everything is measured (default 3)")
    parser.add_argument("--seconds", type=int, default=4, help="how long each flow runs (default 4)")
    parser.add_argument("--set-ups", type=int, default=2000, help="how many tunnels are set up in a run (default 2000)")
    parser.add_argument("--json", action="store_true", help="every value, as one document")
    options = parser.parse_args()
    enter_user_namespace()
    results = measure(options.runs, options.seconds) if options.only in (None, "ways") else {}
    costs = measure_scales() if options.only in (None, "scale") else {}
    set_up = measure_set_ups(options.runs, options.set_ups) if options.only in (None, "set-ups") else {}
    if options.json:
        print(json.dumps(results | {"packet_cost_us": costs, "set_ups": set_up}))
        return 0
    texts = [report(results)] if results else []
    texts += [report_scales(costs)] if costs else []
    texts += [report_set_ups(set_up)] if set_up else []
    print("\n\n".join(texts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
