"""Two thousand runs, and that what they say depends on nothing but their seeds."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from subprocess import PIPE

import pytest

from culvert.sim.__main__ import main
from culvert.sim.many import Summary, processors

pytestmark = pytest.mark.minutes

COMMAND = [sys.executable, "-m", "culvert.sim"]
MOST_S = 120
"""What all of them may take on two cores that have nothing else to do."""
RUNS = ("--seed", "40", "--runs", "10")


def _run(*arguments: str, hash_seed: str = "random") -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_thousand_seeds_come_to_rest(capsys: pytest.CaptureFixture[str]) -> None:
    started, before = time.monotonic(), _spent_s()
    lines = _run("--seed", "1", "--runs", "2000")
    took, spent = time.monotonic() - started, _spent_s() - before
    with capsys.disabled():
        print(f"\n{lines[-3]}, {lines[-2]}; in {took:.0f} s, {spent:.0f} s of one core")
    assert lines[-3] == "2000 runs from seed 1: all came to rest"
    assert spent / max(processors(), 2) < MOST_S


def _spent_s() -> float:
    """Give the processor time of processes that have ended: what other tests do at the same time is left out."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def first() -> list[str]:
    return _run(*RUNS, "--jobs", "1", hash_seed="1")


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
@pytest.mark.parametrize("progress", ["0", "inf"])
def test_the_last_lines_depend_on_seed_and_runs_alone(first: list[str], progress: str, hash_seed: str) -> None:
    assert _run(*RUNS, "--jobs", "2", "--progress", progress, hash_seed=hash_seed)[-3:] == first[-3:]
    assert first[-1].startswith("trace ")


def test_other_seeds_have_another_trace(first: list[str]) -> None:
    assert _run("--seed", "41", "--runs", "10", "--jobs", "1")[-1] != first[-1]


def test_progress_is_told_beside_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", "2", "--jobs", "1", "--progress", "0"]) == 0
    told = capsys.readouterr()
    assert "2 runs, up to seed 2" in told.err
    assert "a second" not in told.out
    assert main(["--runs", "2", "--jobs", "1", "--progress", "inf"]) == 0
    assert capsys.readouterr() == (told.out, "")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_it_goes_on_until_it_is_interrupted(jobs: str) -> None:
    """Ctrl-C reaches every process; what was played until then is told, and nothing failed."""
    command = [*COMMAND, "--forever", "--seed", "7", "--progress", "0", "--jobs", jobs]
    running = subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True, start_new_session=True)
    assert running.stderr is not None
    told = [running.stderr.readline() for _ in range(6)]
    assert all("a second" in line for line in told)
    os.killpg(running.pid, signal.SIGINT)
    said, errors = running.communicate(timeout=120)
    lines = said.splitlines()
    count = int(lines[0].split()[0])
    assert (running.returncode, len(lines), "Traceback" in errors) == (0, 3, False)
    assert count >= 6
    assert lines == _run("--seed", "7", "--runs", str(count))


def test_it_ends_with_the_first_seed_that_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def failing(seeds: Iterable[int], _jobs: int) -> Generator[Summary, None, None]:
        for seed in seeds:
            yield Summary(seed, "nothing works" if seed % 5 == 0 else "", "", 1, 1)

    assert main(["--seed", "3", "--forever", "--out", str(tmp_path)], failing) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "seed 5: nothing works"
    assert lines[-3] == "3 runs from seed 3: failed: 5"
    assert (tmp_path / "seed-5" / "script.toml").exists()
