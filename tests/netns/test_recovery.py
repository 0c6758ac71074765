"""A peer reboots, an address changes, a link is away: traffic flows within five seconds of it being possible.

Everything is real: engines and daemons are killed and started, links taken down, addresses and routes changed.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B, TO_B
from tests.netns.offices import Pair, TestedOffice, two_offices
from tests.netns.pinger import Pinger

pytestmark = pytest.mark.root

WITHIN_S = 5.0
"""The promise."""
NEW_A, NEW_B = "203.0.113.77", "198.51.100.77"
NAME_A, NAME_B = "a.example.org", "b.example.org"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with two_offices(tmp_path) as pair:
        yield pair


def join(pair: Pair, start_a: str = "always", start_b: str = "always") -> None:
    for office, start in ((pair.a, start_a), (pair.b, start_b)):
        office.write(peer=f'start = "{start}"')
        office.up()
    for office, start in ((pair.a, start_a), (pair.b, start_b)):
        if start != "passive":
            office.wait_up()


def crash(office: TestedOffice) -> None:
    """Let a gateway's machine lose power: nothing of it is left but its files."""
    for pid in office.pids():
        os.kill(pid, signal.SIGKILL)
    office.down()


def pinging(pair: Pair, *, back: bool = False) -> Pinger:
    host, to = (pair.chapter.host_b, SITE_A.host[0]) if back else (pair.chapter.host_a, SITE_B.host[0])
    pinger = Pinger(host, to)
    assert pinger.answered_after(0, time.time() + 10) is not None, pair.a.log() + pair.b.log()
    return pinger


def assert_flows(pair: Pair, pinger: Pinger, since: float) -> float:
    """See that an answer comes within the promised time; give how long it took."""
    answered = pinger.answered_after(since, WITHIN_S + 10)
    took = None if answered is None else answered - since
    said = f"A:\n{pair.a.log()[-6000:]}\nB:\n{pair.b.log()[-6000:]}"
    assert took is not None, f"no traffic\n{said}"
    assert took <= WITHIN_S, f"{took:.1f} s\n{said}"
    print(f"took {took:.2f} s")
    return took


def reboot(pair: Pair, start_a: str, start_b: str, *, back: bool, away_s: int) -> None:
    """Let B reboot while pings go from A's network to B's, or `back`, and see them go on."""
    join(pair, start_a, start_b)
    with pinging(pair, back=back) as pinger:
        time.sleep(3)
        crash(pair.b)
        time.sleep(away_s)
        pair.b.up()
        assert_flows(pair, pinger, time.time())


def test_a_peer_that_calls_nobody_reboots(pair: Pair) -> None:
    reboot(pair, "always", "passive", back=False, away_s=0)


@pytest.mark.slow
@pytest.mark.parametrize("away_s", [0, 7])
@pytest.mark.parametrize(
    ("start_a", "start_b", "back"),
    [
        ("always", "always", False),
        ("always", "passive", False),
        ("always", "passive", True),
        ("passive", "always", False),
        ("traffic", "traffic", False),
        ("traffic", "passive", False),
        ("passive", "traffic", True),
    ],
)
def test_a_peer_reboots(pair: Pair, start_a: str, start_b: str, back: bool, away_s: int) -> None:
    reboot(pair, start_a, start_b, back=back, away_s=away_s)


@pytest.mark.slow
def test_a_link_that_is_away_for_a_minute_costs_no_ike_sa(pair: Pair) -> None:
    join(pair)
    router = pair.chapter.internet
    before = pair.a.peer_status()["ike"]["spi_i"]
    with pinging(pair) as pinger:
        router.ip("link", "set", TO_B, "down")
        time.sleep(58)
        status = pair.a.peer_status()
        assert (status["state"], status["reason"]) == ("connecting", "NO_RESPONSE")
        assert re.match(r"nothing was heard for (5[0-9]|6[0-9]) s; ", status["message"]), status["message"]
        router.ip("link", "set", TO_B, "up")
        assert_flows(pair, pinger, time.time())
    assert pair.a.peer_status()["ike"]["spi_i"] == before


@pytest.mark.slow
def test_an_outage_that_outlives_the_ike_sas(pair: Pair) -> None:
    join(pair)
    router = pair.chapter.internet
    with pinging(pair) as pinger:
        router.run(
            ["nft", "add table ip away; add chain ip away f { type filter hook forward priority 0; policy drop; }"]
        )
        time.sleep(100)
        assert "no longer answers" in pair.a.log()
        router.run(["nft", "delete table ip away"])
        assert_flows(pair, pinger, time.time())
