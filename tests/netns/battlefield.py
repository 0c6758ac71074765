"""Two joined offices, and somebody on the wire before one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from culvert.lab.chapter import OUTSIDE, SITE_A, SITE_B, TO_A
from culvert.lab.eavesdropper import Eavesdropper
from tests.netns.forge import Injector, Overheard, Pulse, overheard, pulse
from tests.netns.offices import Pair, TestedOffice, two_offices

BURST = 50
"""Packets between two beats of the pulse: fewer than any socket's queue holds."""
ANYBODY = (
    '[peers.roaming]\nidentity = "roaming@example.org"\nnetworks = ["10.77.0.0/16"]\nsecret = "file:roaming.txt"\n'
)
"""A peer that calls from anywhere, so that our own firewall lets every stranger through to the engine."""


@dataclass
class Battlefield:
    """Two joined offices, somebody on the wire before gateway A, and what passed there so far."""

    pair: Pair
    injector: Injector
    heard: Overheard
    first: bytes
    beat: Pulse
    pids: tuple[int, int]

    @property
    def ends(self) -> tuple[str, str]:
        """Gateway B's address and gateway A's."""
        return SITE_B.outside[self.a.family], SITE_A.outside[self.a.family]

    @property
    def a(self) -> TestedOffice:
        return self.pair.a

    def throw(self, packet: Callable[[], bytes], count: int) -> None:
        """Send `count` packets; the traffic of honest people goes on between them, and loses nothing."""
        for number in range(count):
            self.injector.send(packet())
            if number % BURST == BURST - 1:
                self.beat.beat()
        self.beat.beat()

    def unhurt(self) -> None:
        """Both processes are the same, the tunnel is up, and the log knows of no bug."""
        assert self.a.pids() == self.pids
        assert self.a.peer_status()["state"] == "up"
        assert self.pair.ping() == 2
        log = self.a.log()
        assert not re.search(r"Traceback|a bug of ours|panicked|^\S+ ERROR|nobody waited", log, re.MULTILINE), log


@contextmanager
def battlefield(folder: Path, family: int, *, anybody: bool = True) -> Iterator[Battlefield]:
    with two_offices(folder, ipv6=True, family=family) as pair:
        if anybody:
            (pair.a.directory / "roaming.txt").write_text('roaming@example.org "a secret of nobody who is here"\n')
            (pair.a.directory / "roaming.txt").chmod(0o600)
            pair.a.file.write_text(pair.a.file.read_text() + ANYBODY)
        with Eavesdropper(pair.chapter.internet, TO_A) as ear:
            for office in (pair.a, pair.b):
                office.up()
            for office in (pair.a, pair.b):
                office.wait_up()
            assert pair.ping() == 2
            heard = overheard(ear.frames(), SITE_A.outside[family])
            first = overheard(ear.frames(), SITE_B.outside[family]).ike[0]
        injector = Injector(pair.chapter.internet, TO_A, pair.chapter.gateway_a, OUTSIDE)
        with pulse(pair.chapter.host_a, pair.chapter.host_b, SITE_B.host[0]) as beat:
            yield Battlefield(pair, injector, heard, first, beat, pair.a.pids())
        injector.close()
