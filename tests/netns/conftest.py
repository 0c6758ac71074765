"""Labs for the tests: each has its own, and it is gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from culvert.lab.chapter import Chapter, build_chapter
from culvert.lab.lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """An empty lab."""
    with Lab() as empty:
        yield empty


@pytest.fixture
def chapter(lab: Lab) -> Chapter:
    """The chapter's picture in both families; its gateways forward, and nothing of ours runs on them."""
    built = build_chapter(lab, ipv6=True)
    built.gateway_a.forward()
    built.gateway_b.forward()
    return built
