"""Where the secret of two running gateways is not to be found, and who may open their files."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.offices import PEER, SECRET, Pair, two_offices

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Pair]:
    """Two offices whose tunnel is up, with everything logged that can be, and their keys made anew."""
    with two_offices(tmp_path) as pair:
        pair.a.culvert("up", "-c", str(pair.a.file), "-d", "--log-level", "debug")
        pair.b.up()
        pair.a.wait_up()
        pair.a.culvert("rekey", PEER)
        pair.a.culvert("rekey", PEER, "--ike")
        assert pair.ping()
        yield pair


def test_the_secret_is_in_no_file_command_line_or_environment(joined: Pair) -> None:
    looked_at = [path for path in joined.a.run_dir.iterdir() if path.is_file()]
    looked_at += [Path(f"/proc/{pid}/{what}") for pid in joined.a.pids() for what in ("cmdline", "environ")]
    assert len(looked_at) >= 6
    assert [str(path) for path in looked_at if SECRET.encode() in path.read_bytes()] == []


def test_neither_process_leaves_its_memory_in_a_core_file(joined: Pair) -> None:
    for pid in joined.a.pids():
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        soft, hard = next(line.split()[4:6] for line in limits if line.startswith("Max core file size"))
        assert (soft, hard) == ("0", "0"), pid


def test_sockets_and_log_are_not_for_everybody(joined: Pair) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in joined.a.run_dir.iterdir()}
    assert modes["control.sock"] == modes["engine.sock"] == 0o660
    assert modes["culvert.log"] == 0o640
    assert not any(mode & 0o022 for name, mode in modes.items() if not name.endswith(".sock"))
