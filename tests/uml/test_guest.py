"""The guest itself: what it can do, and that nothing of it stays."""

from __future__ import annotations

import subprocess

import pytest

from tests.uml.guest import GuestError, guest, missing

pytestmark = pytest.mark.root


def processes() -> str:
    return subprocess.run(["ps", "-eo", "pid,args"], check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_a_guest_calls_fails_and_ends() -> None:
    with guest() as running:
        assert running.shell("id -u; uname -s").split() == ["0", "Linux"]
        assert running.shell("ip link add a0 type veth peer name b0 && ip netns add x && echo made").split() == ["made"]
        assert "esp4" in running.shell("modprobe -a esp4 esp6 ah4 ah6 ipip sit ip6_tunnel; lsmod")
        with pytest.raises(GuestError, match="exit 3"):
            running.shell("echo for everybody; exit 3")
        with pytest.raises(GuestError, match="TooLateError"):
            running.shell("sleep 5", within_s=0.2)
        assert running.shell("echo still here").strip() == "still here"
        name = running.folder.name
        assert name in processes()
    assert name not in processes()
    assert not running.folder.exists()


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_a_guest_that_dies_is_told() -> None:
    with guest() as running, pytest.raises(GuestError, match="ended"):
        running.shell("echo c > /proc/sysrq-trigger; sleep 5")
