"""Two thousand runs, and that what they say depends on nothing but their seeds."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

COMMAND = [sys.executable, "-m", "culvert.sim"]


def _run(*arguments: str, hash_seed: str = "random") -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_thousand_seeds_come_to_rest(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    lines = _run("--seed", "1", "--runs", "2000")
    with capsys.disabled():
        print(f"\n{lines[-3]}, {lines[-2]}; in {time.monotonic() - started:.0f} s")
    assert lines[-3] == "2000 runs from seed 1: all came to rest"


def test_the_last_lines_depend_on_seed_and_runs_alone() -> None:
    runs = ("--seed", "40", "--runs", "10")
    first = _run(*runs, "--jobs", "1", hash_seed="0")[-3:]
    assert first[-1].startswith("trace ")
    assert _run(*runs, "--jobs", "2", hash_seed="1")[-3:] == first
    assert _run(*runs, "--jobs", "1", hash_seed="4242")[-3:] == first
    assert _run("--seed", "41", "--runs", "10", "--jobs", "1")[-1] != first[-1]
