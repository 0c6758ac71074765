"""A peer reboots, an address changes, a link is away: traffic flows within five seconds of it being possible.

Everything is real: engines and daemons are killed and started, links taken down, addresses and routes changed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from culvert.lab.chapter import OUTSIDE, SITE_A, SITE_B, TO_A, TO_B
from tests.netns.offices import PEER, SECRET, Pair, TestedOffice, two_offices
from tests.netns.pinger import Pinger

pytestmark = [pytest.mark.root, pytest.mark.minutes]

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


def spis(status: dict[str, Any]) -> tuple[str, str]:
    """Give what names the IKE SA in use."""
    return status["ike"]["spi_i"], status["ike"]["spi_r"]


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
def test_a_link_that_is_away_for_a_minute(pair: Pair) -> None:
    """The IKE SA that stood stays: it is asked before the one that was begun beside it is made."""
    join(pair)
    router = pair.chapter.internet
    with pinging(pair) as pinger:
        before = pair.a.peer_status()
        router.ip("link", "set", TO_B, "down")
        time.sleep(58)
        status = pair.a.peer_status()
        assert (status["state"], status["reason"]) == ("connecting", "NO_RESPONSE")
        assert re.match(r"nothing was heard for (5[0-9]|6[0-9]) s; ", status["message"]), status["message"]
        router.ip("link", "set", TO_B, "up")
        assert_flows(pair, pinger, time.time())
    after = pair.a.peer_status()
    assert after["state"] == "up"
    assert spis(after) == spis(before), pair.a.log()[-6000:]


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


class NamedOffice(TestedOffice):
    """An office that uses whatever address the route does, is known by a name, and has a hosts file of its own."""

    @property
    def hosts(self) -> Path:
        return self.directory / "hosts"

    def write_named(self, name: str, peer: str) -> None:
        """Write both files; `peer` is the peer's table but for its networks."""
        networks = f'networks = ["{self.site.network[0]}"]', f'networks = ["{self.other.network[0]}"]'
        self.file.write_text(f'[gateway]\nidentity = "{name}"\n{networks[0]}\n[peers.{PEER}]\n{networks[1]}\n{peer}\n')
        self.write_secrets("".join(f'{one} "{SECRET}"\n' for one in (NAME_A, NAME_B)))
        self.hosts.touch()

    def resolves(self, name: str, address: str) -> None:
        """Let a name have this address from now on, for this office."""
        self.hosts.write_text(f"{address} {name}\n")

    def command(self, *arguments: str) -> list[str]:
        there = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(self.hosts)]
        return [*there, *super().command(*arguments)]


@pytest.fixture
def named(pair: Pair) -> Pair:
    """Give the picture with offices whose addresses may change; B is at its address, A calls from anywhere."""
    a, b = (
        NamedOffice(office.host, office.site, office.other, office.directory.with_suffix(".named"))
        for office in (pair.a, pair.b)
    )
    a.write_named(NAME_A, f'address = "{SITE_B.outside[0]}"\nidentity = "{NAME_B}"')
    b.write_named(NAME_B, f'identity = "{NAME_A}"')
    return Pair(pair.chapter, a, b)


def join_named(pair: Pair) -> None:
    for office in (pair.a, pair.b):
        office.up()
    pair.a.wait_up()


def readdress(office: TestedOffice, address: str, *, away_s: float = 0) -> float:
    """Take the outside address away, which takes the default route along, and give another one; tell when."""
    office.host.ip("address", "flush", "dev", OUTSIDE, "scope", "global")
    time.sleep(away_s)
    office.host.add_address(OUTSIDE, f"{address}/24")
    office.host.add_default_route(office.site.router[0])
    return time.time()


@pytest.mark.parametrize("away_s", [0, pytest.param(20, marks=pytest.mark.slow)])
def test_our_own_address_changes(named: Pair, away_s: int) -> None:
    join_named(named)
    with pinging(named) as pinger:
        since = readdress(named.a, NEW_A, away_s=away_s)
        assert_flows(named, pinger, since)
        time.sleep(5)
        # The old address comes back after the new one, as after a router's renumbering that was none.
        since = readdress(named.a, SITE_A.outside[0])
        assert_flows(named, pinger, since)
    assert named.a.peer_status()["ike"]["local"].startswith(SITE_A.outside[0])


def test_the_peers_address_changes_and_its_name_with_it(named: Pair) -> None:
    """B does not call. A is to ask for B's name again by itself."""
    assert isinstance(named.a, NamedOffice)
    named.a.write_named(NAME_A, f'address = "{NAME_B}"')
    named.a.resolves(NAME_B, SITE_B.outside[0])
    join_named(named)
    with pinging(named) as pinger:
        time.sleep(3)
        readdress(named.b, NEW_B)
        time.sleep(6)
        named.a.resolves(NAME_B, NEW_B)
        assert_flows(named, pinger, time.time())
        time.sleep(5)
        named.a.resolves(NAME_B, SITE_B.outside[0])
        since = readdress(named.b, SITE_B.outside[0])
        assert_flows(named, pinger, since)


def test_a_caller_from_a_new_address_is_known_by_its_name(named: Pair) -> None:
    """A calls B, which knows it by a DNS name alone; A's identity is its address, as it is by default."""
    assert isinstance(named.a, NamedOffice)
    assert isinstance(named.b, NamedOffice)
    secrets = "".join(f'{one} "{SECRET}"\n' for one in (NAME_A, SITE_B.outside[0]))
    named.a.write_named(NAME_A, f'address = "{SITE_B.outside[0]}"')
    named.a.file.write_text(named.a.file.read_text().replace(f'identity = "{NAME_A}"\n', ""))
    named.b.write_named(NAME_B, f'address = "{NAME_A}"\nstart = "passive"')
    named.b.file.write_text(named.b.file.read_text().replace(f'identity = "{NAME_B}"\n', ""))
    for office in (named.a, named.b):
        office.write_secrets(secrets)
    named.b.resolves(NAME_A, SITE_A.outside[0])
    join_named(named)
    with pinging(named) as pinger:
        time.sleep(2)
        named.b.resolves(NAME_A, NEW_A)
        since = readdress(named.a, NEW_A)
        assert_flows(named, pinger, since)


SECOND_A = ("outside2", "203.0.114.1", "203.0.114.254")
"""A's second uplink: interface, address, router."""


def test_the_default_route_moves_to_another_uplink(named: Pair) -> None:
    lab_link(named)
    interface, _, router = SECOND_A
    join_named(named)
    gateway, internet = named.a.host, named.chapter.internet
    with pinging(named) as pinger:
        # The first provider is gone though its cable is in; somebody moves the route a while later.
        internet.ip("link", "set", TO_A, "down")
        time.sleep(4)
        gateway.ip("route", "replace", "default", "via", router, "dev", interface)
        assert_flows(named, pinger, time.time())
        time.sleep(5)
        internet.ip("link", "set", TO_A, "up")
        gateway.ip("route", "replace", "default", "via", SITE_A.router[0], "dev", OUTSIDE)
        internet.ip("link", "set", "to_a2", "down")
        assert_flows(named, pinger, time.time())


def lab_link(pair: Pair) -> None:
    """Give A a second uplink."""
    interface, address, router = SECOND_A
    ends = ["ip", "link", "add", "name", interface, "netns", pair.a.host.namespace, "index", "300", "type", "veth"]
    peer = ["peer", "name", "to_a2", "netns", pair.chapter.internet.namespace, "index", "301"]
    subprocess.run([*ends, *peer], check=True)
    for host, name, own in ((pair.a.host, interface, address), (pair.chapter.internet, "to_a2", router)):
        host.add_address(name, f"{own}/24")
        host.ip("link", "set", name, "up")


@pytest.mark.slow
def test_the_uplink_is_pulled_and_comes_back_without_its_route(named: Pair) -> None:
    join_named(named)
    gateway = named.a.host
    with pinging(named) as pinger:
        gateway.ip("link", "set", OUTSIDE, "down")
        time.sleep(90)
        gateway.ip("link", "set", OUTSIDE, "up")
        time.sleep(3)
        gateway.add_default_route(SITE_A.router[0])
        assert_flows(named, pinger, time.time())
