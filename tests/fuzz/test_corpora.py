"""Every target on its corpus, and atheris on from there where it is installed: it looks for what no dice find.

CULVERT_FUZZ_SECONDS makes the latter longer. What a corpus holds was found by atheris, or written by hand; of what
covers the same, the shortest is kept.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

SECONDS = float(os.environ.get("CULVERT_FUZZ_SECONDS", "10"))
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TARGETS = tuple(path.stem.removesuffix("_target") for path in sorted(HERE.glob("*_target.py")))
MAX_STEPS_PER_OCTET = 300
"""Lines of the product that one octet of a message may cost. Those that cost most say little and are told at length."""
LEAST_STEPS = 20_000
"""Lines that any message may cost: tables for every state, the words for what it says."""

pytestmark = pytest.mark.timeout(60 + 4 * SECONDS)


def judge_of(target: str) -> Callable[[bytes], None]:
    judge: Callable[[bytes], None] = importlib.import_module(f"tests.fuzz.{target}_target").judge
    return judge


def corpus_of(target: str) -> list[Path]:
    return sorted((HERE / "corpus" / target).iterdir())


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_itself_holds(target: str) -> None:
    judge, files = judge_of(target), corpus_of(target)
    assert files
    for path in files:
        try:
            judge(path.read_bytes())
        except BaseException as error:
            raise AssertionError(f"{path}") from error


def steps(judge: Callable[[bytes], None], octets: bytes) -> int:
    """Count the lines of the product that are executed."""
    count = 0

    def line(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def call(frame: FrameType, _event: str, _argument: Any) -> Any:
        return line if "/culvert/" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        judge(octets)
    finally:
        sys.settrace(before)
    return count


def test_messages_cost_no_more_than_their_length_allows() -> None:
    """Every loop of the readers gets on: what is counted are steps, so that no clock can spoil it."""
    judge = judge_of("message")
    judge(b"\0")
    longest = (_long(33, b"\2\0\0\x08\1\1\0\0"), _long(44, b"\7\0\0\x10\0\0\xff\xff" + bytes(8)), _long(42, b"\0" * 8))
    for octets in (*(path.read_bytes() for path in corpus_of("message")), *longest):
        assert steps(judge, octets) <= LEAST_STEPS + MAX_STEPS_PER_OCTET * len(octets)


def _long(kind: int, piece: bytes) -> bytes:
    """Write a payload that consists of the same again and again."""
    return b"\3" + bytes((kind,)) + b"\xff\0\0\0" + piece * (16_000 // len(piece))


if importlib.util.find_spec("atheris"):

    @pytest.mark.parametrize("target", TARGETS)
    def test_atheris_finds_nothing(target: str, tmp_path: Path) -> None:
        shutil.copytree(HERE / "corpus" / target, tmp_path / "corpus")
        run = [sys.executable, str(HERE / "atheris_run.py"), f"{target}_target", str(SECONDS)]
        limits = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=2048", str(tmp_path / "corpus")]
        done = subprocess.run([*run, *limits], capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
