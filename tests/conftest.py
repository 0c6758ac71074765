"""What all tests share: a test that cannot run here says why; where nothing may be skipped, that is a failure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

SKIP_NOTHING = "CULVERT_TESTS_SKIP_NOTHING"
LONGEST_FIRST = ("interop", "netns", "differential", "install", "fuzz")
"""Rooms with long tests. Where several processes share the work, none may be left with one of these at the end."""
CHARON = Path("/usr/lib/ipsec/charon")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exhaustive", action="store_true", help="also what takes many minutes (make test-full)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--exhaustive"):
        left_out = [item for item in items if item.get_closest_marker("exhaustive")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    if hasattr(config, "workerinput"):
        items.sort(key=_turn)
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root: network namespaces, TUN and nftables"))
        if item.get_closest_marker("peer") and not CHARON.exists():
            item.add_marker(pytest.mark.skip(reason="needs strongSwan: run `make test`, which installs it"))


def _turn(item: pytest.Item) -> tuple[bool, int]:
    """Sort files with minutes of tests before others, rooms with long tests before those with short ones."""
    room = item.path.relative_to(Path(__file__).parent).parts[0]
    minutes = item.get_closest_marker("minutes") is not None
    return not minutes, LONGEST_FIRST.index(room) if room in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.skipped and os.environ.get(SKIP_NOTHING) and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report
