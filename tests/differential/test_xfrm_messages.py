"""The same XFRM messages to a Debian kernel and to the engine: the same answers and the same dumps, field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from culvert.lab.lab import Lab
from tests.differential.comparison import differences
from tests.differential.conversation import Reply, Request
from tests.differential.engines import ask_engine, engine_in
from tests.differential.known import KNOWN, Known
from tests.differential.neighbours import ask_kernel
from tests.differential.policy_cases import POLICY_CASES
from tests.differential.sa_cases import SA_CASES
from tests.differential.stories import CLEAN, STORIES, TABLES
from tests.uml.guest import Guest

pytestmark = pytest.mark.root

Case = tuple[str, list[Request]]
CASES: list[Case] = [
    *((case.name, case.requests) for case in (*SA_CASES, *POLICY_CASES)),
    *((story.name, [*story.requests, *TABLES]) for story in STORIES),
]


def compared(case: Case, ours: list[Reply], theirs: list[Reply]) -> list[tuple[str, tuple[Any, Any]]]:
    """Give the fields that differ. What follows upon another outcome is no difference of its own."""
    found: dict[str, tuple[Any, Any]] = {}
    for request, one, other in zip(case[1], ours, theirs, strict=True):
        found |= differences(request, one, other)
        if "errno" in found:
            return [("errno", found["errno"])]
    return list(found.items())


def test_both_answer_alike_save_where_it_is_meant(kernel: Guest, tmp_path: Path) -> None:
    requests = [request for _, wanted in CASES for request in (*wanted, *CLEAN)]
    with Lab() as lab, engine_in(lab.host("gateway"), tmp_path / "engine.sock") as path:
        ours = ask_engine(path, requests)
    theirs = ask_kernel(kernel, requests)
    needed: set[Known] = set()
    unknown = []
    for case in CASES:
        count = len(case[1])
        for field, values in compared(case, ours[:count], theirs[:count]):
            reasons = [known for known in KNOWN if known.covers(case[0], field, values)]
            needed |= set(reasons)
            if not reasons:
                unknown.append(f"{case[0]}: {field}: the engine {values[0]}, the kernel {values[1]}")
        ours, theirs = ours[count + len(CLEAN) :], theirs[count + len(CLEAN) :]
    assert not unknown, "\n" + "\n".join(unknown)
    gone = [known for known in KNOWN if known not in needed]
    assert not gone, gone
