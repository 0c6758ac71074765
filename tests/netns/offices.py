"""The two gateways of the chapter with whatever configuration a test wants, and looks at what they are and hold."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from culvert.lab.chapter import SITE_A, SITE_B, Chapter, Site, build_chapter
from culvert.lab.demo.office import Office
from culvert.lab.host import Host
from culvert.lab.lab import Lab

SECRET = "the secret of these two, and of nobody else"
PEER = "other"
_NUMBERS = count()
"""Labs of one process may stand side by side."""


class TestedOffice(Office):
    """An office whose two files can be anything. `family` is 0 for IPv4 outside, 1 for IPv6."""

    __test__ = False

    def __init__(self, host: Host, site: Site, other: Site, directory: Path, family: int = 0) -> None:
        super().__init__(host, site, other, PEER, directory)
        self.family = family
        directory.mkdir(mode=0o755)

    def write(
        self, *, secret: str = SECRET, gateway: str = "", peer: str = "", address: str = "", **networks: str
    ) -> None:
        """Write both files as they should be, but for what is said; `ours` and `theirs` are other networks."""
        theirs = address or self.other.outside[self.family]
        self.file.write_text(
            f'[gateway]\naddress = "{self.site.outside[self.family]}"\n'
            f'networks = ["{networks.get("ours", self.site.network[0])}"]\n{gateway}\n'
            f'[peers.{PEER}]\naddress = "{theirs}"\n'
            f'networks = ["{networks.get("theirs", self.other.network[0])}"]\n{peer}\n'
        )
        self.write_secrets(f'{theirs} "{secret}"\n')

    def write_secrets(self, text: str, mode: int = 0o600) -> None:
        psk = self.directory / "psk.txt"
        psk.write_text(text)
        psk.chmod(mode)

    def culvert(self, *arguments: str, code: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command; `code` is its expected exit, None for any. No command ever shows a traceback."""
        done = self.host.run(self.command(*arguments), check=False, timeout_s=60, **options)
        assert code is None or done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}\n{self.log()}"
        assert "Traceback" not in done.stderr
        return done

    def up(self, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.culvert("up", "-c", str(self.file), "-d", code=code)

    def down(self) -> None:
        self.culvert("down")

    def wait_up(self) -> None:
        self.culvert("connect", PEER, "--timeout", "25s")

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.culvert("status", "--json", code=None).stdout)
        return document

    def peer_status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.document()["peers"][PEER]
        return status

    def warnings(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.document()["gateway"]["warnings"]
        return found

    def drops(self) -> dict[str, int]:
        """All drops by name: the gateway's and those of its associations, added."""
        document = self.document()
        total: dict[str, int] = dict(document["gateway"]["drops"])
        for child in document["peers"][PEER]["children"]:
            for name, packets in child["drops"].items():
                total[name] = max(total.get(name, 0), packets)
        return total

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
        """Wait for something that no event of the gateway tells."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come\n{self.log()}"
            time.sleep(0.1)

    def log(self) -> str:
        with contextlib.suppress(OSError):
            return (self.run_dir / "culvert.log").read_text()
        return ""

    def pids(self) -> tuple[int, int]:
        """Give the process numbers of the daemon and its engine."""
        inside = self.host.run(["ip", "netns", "pids", self.host.namespace]).stdout.split()
        engines = [int(pid) for pid in inside if _program(pid).startswith("culvert-engine")]
        assert len(engines) == 1, f"{len(engines)} engines\n{self.log()}"
        return int((self.run_dir / "culvert.pid").read_text()), engines[0]

    def resident_kib(self) -> tuple[int, int]:
        """Give the resident memory of the daemon and of the engine, in KiB, pages of files left out."""
        daemon, engine = (_anonymous_kib(pid) for pid in self.pids())
        return daemon, engine

    def standing(self) -> dict[str, str]:
        """All that a gateway could leave on its host."""
        looks = {
            "links": ["ip", "-o", "link", "show"],
            "rules": ["ip", "rule"],
            "rules of IPv6": ["ip", "-6", "rule"],
            "routes": ["ip", "route", "show", "table", "all"],
            "routes of IPv6": ["ip", "-6", "route", "show", "table", "all"],
            "firewall": ["nft", "list", "ruleset"],
            "sysctls": [
                "sysctl",
                "-a",
                "-r",
                r"^net\.ipv[46]\.(ip_forward$|conf\..*\.(src_valid_mark|rp_filter|forwarding))",
            ],
            "sockets": ["ss", "-Hulnw"],
        }
        return {name: _stable(self.host.run(look, check=False).stdout) for name, look in looks.items()}


@dataclass
class Pair:
    """The chapter's picture with an office at each side."""

    chapter: Chapter
    a: TestedOffice
    b: TestedOffice

    def join(self) -> None:
        for office in (self.a, self.b):
            office.up()
        for office in (self.a, self.b):
            office.wait_up()

    def ping(self, count: int = 2, wait_s: int = 2, *, back: bool = False) -> int:
        """Give how many pings from host A to host B came back; from B to A with `back`."""
        host, to = (self.chapter.host_b, SITE_A.host[0]) if back else (self.chapter.host_a, SITE_B.host[0])
        done = host.run(
            ["ping", "-n", "-c", str(count), "-i", "0.05", "-W", str(wait_s), to], check=False, timeout_s=60
        )
        received = re.search(r"(\d+) received", done.stdout)
        return int(received[1]) if received else 0


@contextlib.contextmanager
def two_offices(directory: Path, *, ipv6: bool = False, family: int = 0) -> Iterator[Pair]:
    """Build the picture and write the files of both; nothing runs yet."""
    with Lab(f"o{os.getpid()}_{next(_NUMBERS)}") as lab:
        chapter = build_chapter(lab, ipv6=ipv6 or family == 1)
        a = TestedOffice(chapter.gateway_a, SITE_A, SITE_B, directory / "a", family)
        b = TestedOffice(chapter.gateway_b, SITE_B, SITE_A, directory / "b", family)
        a.write()
        b.write()
        yield Pair(chapter, a, b)


def _program(pid: str) -> str:
    with contextlib.suppress(OSError):  # ended meanwhile
        return Path(f"/proc/{pid}/comm").read_text()
    return ""


def _anonymous_kib(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1])


def _stable(text: str) -> str:
    """Leave out what changes by itself."""
    return re.sub(r" expires \d+sec", "", text)
