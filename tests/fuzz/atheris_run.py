"""Let atheris look for what a target's `judge` cannot stand.

python tests/fuzz/atheris_run.py TARGET SECONDS [options of libFuzzer] [corpus]

TARGET is the name of a file beside this one, such as `endpoint_target`. Exit 0 when nothing was found.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Fuzz, and end the process at once: libFuzzer's own end runs Python's, which some versions take for a crash."""
    import atheris  # type: ignore[import-not-found,unused-ignore]

    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
    target, seconds = sys.argv.pop(1), float(sys.argv.pop(1))
    # Only what is ours is watched: to watch the libraries takes a minute, and leads nowhere.
    with atheris.instrument_imports(include=["culvert"], exclude=["culvert.sim"]):
        judge = importlib.import_module(f"tests.fuzz.{target}").judge
    deadline = time.monotonic() + seconds

    def judge_in_time(octets: bytes) -> None:
        judge(octets)
        if time.monotonic() > deadline:
            os._exit(0)

    atheris.Setup(sys.argv, judge_in_time)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
