"""TCP as fast as it can to strongSwan while either side rekeys: our side drops nothing of it.

What strongSwan's user-space plugin loses by itself shows in TCP alone, in calm as well, and is printed, not judged.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_B
from culvert.lab.lab import Lab
from culvert.reasons import Drop
from tests.interop.test_strongswan import PEER, Joined, join
from tests.netns.test_rekeys_at_full_rate import counters

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

CALM_S = 5


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Joined]:
    with Lab() as lab:
        joined = join(lab, tmp_path, initiator="culvert")
        yield joined
        joined.office.end()
        joined.charon.stop()


def dropped(joined: Joined) -> Counter[str]:
    drops = joined.office.status()["gateway"]["drops"]
    return Counter({name: count for name, count in drops.items() if name in Drop.__members__})


def repeated(joined: Joined) -> Counter[str]:
    """What TCP sent again, and what of that its receivers had."""
    found: Counter[str] = Counter()
    for host in (joined.chapter.host_a, joined.chapter.host_b):
        found += counters(host, "TcpRetransSegs", "TcpExtTCPDSACKRecvSegs")
    return found


@contextmanager
def flow(joined: Joined, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """Send both ways for so long, or until this is left."""
    server = joined.chapter.host_b.start(["iperf3", "-s", "-1", "--forceflush"], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    while "listening" not in server.stdout.readline():
        pass
    command = ["iperf3", "-c", SITE_B.host[0], "-t", str(seconds), "-w", "256K", "--bidir"]
    client = joined.chapter.host_a.start(command, stdout=subprocess.PIPE, text=True)
    try:
        yield client
    finally:
        for process in (client, server):
            process.kill()
            process.communicate()


def test_we_drop_nothing_of_a_flow_that_is_rekeyed_by_either_side(joined: Joined) -> None:
    before = repeated(joined)
    with flow(joined, CALM_S) as client:
        print(*client.communicate(timeout=60)[0].splitlines()[-6:], sep="\n")
    calm = repeated(joined) - before
    steps: list[tuple[Callable[[], str], Callable[[], object]]] = [
        (joined.spi_of_child, lambda: joined.office.host.run(joined.office.command("rekey", f"{PEER}/{PEER}"))),
        (joined.spi_of_child, lambda: joined.charon.swanctl("--rekey", "--child", "net")),
        (joined.spi_of_ike, lambda: joined.office.host.run(joined.office.command("rekey", PEER, "--ike"))),
        (joined.spi_of_ike, lambda: joined.charon.swanctl("--rekey", "--ike", "culvert")),
    ]
    drops, before = dropped(joined), repeated(joined)
    with flow(joined, 300) as client:
        for look, rekey in steps:
            former = look()
            rekey()
            joined.until(lambda look=look, former=former: look() != former, "other keys")
        assert client.poll() is None, "the connection broke"
        found, here = repeated(joined) - before, dropped(joined) - drops
    print(f"calm for {CALM_S} s: {dict(calm)}; rekeyed: {dict(found)}; dropped here: {dict(here)}")
    assert not here
