"""One gateway with several peers: two behind the same NAT, known by their identities alone, and one at an address.

host1 --- branch1 (10.9.1.2) ---+
                                NAT (198.51.100.254) --- hub (198.51.100.1) --- host
host2 --- branch2 (10.9.2.2) ---+        |
host3 --- branch3 (203.0.113.1) ---------+   not translated
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from culvert.lab.chapter import SITE_B, Site
from culvert.lab.host import Host
from culvert.lab.lab import Lab
from tests.netns.offices import PEER, TestedOffice

pytestmark = [pytest.mark.root, pytest.mark.slow]

HUB, ROUTER = SITE_B.outside[0], SITE_B.router[0]
NUMBERS = (1, 2, 3)
BEHIND_NAT = (1, 2)
OUTSIDE = {1: ("10.9.1.2", "10.9.1.1"), 2: ("10.9.2.2", "10.9.2.1"), 3: ("203.0.113.1", "203.0.113.254")}
"""Each branch's outer address, and the router's there."""


def secret(number: int) -> str:
    return f"the secret of branch {number} and of nobody else"


def site(number: int) -> Site:
    lan, outer = f"192.168.1{number}", OUTSIDE[number]
    hosts = [(f"{lan}.0/24", ""), (f"{lan}.20", ""), (f"{lan}.1", ""), (outer[0], ""), (outer[1], "")]
    return Site(str(number), *hosts)


@dataclass
class Star:
    """The hub with its branches."""

    hub: TestedOffice
    inside: Host
    router: Host
    branches: dict[int, TestedOffice]
    hosts: dict[int, Host]

    def peer(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.hub.document()["peers"][f"branch{number}"]
        return found

    def spis(self, number: int) -> set[str]:
        return {child["spi_in"] for child in self.peer(number)["children"]}

    def begin(self) -> None:
        for office in (self.hub, *self.branches.values()):
            office.up()
        for number in self.branches:
            self.wait_up(number)

    def wait_up(self, number: int) -> None:
        self.branches[number].wait_up()
        self.hub.until(lambda: self.peer(number)["state"] == "up", f"branch {number}")

    def pings(self, *numbers: int) -> None:
        """Ping from both ends."""
        for number in numbers or self.branches:
            for host, to in ((self.hosts[number], SITE_B.host[0]), (self.inside, site(number).host[0])):
                assert self.ping(host, to) == 2, f"branch {number}: {self.hub.log()}"

    def ping(self, host: Host, to: str) -> int:
        done = host.run(["ping", "-n", "-c", "2", "-i", "0.05", "-W", "1", to], check=False)
        return done.stdout.count("bytes from")


def _attach(lab: Lab, router: Host, number: int, directory: Path) -> tuple[TestedOffice, Host]:
    here = site(number)
    host, gateway = lab.host(f"host{number}"), lab.host(f"branch{number}")
    lab.link((host, "eth0", (f"{here.host[0]}/24",)), (gateway, "lan", (f"{here.gateway[0]}/24",)))
    lab.link((gateway, "outside", (f"{here.outside[0]}/24",)), (router, f"to{number}", (f"{here.router[0]}/24",)))
    host.add_default_route(here.gateway[0])
    gateway.add_default_route(here.router[0])
    return TestedOffice(gateway, here, SITE_B, directory / f"branch{number}"), host


def _hub_file(hub: TestedOffice) -> None:
    """Those behind the NAT have no address here, and the third has no identity but its address."""
    text = f'[gateway]\naddress = "{HUB}"\nnetworks = ["{SITE_B.network[0]}"]\n'
    for number in NUMBERS:
        known = (
            f'identity = "branch{number}.example.org"'
            if number in BEHIND_NAT
            else f'address = "{OUTSIDE[number][0]}"\nstart = "passive"'
        )
        text += f'[peers.branch{number}]\n{known}\nnetworks = ["{site(number).network[0]}"]\n'
    hub.file.write_text(text)
    hub.write_secrets("".join(f'branch{number} "{secret(number)}"\n' for number in NUMBERS))


@pytest.fixture(scope="module")
def star(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Star]:
    """One for all tests here: each leaves it as it was."""
    tmp_path = tmp_path_factory.mktemp("star")
    with Lab(f"s{os.getpid()}") as lab:
        router, gateway, inside = lab.host("router"), lab.host("hub"), lab.host("inside")
        lab.link((inside, "eth0", (f"{SITE_B.host[0]}/24",)), (gateway, "lan", (f"{SITE_B.gateway[0]}/24",)))
        lab.link((gateway, "outside", (f"{HUB}/24",)), (router, "to_hub", (f"{ROUTER}/24",)))
        inside.add_default_route(SITE_B.gateway[0])
        gateway.add_default_route(ROUTER)
        router.forward()
        router.run(
            [
                "nft",
                "table ip nat { chain postrouting { type nat hook postrouting priority srcnat; "
                "oifname to_hub ip saddr 10.9.0.0/16 masquerade; }; }",
            ]
        )
        attached = {number: _attach(lab, router, number, tmp_path) for number in NUMBERS}
        hub = TestedOffice(gateway, SITE_B, site(3), tmp_path / "hub")
        star = Star(
            hub, inside, router, {n: one[0] for n, one in attached.items()}, {n: one[1] for n, one in attached.items()}
        )
        _hub_file(hub)
        for number, office in star.branches.items():
            named = f'local_identity = "branch{number}.example.org"' if number in BEHIND_NAT else ""
            office.write(secret=secret(number), peer=named)
        star.begin()
        yield star


def test_two_behind_one_nat_and_a_third_carry_their_own_traffic(star: Star) -> None:
    star.pings()
    assert [star.peer(number)["address"] for number in NUMBERS] == [ROUTER, ROUTER, OUTSIDE[3][0]]
    assert all(star.peer(number)["nat"] for number in BEHIND_NAT)
    for number in NUMBERS:
        (child,) = star.peer(number)["children"]
        assert child["remote"] == [site(number).network[0]]
        assert child["packets_in"] >= 4
        assert child["packets_out"] >= 4


def test_each_gets_new_keys_without_the_others(star: Star) -> None:
    """Whichever end begins, of children and of the IKE SA."""
    for number in NUMBERS:
        others = {other: star.spis(other) for other in NUMBERS if other != number}
        for office, peer in ((star.hub, f"branch{number}"), (star.branches[number], PEER)):
            for more in ((), ("--ike",)):
                before, ike = star.spis(number), star.peer(number)["ike"]["spi_i"]
                office.culvert("rekey", peer, *more)
                star.hub.until(
                    lambda n=number, b=before, i=ike: (
                        (star.peer(n)["ike"] or {}).get("spi_i") != i or star.spis(n) != b
                    ),
                    "new keys",
                )
        star.hub.until(lambda n=number: len(star.spis(n)) == 1, "one child")
        star.pings(number)
        assert others == {other: star.spis(other) for other in others}


def test_one_that_dies_takes_nobody_with_it(star: Star) -> None:
    """Its neighbour behind the NAT goes on, and it comes back with another mapping while the hub has its old one."""
    spis = star.spis(2)
    _kill(star.branches[1])
    star.pings(2, 3)
    star.branches[1].up()
    star.wait_up(1)
    star.pings()
    assert star.spis(2) == spis


def test_the_hub_comes_back_and_all_of_them_call_it(star: Star) -> None:
    """It calls nobody: two have no address, and the third is passive."""
    star.pings()
    _kill(star.hub)
    star.hub.up()
    for number, host in star.hosts.items():  # packets show them that it has lost everything
        star.hub.until(lambda host=host: star.ping(host, SITE_B.host[0]) == 2, f"branch {number}", 10)
    star.pings()


def test_the_secret_of_one_does_not_let_the_other_in(star: Star) -> None:
    """Behind one NAT the address tells nothing: the identity chooses the secret."""
    branch = star.branches[2]
    _with_secret(branch, secret(1))
    branch.until(lambda: branch.peer_status()["reason"] == "AUTHENTICATION_FAILED", "the refusal")
    star.pings(1, 3)
    assert star.peer(2)["state"] != "up"
    _with_secret(branch, secret(2))
    star.wait_up(2)


def _with_secret(branch: TestedOffice, secret: str) -> None:
    branch.down()
    branch.write(secret=secret, peer='local_identity = "branch2.example.org"')
    branch.up()


def _kill(office: TestedOffice) -> None:
    """Do what a restart of its machine does."""
    for pid in office.pids():
        handle = os.pidfd_open(pid)
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
