"""The lab: builds the picture, keeps apart, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from culvert.errors import HostError
from culvert.lab.chapter import OUTSIDE, TO_B, build_chapter
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.lab import Lab
from culvert.lab.names import NETNS_DIRECTORY, namespaces_of

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_picture() -> None:
    with Lab() as lab:
        chapter = build_chapter(lab, ipv6=True)
        for address in ("192.168.1.1", "2001:db8:1::1"):
            chapter.host_a.run(["ping", "-c", "1", "-W", "1", address])
        for address in ("198.51.100.1", "2001:db8:b::1"):
            chapter.gateway_a.run(["ping", "-c", "1", "-W", "1", address])
        assert "192.168" not in chapter.internet.ip("route")
        assert "2001:db8:1::" not in chapter.internet.ip("-6", "route")


def test_nat_hides_gateway_a() -> None:
    with Lab() as lab:
        chapter = build_chapter(lab, nat=True)
        with Eavesdropper(chapter.internet, TO_B) as at_b:
            chapter.gateway_a.run(["ping", "-c", "1", "-W", "1", "198.51.100.1"])
            sources = {frame[26:30] for frame in at_b.frames() if frame[12:14] == b"\x08\x00"}
        assert sources == {bytes([198, 51, 100, 254]), bytes([198, 51, 100, 1])}


def test_two_labs_never_meet() -> None:
    with Lab("one") as one, Lab("two") as two:
        first, second = build_chapter(one), build_chapter(two)
        assert first.host_a.namespace != second.host_a.namespace
        first.gateway_a.add_address(OUTSIDE, "203.0.113.77/24")
        assert "203.0.113.77" not in second.gateway_a.ip("address")
    assert namespaces_of("one") == namespaces_of("two") == []


def test_a_prefix_in_use_is_refused() -> None:
    with Lab("same") as lab:
        lab.host("x")
        with pytest.raises(HostError, match="another lab named same is running"), Lab("same"):
            pass
        assert namespaces_of("same") == ["cvl-same-x"]


def test_names_are_judged() -> None:
    for name in ("", "a-b", "../x", "a b", "x" * 25):
        with pytest.raises(ValueError, match="letters and digits"):
            Lab("p" + "-" + name)
    with Lab() as lab:
        lab.host("x")
        with pytest.raises(ValueError, match="already"):
            lab.host("x")


def test_processes_end_with_the_lab() -> None:
    with Lab() as lab:
        host = lab.host("x")
        started = host.start(["sleep", "60"])
        stubborn = host.start(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done"], stdout=-1)
        assert stubborn.stdout is not None
        assert stubborn.stdout.readline() == b"ready\n"
        forked = int(host.run(["sh", "-c", "setsid sleep 60 >/dev/null 2>&1 & echo $!"]).stdout)
        assert all(is_running(pid) for pid in (started.pid, stubborn.pid, forked))
    assert not any(is_running(pid) for pid in (started.pid, stubborn.pid, forked))
    assert (started.returncode, stubborn.returncode) == (-signal.SIGTERM, -signal.SIGKILL)
    stubborn.stdout.close()


async def test_a_spawned_process_talks() -> None:
    with Lab() as lab:
        host = lab.host("x")
        process = await host.spawn(["ip", "-o", "link"], stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        assert [line.split(b":")[1].strip() for line in output.splitlines()] == [b"lo"]


def test_a_failure_takes_everything_down() -> None:
    def fail() -> None:
        with Lab("fails") as lab:
            build_chapter(lab)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert namespaces_of("fails") == []


def test_a_failed_command_says_what_it_was() -> None:
    with Lab() as lab, pytest.raises(HostError, match="x: ip link show nothing"):
        lab.host("x").ip("link", "show", "nothing")


BUILD_AND_WAIT = """
from culvert.lab.chapter import build_chapter
from culvert.lab.lab import Lab
with Lab("{prefix}") as lab:
    child = build_chapter(lab).host_a.start(["sleep", "60"])
    print(child.pid, flush=True)
    child.wait()
"""


def start_lab(prefix: str) -> tuple[subprocess.Popen[str], int]:
    script = BUILD_AND_WAIT.format(prefix=prefix)
    # Whoever started us in the background had Ctrl-C ignored, and what we start would inherit that.
    command = ["env", "--default-signal=INT", sys.executable, "-c", script]
    process = subprocess.Popen(command, stdout=-1, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.stdout.close()
    return process, pid


def test_ctrl_c() -> None:
    process, child = start_lab("ctrlc")
    process.send_signal(signal.SIGINT)
    process.wait(10)
    assert namespaces_of("ctrlc") == []
    assert not is_running(child)


def test_what_a_crashed_run_left_is_removed() -> None:
    process, child = start_lab("crashed")
    process.kill()
    process.wait(10)
    assert len(namespaces_of("crashed")) == 5
    assert is_running(child)
    with Lab("crashed") as lab:
        assert namespaces_of("crashed") == []
        assert not is_running(child)
        build_chapter(lab)
    assert namespaces_of("crashed") == []


def test_a_kept_lab_stands() -> None:
    with Lab("kept") as lab:
        lab.host("x")
        lab.keep()
    assert namespaces_of("kept") == ["cvl-kept-x"]
    with Lab("kept"):
        pass
    assert namespaces_of("kept") == []


def test_entering_is_for_this_thread_and_this_block() -> None:
    mine = Path("/proc/thread-self/ns/net")
    here = mine.readlink()
    with Lab() as lab:
        host = lab.host("x")
        with host.enter():
            assert mine.stat().st_ino == Path(host.path).stat().st_ino
        assert mine.readlink() == here
        with pytest.raises(ZeroDivisionError):
            host.call(lambda: 1 // 0)
        assert mine.readlink() == here


AS_NOBODY = """
set -e
# What nobody may not read is shown again below an empty folder that everybody may.
for tree in "$@"; do
    [ "$tree" = -- ] && break
    shift
    hidden=$tree
    while ! setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$tree/."; do
        hidden=$(dirname "$hidden")
        setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$(dirname "$hidden")/." || continue
        mount --bind "$tree" /mnt; mount -t tmpfs -o mode=0755 tmpfs "$hidden"
        mkdir -p "$tree"; mount --bind /mnt "$tree"; umount /mnt
    done
done
shift
mkdir -p /dev/net; mount -t tmpfs -o mode=0755 tmpfs /dev/net
mknod /dev/net/tun c 10 200; chmod 0666 /dev/net/tun
exec setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all "$@"
"""

UNPRIVILEGED = """
import os, sys
from culvert.lab import privilege
assert not privilege.is_privileged() or os.environ.get(privilege.INSIDE)
privilege.enter_user_namespace()
assert privilege.is_privileged()
assert privilege.missing() == (), privilege.missing()
from culvert.lab.chapter import build_chapter
from culvert.lab.lab import Lab
with Lab("{prefix}") as lab:
    chapter = build_chapter(lab, ipv6=True)
    chapter.gateway_a.run(["ping", "-c", "1", "-W", "1", "198.51.100.1"])
    chapter.gateway_a.run(["ip", "tuntap", "add", "culvert0", "mode", "tun", "multi_queue", "vnet_hdr"])
    chapter.gateway_a.run(["nft", "add", "table", "inet", "culvert"])
    chapter.gateway_a.set_sysctl("net.ipv4.conf.all.src_valid_mark", "1")
    chapter.gateway_a.forward()
    print("built as", os.environ.get(privilege.INSIDE))
"""


def test_without_root() -> None:
    """As nobody, with no capability at all, where everybody may open /dev/net/tun."""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", AS_NOBODY, "sh"]
    trees = [sys.base_prefix, str(ROOT)]
    program = [sys.executable, "-c", UNPRIVILEGED.format(prefix="nobody")]
    done = subprocess.run([*command, *trees, "--", *program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("built as 1\n", "", 0)
    assert not list(NETNS_DIRECTORY.glob("cvl-nobody-*"))
