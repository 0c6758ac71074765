"""The handbook's chapter as a demonstration: two offices, the Internet between them, and somebody who listens.

1  the network is built, and nothing crosses it
2  a gateway is started in each office, from two short files
3  the pings of the chapter, and a file by HTTP
4  what was seen outside is searched for what was sent
5  each gateway is asked to prove it
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Protocol

from culvert.errors import CulvertError, Problem
from culvert.lab.chapter import SITE_A, SITE_B, TO_A, Chapter, build_chapter
from culvert.lab.demo import transfer
from culvert.lab.demo.office import Office
from culvert.lab.demo.outcome import Outcome, Step
from culvert.lab.demo.witness import Witness, judge
from culvert.lab.host import Host
from culvert.lab.lab import Lab

NAME = "chapter"
FILE_OCTETS = 4 * 1024 * 1024
MARK_EVERY = 1024
"""The file repeats its mark so often that every packet of it would carry one."""
NETWORKS = (ip_network(SITE_A.network[0]), ip_network(SITE_B.network[0]))


class Audience(Protocol):
    """Who watches: told of each step when it begins and when it is done, and of texts worth seeing."""

    def begins(self, title: str) -> None: ...

    def done(self, step: Step) -> None: ...

    def text(self, heading: str, lines: list[str]) -> None: ...


class Demonstration:
    """One run. `run` gives the outcome; whatever happens, nothing of it stays unless `keep`."""

    def __init__(self, audience: Audience, *, keep: bool = False) -> None:
        self._audience, self._keep = audience, keep
        self._began = time.monotonic()
        self._mark = f"culvert-{secrets.token_hex(8)}".encode()
        self._pattern = secrets.token_bytes(16)
        self.outcome = Outcome(NAME)
        self.kept: list[str] = []
        """What a person needs who wants to look around in what was left standing, and to take it down."""

    def run(self) -> Outcome:
        """Do all of it. A step that fails ends it; the outcome says which. Other errors are bugs and pass through."""
        with _directory(self._keep) as directory, Lab() as lab:
            with suppress(StepError):
                self._story(lab, directory)
            if self._keep:
                lab.keep()
                self.kept = _how_to_look_around(lab, directory)
        return self.outcome

    def _story(self, lab: Lab, directory: Path) -> None:
        with self._step("build five network namespaces: two offices and the Internet") as note:
            chapter = build_chapter(lab)
            note("the router knows neither private network")
        with self._step(f"ping {SITE_B.host[0]} from {SITE_A.host[0]}, without Culvert") as note:
            note(_unreachable(chapter.host_a, SITE_B.host[0]))
        offices = (
            Office(chapter.gateway_a, SITE_A, SITE_B, "warehouse", directory / "office"),
            Office(chapter.gateway_b, SITE_B, SITE_A, "office", directory / "warehouse"),
        )
        with Witness(chapter.internet, TO_A) as witness:
            self._join(offices)
            self._use(chapter)
            self._prove(offices)
            witness.stop()
            self._look_outside(witness)
        if not self._keep:
            self._end(offices)

    def _join(self, offices: tuple[Office, Office]) -> None:
        secret = secrets.token_urlsafe(24)
        for office in offices:
            text = office.configure(secret)
            if office is offices[0]:
                self._audience.text("gateway.toml of the office", text.splitlines())
                self._audience.text("psk.txt beside it, mode 0600", [f"{SITE_B.outside[0]}    {secret}"])
        with self._step("culvert up, on both gateways") as note:
            started = [(office, office.begin()) for office in offices]
            for office, process in started:
                office.ready(process)
            note("fence, policies and routes stand before IKE begins")
        with self._step("wait for the tunnel") as note:
            for office in offices:
                office.connect()
            note(_suite(offices[0]))

    def _use(self, chapter: Chapter) -> None:
        pings = (
            (chapter.host_a, SITE_A.host[0], SITE_B.host[0]),
            (chapter.gateway_a, SITE_A.gateway[0], SITE_B.gateway[0]),
        )
        for host, source, destination in pings:
            with self._step(f"ping {destination} from {source}") as note:
                note(_ping(host, destination, self._pattern))
        content = _marked_file(self._mark)
        with self._step(f"fetch a file of {FILE_OCTETS >> 20} MiB from {SITE_B.host[0]} by HTTP") as note:
            note(self._fetch(chapter, content))

    def _fetch(self, chapter: Chapter, content: bytes) -> str:
        with transfer.served(chapter.host_b, SITE_B.host[0], content):
            began = time.monotonic()
            received = transfer.fetch(chapter.host_a, SITE_B.host[0])
            took = time.monotonic() - began
        sent, got = hashlib.sha256(content).hexdigest(), hashlib.sha256(received).hexdigest()
        if sent != got:
            raise CulvertError(Problem(f"the file arrived with SHA-256 {got[:16]}..., not {sent[:16]}..."))
        return f"SHA-256 {got[:16]}... as sent, {len(content) * 8 / took / 1e6:.0f} Mbit/s"

    def _prove(self, offices: tuple[Office, Office]) -> None:
        for office in offices:
            with self._step(f"culvert prove, on {office.site.outside[0]}") as note:
                verdict = office.prove()
                self.outcome.verdicts[office.site.outside[0]] = verdict
                if verdict.get("ok") is not True:
                    raise CulvertError(Problem(f"not proven: {verdict}"))
                note("proven")

    def _look_outside(self, witness: Witness) -> None:
        with self._step("search everything that passed outside") as note:
            secret = [self._mark, self._pattern]
            self.outcome.outside = outside = judge(witness.packets, secret, NETWORKS, witness.lost)
            if not outside.ok:
                raise CulvertError(
                    Problem(f"{outside.found} packets outside could be read, {outside.esp_packets} were ESP")
                )
            note(f"{outside.esp_packets + outside.ike_packets} packets, the payload in none of them")

    def _end(self, offices: tuple[Office, Office]) -> None:
        with self._step("culvert down, on both gateways") as note:
            for office in offices:
                office.end()
            note("everything is taken away again")

    @contextmanager
    def _step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Tell of one step, with how it went. Raise StepError where it fails, once it is told."""
        details: list[str] = []
        began = time.monotonic()
        self._audience.begins(title)
        try:
            yield details.append
        except (CulvertError, OSError, TimeoutError) as error:
            self._done(Step(title, False, began - self._began, time.monotonic() - began, str(error)))
            raise StepError from error
        self._done(Step(title, True, began - self._began, time.monotonic() - began, "".join(details)))

    def _done(self, step: Step) -> None:
        self.outcome.steps.append(step)
        self._audience.done(step)


class StepError(Exception):
    """A step failed, and has been told of."""


@contextmanager
def _directory(keep: bool) -> Iterator[Path]:
    if keep:
        yield Path(tempfile.mkdtemp(prefix="culvert-demo-"))
        return
    with tempfile.TemporaryDirectory(prefix="culvert-demo-") as directory:
        yield Path(directory)


def _how_to_look_around(lab: Lab, directory: Path) -> list[str]:
    """Give the lines for a shell, the last one of which takes everything down."""
    spaces = [host.namespace for host in lab.hosts.values()]
    gateway = lab.hosts["gatewayA"].command(["culvert", "--run-dir", str(directory / "office/run"), "status"])
    ending = "ip netns pids $n | xargs -r kill -9; ip netns delete $n"
    return [
        f"hosts: {' '.join(spaces)}",
        f"look around: {' '.join(gateway)}",
        f"take it down: for n in {' '.join(spaces)}; do {ending}; done; rm -r {directory}",
    ]


def _marked_file(mark: bytes) -> bytes:
    filler = MARK_EVERY - len(mark)
    return b"".join(mark + secrets.token_bytes(filler) for _ in range(FILE_OCTETS // MARK_EVERY))


def _unreachable(host: Host, address: str) -> str:
    """Give the news that nothing answers. Raise CulvertError where something does."""
    done = host.run(["ping", "-n", "-c", "1", "-W", "1", address], check=False)
    if done.returncode == 0:
        raise CulvertError(Problem(f"{address} answers although there is no tunnel"))
    return "no answer, as it should be"


def _ping(host: Host, address: str, pattern: bytes) -> str:
    """Ping three times with a marked payload and give the round trip. Raise CulvertError where an answer is missing."""
    done = host.run(["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-p", pattern.hex(), address], check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not any(" 3 received" in line for line in lines):
        raise CulvertError(Problem(f"answers are missing: {' / '.join(lines[-2:])}"))
    average = lines[-1].split("=")[-1].split("/")[1]
    return f"3 of 3 answered, {average} ms"


def _suite(office: Office) -> str:
    peer = office.status()["peers"][office.peer]
    child = peer["children"][0]
    return f"IKEv2 {peer['ike']['suite']}; ESP {child['cipher']} in {child['encapsulation']}"
