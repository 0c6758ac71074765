"""The ledgers of the RFCs name code and tests that exist, and no requirement was left out."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEDGERS = sorted((ROOT / "docs/rfc").glob("*.toml"))
ROLES = {"both", "initiator", "responder"}
DIALOGUES = "tests/dialogue/scripts/"
FIELDS = {"id", "section", "says", "role", "words", "code", "test", "not", "note"}

of_every_rfc = pytest.mark.parametrize("source", LEDGERS, ids=lambda path: path.stem)


def _ledger(source: Path) -> dict[str, Any]:
    return tomllib.loads(source.read_text())


def _names(entry: dict[str, Any], column: str) -> list[str]:
    return list(entry.get(column, ()))


@cache
def _defined(path: Path) -> frozenset[str]:
    """Give the qualified names that a file defines."""
    if path.suffix == ".rs":
        return frozenset(re.findall(r"\b(?:fn|struct|enum|const)\s+(\w+)", path.read_text()))
    return frozenset(_definitions(ast.parse(path.read_text()).body, ""))


def _definitions(body: list[ast.stmt], prefix: str) -> list[str]:
    found: list[str] = []
    for one in body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found += [prefix + one.name, *_definitions(one.body, f"{prefix}{one.name}.")]
        elif isinstance(one, ast.Assign | ast.AnnAssign):
            targets = one.targets if isinstance(one, ast.Assign) else [one.target]
            found += [prefix + target.id for target in targets if isinstance(target, ast.Name)]
    return found


def _there(name: str, separator: str) -> bool:
    path, _, inside = name.partition(separator)
    return (ROOT / path).is_file() and inside in _defined(ROOT / path)


def _is_test(name: str) -> bool:
    if name.startswith(DIALOGUES):
        return (ROOT / name).is_file()
    path, _, function = name.partition("::")
    runs = path.endswith(".rs") or function.rpartition("::")[2].startswith("test_")
    return path.startswith(("tests/", "engine/")) and runs and _there(name, "::")


def test_there_are_ledgers() -> None:
    assert {source.stem for source in LEDGERS} == {"7296", "7383", "7427"}


@of_every_rfc
def test_an_entry_is_whole(source: Path) -> None:
    for entry in _ledger(source)["entry"]:
        assert entry.keys() <= FIELDS, entry["id"]
        assert entry["role"] in ROLES, entry["id"]
        assert entry["says"].endswith("."), entry["id"]
        built = bool(_names(entry, "code")) and bool(_names(entry, "test"))
        assert built != bool(entry.get("not")), f"{entry['id']} has neither code with a test nor a reason, or both"


@of_every_rfc
def test_what_is_named_as_code_exists(source: Path) -> None:
    missing = [
        (entry["id"], name)
        for entry in _ledger(source)["entry"]
        for name in _names(entry, "code")
        if not name.startswith(("src/", "engine/")) or not _there(name, ":")
    ]
    assert missing == []


@of_every_rfc
def test_what_is_named_as_a_test_exists(source: Path) -> None:
    missing = [
        (entry["id"], name)
        for entry in _ledger(source)["entry"]
        for name in _names(entry, "test")
        if not _is_test(name)
    ]
    assert missing == []


@of_every_rfc
def test_entries_stand_in_order_under_ids_of_their_own(source: Path) -> None:
    ids = [entry["id"] for entry in _ledger(source)["entry"]]
    numbers = [[int(number) for number in re.split(r"[.-]", one)] for one in ids]
    places = [(one[:-1], one[-1]) for one in numbers]
    assert places == sorted(places)
    assert len(ids) == len(dict.fromkeys(ids))
    assert all(entry["id"].startswith(f"{entry['section']}-") for entry in _ledger(source)["entry"])


@of_every_rfc
def test_no_requirement_was_left_out(source: Path) -> None:
    """Each section has as many words of obligation as the RFC's text has there."""
    ledger = _ledger(source)
    counted = dict.fromkeys(ledger["sections"], 0)
    for entry in ledger["entry"]:
        counted[entry["section"]] += entry.get("words", 1)
    assert counted == ledger["sections"]


def test_the_tables_are_what_the_ledgers_say() -> None:
    done = subprocess.run(
        [sys.executable, "tools/generate_ledger.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_there_is_noticed() -> None:
    assert _there("tools/generate_ledger.py:markdown", ":")
    assert not _there("tools/generate_ledger.py:nothing", ":")
    assert not _there("tools/nothing.py:markdown", ":")
    assert _is_test("tests/arch/test_ledgers.py::test_there_are_ledgers")
    assert not _is_test("tests/arch/test_ledgers.py::_ledger")
