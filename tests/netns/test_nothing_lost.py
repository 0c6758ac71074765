"""A daemon that is killed under load, or replaced by another version: no packet is lost, no SA is negotiated again."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from culvert.ipsec.associations import Direction
from culvert.lab.chapter import SITE_B
from tests.netns.chapter_gateways import Gateway, Picture, counted_ping, nothing_in_clear

pytestmark = pytest.mark.root

BACK_S = 2.0
"""Within this time a gateway goes on with its IKE SAs, and the children of a lost engine are there again."""
SLOWER = 3
"""How much slower a busy machine may be."""


def spis(gateway: Gateway) -> dict[str, object]:
    """Give the names of all SAs, and when they were established."""
    peer = gateway.peer()
    children = sorted((one["name"], one["spi_in"], one["spi_out"]) for one in peer["children"])
    return {"i": peer["ike"]["spi_i"], "r": peer["ike"]["spi_r"], "children": children}


def held(gateway: Gateway) -> list[tuple[int, Direction | None]]:
    return sorted((one.id.spi, one.direction) for one in gateway.associations())


@contextmanager
def tcp_flow(picture: Picture) -> Iterator[None]:
    """One TCP connection from host to host that sends as fast as it can."""
    server = picture.chapter.host_b.start(["iperf3", "-s", "-1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    client = picture.chapter.host_a.start(
        ["iperf3", "-c", SITE_B.host[0], "-t", "60", "-b", "50M", "-J"], stdout=subprocess.PIPE, text=True
    )
    try:
        yield
        assert client.poll() is None, "the connection broke"
    finally:
        client.kill()
        client.communicate(timeout=10)
        server.kill()
        server.wait(10)


def restarted(gateway: Gateway) -> float:
    """Kill the daemon and start another one; give the seconds until that goes on with its IKE SAs."""
    gateway.kill(gateway.daemon_pid())
    began = time.monotonic()
    gateway.up()
    gateway.connect()
    return time.monotonic() - began


def test_killed_under_load_nothing_is_lost_and_nothing_is_negotiated_again(picture: Picture) -> None:
    for gateway in (picture.a, picture.b):
        gateway.write(peer='dpd = "3s"')
    picture.up()
    before, held_before = [spis(one) for one in (picture.a, picture.b)], held(picture.a)
    with nothing_in_clear(picture), tcp_flow(picture), counted_ping(picture, 0.01) as lost:
        seconds = min(restarted(picture.a) for _ in range(3))
        assert [spis(one) for one in (picture.a, picture.b)] == before
        assert held(picture.a) == held_before
        restarted(picture.b)
        assert [spis(one) for one in (picture.a, picture.b)] == before
    assert lost() == 0
    assert seconds < BACK_S * SLOWER, f"it took {seconds:.1f} s"
    assert "taken up from the former process" in picture.a.log()
    # The peers look after each other: several times the interval of DPD passes in silence.
    time.sleep(10)
    assert [spis(one) for one in (picture.a, picture.b)] == before
    assert [one.peer()["state"] for one in (picture.a, picture.b)] == ["up", "up"]


@pytest.mark.parametrize("who", ["a", "b"])
def test_rekeys_go_on_after_it(picture: Picture, who: str) -> None:
    picture.up()
    restarted(picture.a)
    gateway: Gateway = getattr(picture, who)
    before = spis(gateway)
    with counted_ping(picture, 0.01) as lost:
        gateway.culvert("rekey", "other")
        gateway.until(lambda: spis(gateway)["children"] != before["children"], "another child")
        gateway.culvert("rekey", "other", "--ike")
        gateway.until(lambda: spis(gateway)["i"] != before["i"], "another IKE SA")
        restarted(picture.a)
        for one in (picture.a, picture.b):
            one.until(lambda one=one: len(one.associations()) == 2, "the end of the former ones")
    assert lost() == 0
    assert spis(picture.a)["i"] == spis(picture.b)["i"]


def test_killed_in_the_middle_of_rekeys(picture: Picture) -> None:
    """Whatever it was doing, it is gone on with: nobody sets up anew."""
    picture.up()
    source = random.Random(1)
    with counted_ping(picture, 0.01) as lost:
        for number in range(6):
            gateway = (picture.a, picture.b)[number % 2]
            options = ["--ike"] if number % 3 == 0 else []
            asking = gateway.host.start(
                gateway.command("rekey", "other", *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            time.sleep(0.3 + source.random() * 0.3)
            restarted(picture.a)
            asking.wait(20)
        for one in (picture.a, picture.b):
            one.until(lambda one=one: len(one.associations()) == 2, "the end of the former ones")
    assert lost() == 0
    assert spis(picture.a)["i"] == spis(picture.b)["i"]
    assert "setting up IKE SA" not in picture.a.log().partition("taken up")[2]


def test_replaced_by_another_version(picture: Picture) -> None:
    picture.up()
    before = spis(picture.a)
    with nothing_in_clear(picture), counted_ping(picture, 0.01) as lost:
        picture.a.culvert("down", "--daemon")
        assert picture.ping() == 3
        picture.a.up()
        picture.a.connect()
        assert spis(picture.a) == before
    assert lost() == 0


def test_what_is_configured_otherwise_meanwhile_is_set_up_anew(picture: Picture) -> None:
    picture.up()
    before = spis(picture.a)
    picture.a.kill(picture.a.daemon_pid())
    picture.a.write(peer='dpd = "7s"')
    picture.a.up()
    picture.a.connect()
    assert spis(picture.a)["i"] != before["i"]
    assert "the configuration changed" in picture.a.log()
    picture.b.connect()
    assert picture.ping() == 3


def test_the_engine_killed_children_are_made_anew_soon_and_nothing_is_in_clear(picture: Picture) -> None:
    picture.up()
    before = spis(picture.a)
    with nothing_in_clear(picture), counted_ping(picture, 0.01) as lost:
        picture.a.kill(picture.a.engine_pid())
        picture.a.until(lambda: "runs again" in picture.a.log(), "another engine")
        picture.a.connect()
        assert picture.ping() == 3
    assert lost() < (BACK_S + 1) * SLOWER / 0.01
    after = spis(picture.a)
    assert after["i"] == before["i"]
    assert after["children"] != before["children"]
    # The fresh engine has the checkpoints too.
    restarted(picture.a)
    assert spis(picture.a) == after


def test_what_is_kept_is_never_on_a_disk_nor_shown(picture: Picture) -> None:
    picture.up()
    restarted(picture.a)
    files = [one for one in picture.a.folder.rglob("*") if one.is_file()]
    assert files
    for file in files:
        assert b"CVTI" not in file.read_bytes(), f"a checkpoint is in {file}"
    status = json.dumps(picture.a.status())
    assert "sk_d" not in status
