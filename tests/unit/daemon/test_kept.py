"""The file in which the policies of others outlive engine and daemon: it is read as it was written, or refused."""

from pathlib import Path

import pytest

from culvert.daemon.kept import KeptPolicies
from culvert.errors import HostError

BODIES = (b"one", b"", bytes(range(256)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policies"


def test_what_is_written_is_read_and_forgotten(path: Path) -> None:
    kept = KeptPolicies(path)
    assert kept.read() == ()
    kept.write(BODIES)
    assert KeptPolicies(path).read() == BODIES
    assert path.stat().st_mode & 0o777 == 0o600
    kept.write(())
    assert kept.read() == ()
    kept.forget()
    kept.forget()
    assert list(path.parent.iterdir()) == []


def test_what_is_cut_short_or_somebody_elses_is_refused(path: Path) -> None:
    KeptPolicies(path).write(BODIES[2:])
    whole = path.read_bytes()
    for octets in (whole[:-1], whole[: -len(BODIES[2]) - 1], whole[1:], b""):
        path.write_bytes(octets)
        with pytest.raises(HostError, match="delete it"):
            KeptPolicies(path).read()


def test_where_it_cannot_be_written_that_is_said_and_the_one_before_stays(path: Path) -> None:
    kept = KeptPolicies(path)
    kept.write(BODIES)
    path.with_suffix(".new").symlink_to("/etc/passwd")
    with pytest.raises(HostError, match="cannot be written"):
        kept.write(())
    assert kept.read() == BODIES
