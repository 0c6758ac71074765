"""The two gateways of the handbook's chapter as `culvert up` runs them, and what tests do to them and look at."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from culvert.lab.chapter import SITE_A, SITE_B, TO_A, Chapter, Site, build_chapter
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.host import Host
from culvert.lab.lab import Lab
from culvert.xfrm.associations import AssociationState
from culvert.xfrm.client import XfrmClient

SECRET = "correct horse battery staple of the lab"
MARKER = "c0ffee5ec2e7"
"""Fills the packets that must not be seen outside."""


@dataclass
class Gateway:
    """One of the two, with its files and its commands."""

    host: Host
    site: Site
    other: Site
    folder: Path

    def write(self, *, secret: str = SECRET, gateway: str = "", peer: str = "", **changes: str) -> None:
        ours = changes.get("networks", self.site.network[0])
        theirs = changes.get("remote", self.other.network[0])
        address = changes.get("address", self.other.outside[0])
        self.folder.mkdir(exist_ok=True)
        secrets = self.folder / "psk.txt"
        secrets.write_text(f'{address} "{secret}"\n')
        secrets.chmod(0o600)
        self.file.write_text(
            f'[gateway]\naddress = "{self.site.outside[0]}"\nnetworks = ["{ours}"]\n{gateway}\n'
            f'[peers.other]\naddress = "{address}"\nnetworks = ["{theirs}"]\n{peer}\n'
        )

    @property
    def file(self) -> Path:
        return self.folder / "gateway.toml"

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    def command(self, *arguments: str) -> list[str]:
        directories = ["--run-dir", str(self.run_dir), "--state-dir", str(self.folder / "state")]
        return [sys.executable, "-m", "culvert", *directories, *arguments]

    def culvert(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = self.host.run(self.command(*arguments), check=False, timeout_s=60)
        assert code is None or done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}\n{self.log()}"
        assert "Traceback" not in done.stderr
        return done

    def up(self) -> None:
        self.culvert("up", "-c", str(self.file), "-d")

    def down(self) -> None:
        self.culvert("down")

    def connect(self) -> None:
        self.culvert("connect", "other", "--timeout", "20s")

    def status(self) -> dict:
        return json.loads(self.culvert("status", "--json", code=None).stdout)

    def peer(self) -> dict:
        return self.status()["peers"]["other"]

    def log(self) -> str:
        with contextlib.suppress(OSError):
            return (self.run_dir / "culvert.log").read_text()
        return ""

    def associations(self) -> list[AssociationState]:
        """What the engine holds, asked from outside of the daemon."""

        async def ask() -> list[AssociationState]:
            client = await XfrmClient.connect(self.run_dir / "engine.sock")
            try:
                return await client.associations()
            finally:
                client.close()

        return asyncio.run(ask())

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
        """Wait for something that no event of the gateway tells."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come\n{self.log()}"
            time.sleep(0.2)

    def daemon_pid(self) -> int:
        return int((self.run_dir / "culvert.pid").read_text())

    def engine_pid(self) -> int:
        pids = self.host.run(["ip", "netns", "pids", self.host.namespace]).stdout.split()
        return next(int(pid) for pid in pids if command_of(pid).startswith("culvert-engine"))

    def standing(self) -> dict[str, str]:
        """All that a gateway could leave on its host."""
        looks = {
            "links": ["ip", "-o", "link", "show", "type", "tun"],
            "rules": ["ip", "rule"],
            "routes": ["ip", "route", "show", "table", "all"],
            "firewall": ["nft", "list", "ruleset"],
            "forwarding": ["sysctl", "net.ipv4.ip_forward", "net.ipv4.conf.all.src_valid_mark"],
            "sockets": ["ss", "-Hulnw"],
        }
        return {name: self.host.run(look, check=False).stdout for name, look in looks.items()}

    def kill(self, pid: int) -> None:
        """Kill a process and return when it is gone."""
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            subprocess.run(["tail", f"--pid={pid}", "-s", "0.01", "-f", "/dev/null"], check=True, timeout=10)
        finally:
            os.close(descriptor)


def command_of(pid: str) -> str:
    """Give the name of a process; none where it has ended meanwhile."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text()
    return ""


@dataclass
class Picture:
    """The chapter's picture with a gateway at each site."""

    chapter: Chapter
    a: Gateway
    b: Gateway

    def up(self) -> None:
        self.a.up()
        self.b.up()
        self.a.connect()
        self.b.connect()

    def ping(
        self,
        count: int = 3,
        source: Host | None = None,
        to: str = SITE_B.host[0],
        wait_s: int = 2,
        options: Sequence[str] = (),
    ) -> int:
        """Give how many of `count` pings came back."""
        host = source or self.chapter.host_a
        ping = ["ping", "-n", "-c", str(count), "-i", "0.05", "-W", str(wait_s), "-p", MARKER, *options, to]
        said = host.run(ping, check=False, timeout_s=60).stdout
        return int(next(line for line in said.splitlines() if "received" in line).split()[3])


@contextlib.contextmanager
def built(tmp_path: Path, **changes: bool) -> Iterator[Picture]:
    with Lab(f"cvd{os.getpid()}") as lab:
        chapter = build_chapter(lab, **changes)
        a = Gateway(chapter.gateway_a, SITE_A, SITE_B, tmp_path / "a")
        b = Gateway(chapter.gateway_b, SITE_B, SITE_A, tmp_path / "b")
        a.write()
        b.write()
        yield Picture(chapter, a, b)


def in_clear(frame: bytes) -> bool:
    """A private address in an IPv4 header that is not protected, or the marker anywhere."""
    private = frame[12:14] == b"\x08\x00" and (frame[26:28] == b"\xc0\xa8" or frame[30:32] == b"\xc0\xa8")
    return private or bytes.fromhex(MARKER) in frame


@contextlib.contextmanager
def nothing_in_clear(picture: Picture) -> Iterator[Eavesdropper]:
    with Eavesdropper(picture.chapter.internet, TO_A) as ear:
        yield ear
        assert ear.matching(in_clear) == []


@contextlib.contextmanager
def steady_ping(picture: Picture) -> Iterator[None]:
    """From host to host all the time, whether it arrives or not."""
    ping = ["ping", "-n", "-q", "-i", "0.005", "-p", MARKER, SITE_B.host[0]]
    process = picture.chapter.host_a.start(ping, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


def lost_of(said: str) -> int:
    """Count the gaps in what ping said; the last one may have been on its way when it ended."""
    answered = [int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", said)]
    return max(answered) - len(dict.fromkeys(answered))


@contextlib.contextmanager
def counted_ping(picture: Picture, interval_s: float) -> Iterator[Callable[[], int]]:
    """From host to host all the time; what is given tells afterwards how many did not come back."""
    ping = ["ping", "-n", "-i", str(interval_s), "-p", MARKER, SITE_B.host[0]]
    process = picture.chapter.host_a.start(ping, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: list[str] = []
    try:
        yield lambda: lost_of(said[0])
    finally:
        process.send_signal(signal.SIGINT)
        said.append(process.communicate(timeout=10)[0])


def send_file(picture: Picture, data: bytes) -> bytes:
    """Send over TCP from host A to host B and give what arrived."""
    with picture.chapter.host_b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.settimeout(20)
        listener.bind((SITE_B.host[0], 8000))
        listener.listen()
        with ThreadPoolExecutor() as threads:
            arrived = threads.submit(receive_file, listener)
            with picture.chapter.host_a.socket(socket.AF_INET, socket.SOCK_STREAM) as sender:
                sender.settimeout(20)
                sender.connect((SITE_B.host[0], 8000))
                sender.sendall(data)
            return arrived.result()


def receive_file(listener: socket.socket) -> bytes:
    receiver, _ = listener.accept()
    with receiver:
        receiver.settimeout(20)
        return b"".join(iter(lambda: receiver.recv(65536), b""))
