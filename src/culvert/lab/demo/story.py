"""A demonstration: steps that are told of as they happen, on a lab that is gone afterwards whatever happens."""

from __future__ import annotations

import secrets
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from culvert.addresses import IPNetwork
from culvert.errors import CulvertError, Problem
from culvert.lab.demo.outcome import Outcome, Step
from culvert.lab.demo.witness import Witness, judge
from culvert.lab.host import Host
from culvert.lab.lab import Lab


class Audience(Protocol):
    """Who watches: told of each step when it begins and when it is done, and of texts worth seeing."""

    def begins(self, title: str) -> None: ...

    def done(self, step: Step) -> None: ...

    def text(self, heading: str, lines: list[str]) -> None: ...


class StepError(Exception):
    """A step failed, and has been told of."""


class Story(ABC):
    """One run. `run` gives the outcome; whatever happens, nothing of it stays unless `keep`."""

    name = ""
    proves = True
    """Whether the gateways are asked to prove it."""
    carried = ""
    """What the Internet carries, in eight letters for the picture."""
    next_step = ""
    """What to do after it, with machines of one's own."""

    def __init__(self, audience: Audience, *, keep: bool = False) -> None:
        self._audience, self._keep = audience, keep
        self._began = time.monotonic()
        self._mark = f"culvert-{secrets.token_hex(8)}".encode()
        self._pattern = secrets.token_bytes(16)
        self.outcome = Outcome(self.name, wants_proof=self.proves)
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

    @abstractmethod
    def _story(self, lab: Lab, directory: Path) -> None:
        """Do the steps, one after another."""

    def _look_outside(self, witness: Witness, networks: Sequence[IPNetwork]) -> None:
        with self._step("search everything that passed outside") as note:
            secret = [self._mark, self._pattern]
            self.outcome.outside = outside = judge(witness.packets, secret, networks, witness.lost)
            if not outside.ok:
                raise CulvertError(
                    Problem(f"{outside.found} packets outside could be read, {outside.esp_packets} were ESP")
                )
            note(f"{outside.esp_packets + outside.ike_packets} packets, the payload in none of them")

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


def unreachable(host: Host, address: str) -> str:
    """Give the news that nothing answers. Raise CulvertError where something does."""
    done = host.run(["ping", "-n", "-c", "1", "-W", "1", address], check=False)
    if done.returncode == 0:
        raise CulvertError(Problem(f"{address} answers although there is no tunnel"))
    return "no answer, as it should be"


def ping(host: Host, address: str, pattern: bytes) -> str:
    """Ping three times with a marked payload and give the round trip. Raise CulvertError where an answer is missing."""
    done = host.run(["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-p", pattern.hex(), address], check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not any(" 3 received" in line for line in lines):
        raise CulvertError(Problem(f"answers are missing: {' / '.join(lines[-2:])}"))
    average = lines[-1].split("=")[-1].split("/")[1]
    return f"3 of 3 answered, {average} ms"
