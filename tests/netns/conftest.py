"""Labs for the tests: each has its own, and it is gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from culvert.lab.chapter import Chapter, build_chapter
from culvert.lab.lab import Lab
from tests.netns.chapter_gateways import Picture, built


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


@pytest.fixture
def picture(tmp_path: Path) -> Iterator[Picture]:
    """The chapter's picture with the files of a gateway at each site; nothing runs yet."""
    with built(tmp_path) as picture:
        yield picture
