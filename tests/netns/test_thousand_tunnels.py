"""A thousand tunnels at one real gateway, and its daemon killed under them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.load import GATEWAY, SECRET, Load, identity, network
from culvert.ipsec.selectors import traffic_selector
from culvert.lab.chapter import SITE_A, TO_A
from tests.netns.chapter_gateways import Gateway, Picture, built, counted_ping, nothing_in_clear

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(400)]

TUNNELS = 1_000
CALLERS = [f"203.0.113.{number}" for number in range(101, 117)]
"""Where they call from: so many that none of them looks like an attack."""
AT_ONCE = 64
MOST_OCTETS = 30 * 1024
"""What a tunnel may hold at the daemon."""
BACK_S = 2.0
SLOWER = 3
"""How much slower a busy machine may be."""


def _peers() -> str:
    return "".join(
        f'[peers.gw{number}]\nidentity = "{identity(number)}"\nlocal_identity = "{GATEWAY}"\nstart = "passive"\n'
        f'networks = ["{network(number)}"]\n'
        for number in range(TUNNELS)
    )


@pytest.fixture
def picture(tmp_path: Path) -> Iterator[Picture]:
    with built(tmp_path) as picture:
        picture.a.write(peer=_peers())
        with (picture.a.folder / "psk.txt").open("a") as secrets:
            secrets.writelines(f"{identity(number)} {SECRET.decode()}\n" for number in range(TUNNELS))
        for address in CALLERS:
            picture.chapter.internet.ip("address", "add", f"{address}/24", "dev", TO_A)
        picture.up()
        yield picture


@pytest.fixture
def load(picture: Picture) -> Iterator[Load]:
    load = Load(picture.chapter.internet, CALLERS, SITE_A.outside[0], traffic_selector(SITE_A.network[0]))
    yield load
    load.close()


@contextmanager
def answering(load: Load) -> Iterator[None]:
    """Whoever stands answers while the block runs."""
    over = threading.Event()

    def answer() -> None:
        while not over.is_set():
            load.answer(0.1)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _held_octets(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def _up(gateway: Gateway) -> dict[str, str]:
    """Give the peers that are up, with the initiator's SPI of each one's IKE SA."""
    peers = gateway.status()["peers"]
    return {name: peer["ike"]["spi_i"] for name, peer in peers.items() if peer["state"] == "up"}


def test_they_stand_and_outlive_the_daemon(picture: Picture, load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    gateway = picture.a
    octets, began = _held_octets(gateway.daemon_pid()), time.monotonic()
    with nothing_in_clear(picture), counted_ping(picture, 0.01) as lost:
        assert load.set_up(range(TUNNELS), AT_ONCE) == TUNNELS
        took, octets = time.monotonic() - began, _held_octets(gateway.daemon_pid()) - octets
        with answering(load):
            gateway.until(lambda: len(gateway.associations()) == 2 * (TUNNELS + 1), "the end of what two calls made")
            before = _up(gateway)
            assert len(before) == TUNNELS + 1
            gateway.kill(gateway.daemon_pid())
            began = time.monotonic()
            gateway.up()
            back = time.monotonic() - began
            gateway.until(lambda: _up(gateway) == before, "the same IKE SAs")
            gateway.culvert("rekey", "other")
        # What asks an IKE SA of before is answered by the daemon that took it up.
        assert load.rekey(20, within_s=60) == 20
        with answering(load):
            gateway.until(lambda: len(gateway.associations()) == 2 * (TUNNELS + 1), "the end of the former children")
            gateway.until(lambda: _up(gateway) == before, "the same IKE SAs")
    with capsys.disabled():
        print(f"\n{TUNNELS} tunnels in {took:.1f} s, {octets // TUNNELS} octets each; back in {back:.2f} s")
    assert lost() == 0
    assert octets / TUNNELS < MOST_OCTETS
    assert back < BACK_S * SLOWER
