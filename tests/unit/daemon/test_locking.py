import os

import pytest

from culvert.daemon.locking import PID_FILE, RunLock, prepare_run_dir
from culvert.errors import HostError


def test_one_gateway_per_run_directory(tmp_path):
    with RunLock(tmp_path):
        assert (tmp_path / PID_FILE).read_text() == f"{os.getpid()}\n"
        with pytest.raises(HostError, match=f"runs here already .process {os.getpid()}"):
            RunLock(tmp_path).acquire()
    assert not (tmp_path / PID_FILE).exists()
    with RunLock(tmp_path):
        pass


def test_two_run_directories_are_two_gateways(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with RunLock(tmp_path / "a"), RunLock(tmp_path / "b"):
        pass


def test_a_stale_pid_file_is_in_nobodys_way(tmp_path):
    (tmp_path / PID_FILE).write_text("99999999\n")
    with RunLock(tmp_path):
        assert (tmp_path / PID_FILE).read_text() == f"{os.getpid()}\n"


def test_a_lock_on_a_removed_file_is_no_lock(tmp_path):
    first = RunLock(tmp_path)
    first.acquire()
    (tmp_path / PID_FILE).unlink()
    with RunLock(tmp_path):
        assert (tmp_path / PID_FILE).exists()
    first.release()


def test_a_run_directory_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="run directory cannot be made"):
        prepare_run_dir(tmp_path / "file" / "run")
