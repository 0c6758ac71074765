"""The readers of certificates, lists, names and keys against changed ones. Each case follows from its seed.

CULVERT_FUZZ_SECONDS makes each test longer; CULVERT_FUZZ_SEED begins elsewhere. Where atheris is installed, it looks
for what no dice find.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fuzz.certificate_target import CORPUS, judge
from tests.fuzz.der_mutation import mutated

SECONDS = float(os.environ.get("CULVERT_FUZZ_SECONDS", "4"))
FIRST_SEED = int(os.environ.get("CULVERT_FUZZ_SEED", "1"))
LEAST_CASES = 500
ROOT = Path(__file__).resolve().parents[2]
SEEDS = tuple(path.read_bytes() for path in sorted(CORPUS.iterdir()))

pytestmark = pytest.mark.timeout(60 + 4 * SECONDS)


def test_the_corpus_itself_holds() -> None:
    for octets in SEEDS:
        judge(octets)


def test_what_is_changed_is_read_or_refused_and_never_trusted() -> None:
    began = time.monotonic()
    for seed in range(FIRST_SEED, FIRST_SEED + 10_000_000):
        if seed - FIRST_SEED >= LEAST_CASES and time.monotonic() - began > SECONDS:
            return
        source = random.Random(seed)
        kind, octets = (chosen := source.choice(SEEDS))[:1], chosen[1:]
        changed = kind + mutated(source, octets)
        try:
            judge(changed)
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {changed.hex()}") from error


if importlib.util.find_spec("atheris"):

    def test_atheris_finds_nothing(tmp_path: Path) -> None:
        shutil.copytree(CORPUS, tmp_path / "corpus")
        target = ROOT / "tests/fuzz/certificate_target.py"
        command = [sys.executable, str(target), str(SECONDS), "-max_len=4096", str(tmp_path / "corpus")]
        paths = os.pathsep.join((str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")))
        environment = {**os.environ, "PYTHONPATH": paths}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
