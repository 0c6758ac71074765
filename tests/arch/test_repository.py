"""The repository keeps its own rules: generated tables are current, nothing of the workshop is in it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


def test_tables_of_reasons_are_what_reasons_toml_says() -> None:
    done = subprocess.run(
        [sys.executable, "tools/generate_reasons.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_unsafe_code_lives_in_netio_alone() -> None:
    offenders = [
        path
        for path in tracked("engine/*.rs")
        if "netio" not in path.parts and re.search(r"\bunsafe\s*(\{|fn|impl)", path.read_text())
    ]
    assert offenders == []


def test_only_crypto_imports_the_crypto_libraries() -> None:
    offenders = [
        path
        for path in tracked("src/culvert/*.py")
        if "crypto" not in path.parts and re.search(r"^\s*(from|import) (cryptography|gmpy2)\b", path.read_text(), re.M)
    ]
    assert offenders == []


@pytest.mark.parametrize("pattern", [r"\bcreate_task\(", r"\bensure_future\("], ids=["create_task", "ensure_future"])
def test_tasks_are_started_in_one_place(pattern: str) -> None:
    places = [path.name for path in tracked("src/culvert/*.py") if re.search(pattern, path.read_text())]
    assert len(places) <= 1, f"more than one task spawner: {places}"


def test_no_subprocess_gets_a_shell_string() -> None:
    offenders = [
        path for path in tracked("src/culvert/*.py") if re.search(r"shell\s*=\s*True|os\.system\(", path.read_text())
    ]
    assert offenders == []
