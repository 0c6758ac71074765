"""`culvert demo`, as a newcomer runs it: with root, without, interrupted, and leaving nothing."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import culvert

pytestmark = [pytest.mark.root, pytest.mark.slow]

COMMAND = [sys.executable, "-m", "culvert", "demo"]
NOBODY = 65534


def namespaces(pid: int) -> list[str]:
    """Give the namespaces that a demonstration with this process number made, and left."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
    return [name for name in listed if name.startswith(f"cvl-p{pid}_")]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the demonstration keeps its files: a short path, for there is a UNIX socket in it."""
    with tempfile.TemporaryDirectory(prefix="cvt-") as made:
        yield Path(made)


def left_over(folder: Path) -> list[str]:
    """Give what still stands of a demonstration in this folder: files, and processes that name it."""
    found = [str(path) for path in folder.iterdir()]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in command:
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder)}


def test_the_demonstration_holds_and_says_what_was_seen(folder: Path) -> None:
    began = time.monotonic()
    with subprocess.Popen([*COMMAND, "--json"], stdout=subprocess.PIPE, text=True, env=environment(folder)) as demo:
        said, _ = demo.communicate(timeout=90)
    took = time.monotonic() - began
    document = json.loads(said)
    assert demo.returncode == 0, document
    assert document["ok"] is True
    assert [step["title"] for step in document["steps"] if not step["ok"]] == []
    assert document["outside"]["esp_packets"] > 0
    assert document["outside"]["ike_packets"] > 0
    assert document["outside"]["found"] == 0
    assert len(document["proof"]) == 2
    assert all(verdict["ok"] for verdict in document["proof"].values())
    assert namespaces(demo.pid) == []
    assert left_over(folder) == []
    print(f"the demonstration took {took:.1f} s")


def test_people_see_the_picture_the_steps_and_the_next_step() -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for wanted in ("192.168.1.20", "192.168.2.34", "ESP", "IKE", "proven", "All of it held."):
        assert wanted in done.stdout
    assert "culvert up" in done.stdout.strip().splitlines()[-1]


def test_the_chapter_is_done_by_hand_and_leaves_nothing(folder: Path) -> None:
    command = [*COMMAND, "--scenario", "chapter", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(folder)) as demo:
        said, _ = demo.communicate(timeout=90)
    document = json.loads(said)
    assert (demo.returncode, document["ok"], document["scenario"]) == (0, True, "chapter"), document
    assert document["proof"] == {}
    assert document["outside"]["esp_packets"] >= 18
    assert (document["outside"]["ike_packets"], document["outside"]["other_packets"]) == (0, 0)
    assert document["outside"]["found"] == 0
    readable = next(step for step in document["steps"] if step["title"].startswith("read it outside"))
    assert "6 packets with the pings' payload" in readable["detail"]
    assert namespaces(demo.pid) == []
    assert left_over(folder) == []


def test_people_see_the_chapter_s_lines_whole() -> None:
    command = [*COMMAND, "--scenario", "chapter"]
    narrow = {**os.environ, "COLUMNS": "60"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=narrow)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "ifconfig gif0 inet 192.168.1.1 192.168.2.1 netmask 0xffffffff" in lines
    assert "gif0: flags=8011<UP,POINTTOPOINT,MULTICAST> mtu 1280" in lines
    assert any("IP 192.168.1.1 > 192.168.2.1: ICMP echo request" in line for line in lines)
    assert "spdadd 203.0.113.1/32 198.51.100.1/32 ipencap -P out ipsec" in lines
    assert any("ESP(spi=0x00010001,seq=0x1)" in line for line in lines)
    assert lines[-2] == "All of it held."


def test_what_is_kept_can_be_looked_at_and_taken_down(folder: Path) -> None:
    with subprocess.Popen([*COMMAND, "--keep"], stdout=subprocess.PIPE, text=True, env=environment(folder)) as demo:
        said, _ = demo.communicate(timeout=90)
    assert demo.returncode == 0, said
    lines = dict(line.strip().split(": ", 1) for line in said.splitlines() if ": " in line)
    search = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    try:
        look = ["sh", "-c", lines["look around"]]
        looked = subprocess.run(look, env=search, capture_output=True, text=True, check=False)
        assert "warehouse  up" in looked.stdout, looked.stderr
    finally:
        subprocess.run(["sh", "-c", lines["take it down"]], check=True)
    assert namespaces(demo.pid) == []
    assert left_over(folder) == []


@pytest.mark.parametrize(
    ("number", "scenario", "moment"),
    [
        (signal.SIGINT, "offices", "wait for the tunnel"),
        (signal.SIGTERM, "offices", "wait for the tunnel"),
        (signal.SIGINT, "chapter", "make the virtual link"),
    ],
    ids=["ctrl-c", "sigterm", "ctrl-c in the chapter"],
)
def test_an_interrupted_demonstration_leaves_nothing(
    number: signal.Signals, scenario: str, moment: str, folder: Path
) -> None:
    # Whoever started us in the background had Ctrl-C ignored, and what we start would inherit that.
    command = ["env", "--default-signal=INT", *COMMAND, "--scenario", scenario]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(folder)
    ) as demo:
        shown = ""
        deadline = time.monotonic() + 60
        while moment not in shown:
            assert select.select([demo.stdout], [], [], max(deadline - time.monotonic(), 0))[0], shown
            shown += os.read(demo.stdout.fileno(), 4096).decode()
        demo.send_signal(number)
        _, said = demo.communicate(timeout=30)
    assert demo.returncode not in (0, None)
    assert "Traceback" not in said
    assert namespaces(demo.pid) == []
    assert left_over(folder) == []


def reachable(*paths: str) -> str:
    """Give shell lines that let everybody reach these paths in a mount namespace of our own, whatever is above them."""
    lines = []
    closed = {parent for path in paths for parent in Path(path).resolve().parents if not parent.stat().st_mode & 0o001}
    for number, top in enumerate(sorted(parent for parent in closed if not closed & set(parent.parents))):
        hold = f"/run/hold{number}"
        lines += [f"mkdir -p {hold} && mount --bind {top} {hold} && mount -t tmpfs -o mode=755 tmpfs {top}"]
        for path in sorted({str(Path(path).resolve()) for path in paths}):
            if top in Path(path).parents:
                lines += [f"mkdir -p {path} && mount --bind {hold}/{Path(path).relative_to(top)} {path}"]
    return " && ".join(["mount -t tmpfs tmpfs /run", *lines])


def test_it_works_without_root_where_user_namespaces_do() -> None:
    """As nobody, with a TUN device that everybody may open, as udev makes it."""
    home = "/run/home"
    script = f"""
        {reachable(sys.base_prefix, sys.prefix, culvert.__file__)} &&
        mkdir -m 700 {home} && chown {NOBODY}:{NOBODY} {home} &&
        mknod /run/tun c 10 200 && chmod 666 /run/tun && mount --bind /run/tun /dev/net/tun &&
        exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --inh-caps=-all --bounding-set=-all \
            env HOME={home} TMPDIR={home} {" ".join(COMMAND)} --json
    """
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["ok"] is True
