"""What is measured through a way: TCP throughput by iperf3, and the round trip by ping."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

from culvert.lab.chapter import SITE_B, Chapter

Figure = Callable[[Chapter, int], float]


def tcp(*options: str) -> Figure:
    """Give a figure in Gbit/s, as iperf3's receiver counts it."""

    def measure(chapter: Chapter, seconds: int) -> float:
        server = chapter.host_b.start(
            ["iperf3", "-s", "-1", "--forceflush"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        with server:
            next(line for line in server.stdout or () if "listening" in line)
            command = ["iperf3", "-J", "-c", SITE_B.host[0], "-t", str(seconds), "-O", "1", *options]
            done = chapter.host_a.run(command, timeout_s=seconds + 30)
            server.wait(timeout=10)
        return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]) / 1e9

    return measure


def round_trip(chapter: Chapter, _seconds: int) -> float:
    """Give the average round trip of 50 pings, in milliseconds."""
    done = chapter.host_a.run(["ping", "-n", "-q", "-c", "50", "-i", "0.02", SITE_B.host[0]])
    return float(done.stdout.strip().splitlines()[-1].split("=")[-1].split("/")[1])


FIGURES: dict[str, tuple[Figure, str]] = {
    "TCP, 1 flow": (tcp(), "Gbit/s"),
    "TCP, 4 flows": (tcp("-P", "4"), "Gbit/s"),
    "TCP, 1 flow, reverse": (tcp("-R"), "Gbit/s"),
    "round trip, idle": (round_trip, "ms"),
}
