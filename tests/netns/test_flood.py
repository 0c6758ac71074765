"""A thousand forged first messages a second at a real gateway: an honest peer connects within two seconds."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from culvert.lab.chapter import OUTSIDE, SITE_A, TO_A
from tests.netns.battlefield import ANYBODY
from tests.netns.forge import Injector, udp_packet
from tests.netns.offices import PEER, Pair, two_offices
from tests.unit.ike.test_floods import first

pytestmark = [pytest.mark.root, pytest.mark.slow]

PER_SECOND = 1_000
CONNECTS_WITHIN_S = 2.0
STARTS_S = 1.0
"""What the command itself may take beside."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """B calls A, who knows it by its identity alone, as it does others: anybody may be one of them."""
    with two_offices(tmp_path) as pair:
        pair.b.write(peer='start = "passive"\nlocal_identity = "b@example.org"')
        pair.a.write(peer='start = "passive"')
        roaming = pair.a.file.read_text().replace(
            f'address = "{pair.a.other.outside[0]}"', 'identity = "b@example.org"'
        )
        pair.a.file.write_text(roaming + ANYBODY)
        (pair.a.directory / "psk.txt").write_text('b@example.org "the secret of these two, and of nobody else"\n')
        (pair.a.directory / "roaming.txt").write_text('roaming@example.org "a secret of nobody who is here"\n')
        (pair.a.directory / "roaming.txt").chmod(0o600)
        for office in (pair.a, pair.b):
            office.up()
        yield pair


class Flood:
    """First messages to A from everywhere, while the block runs."""

    def __init__(self, pair: Pair) -> None:
        source = random.Random(3)
        self._injector = Injector(pair.chapter.internet, TO_A, pair.chapter.gateway_a, OUTSIDE)
        self._packets = [_forged(source) for _ in range(2 * PER_SECOND)]
        self._news, self._over = threading.Condition(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def _run(self) -> None:
        began = time.monotonic()
        while not self._over.wait(0.005):
            while self.sent < (time.monotonic() - began) * PER_SECOND:
                self._injector.send(self._packets[self.sent % len(self._packets)])
                self.sent += 1
            with self._news:
                self._news.notify_all()

    def until(self, count: int) -> None:
        """Wait until so many were sent in all."""
        with self._news:
            assert self._news.wait_for(lambda: self.sent >= count, 30)

    def __enter__(self) -> Flood:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._injector.close()


def _forged(source: random.Random) -> bytes:
    address = str(ip_address(source.randrange(0x0B000000, 0x7F000000)))
    return udp_packet((address, SITE_A.outside[0]), (source.randrange(1024, 65_536), 500), first(source))


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_an_honest_peer_connects_within_two_seconds(pair: Pair) -> None:
    daemon, _ = pair.a.pids()
    with Flood(pair) as flood:
        flood.until(3 * PER_SECOND)
        used, sent, at = _processor_s(daemon), flood.sent, time.monotonic()
        pair.b.culvert("connect", PEER, "--timeout", "10s")
        took = time.monotonic() - at
        assert pair.ping() == 2
        flood.until(sent + 2 * PER_SECOND)
        seconds = time.monotonic() - at
        share, rate = (_processor_s(daemon) - used) / seconds, (flood.sent - sent) / seconds
    print(f"connected in {took:.2f} s at {rate:.0f} a second, which take {share:.0%} of one core")
    assert rate > 0.8 * PER_SECOND
    assert took < CONNECTS_WITHIN_S + STARTS_S
    assert share < 0.6, "of one core"
    assert pair.a.document()["gateway"]["state"] == "ready"
    assert "bug of ours" not in pair.a.log()
