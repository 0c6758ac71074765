from __future__ import annotations

import logging
from pathlib import Path

import pytest

from culvert.daemon.logging import Journal
from culvert.daemon.token_secret import NAME, OCTETS, token_secret


@pytest.fixture
def journal() -> Journal:
    return Journal(logging.getLogger("culvert.test"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_it_is_made_once_and_for_nobody_else(directory: Path, journal: Journal) -> None:
    secret = token_secret(directory, journal)
    assert len(secret) == OCTETS
    assert token_secret(directory, journal) == secret
    assert (directory / NAME).stat().st_mode & 0o777 == 0o600
    assert [one.name for one in directory.iterdir()] == [NAME]


@pytest.mark.parametrize("octets", [b"", b"short", bytes(OCTETS + 1)])
def test_what_is_no_secret_is_made_anew(directory: Path, journal: Journal, octets: bytes) -> None:
    directory.mkdir()
    (directory / NAME).write_bytes(octets)
    (directory / NAME).chmod(0o600)
    secret = token_secret(directory, journal)
    assert len(secret) == OCTETS
    assert secret != octets


def test_one_that_others_could_read_is_made_anew(directory: Path, journal: Journal) -> None:
    secret = token_secret(directory, journal)
    (directory / NAME).chmod(0o644)
    assert token_secret(directory, journal) != secret


def test_a_link_is_not_followed(directory: Path, journal: Journal) -> None:
    directory.mkdir()
    other = directory / "other"
    other.write_bytes(bytes(OCTETS))
    other.chmod(0o600)
    (directory / NAME).symlink_to(other)
    assert token_secret(directory, journal) == b""
    assert other.read_bytes() == bytes(OCTETS)


def test_where_it_cannot_be_kept_there_is_none(directory: Path, journal: Journal) -> None:
    directory.write_text("a file where the directory should be")
    assert token_secret(directory, journal) == b""
