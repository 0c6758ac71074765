"""Several children and parts of children between Culvert and strongSwan, whoever asks, and their successors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from culvert.lab.chapter import LAN, SITE_A, SITE_B, UPLINK, Site, build_chapter
from culvert.lab.demo.office import Office
from culvert.lab.host import Host
from culvert.lab.lab import Lab
from tests.interop.charon import Charon, with_children

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

SECRET = "the secret of this test, for both of them"
PEER = "warehouse"
OURS, THEIRS = SITE_A.outside[0], SITE_B.outside[0]
SECOND = {
    "A": ("192.168.11.0/24", "192.168.11.1", "192.168.11.20"),
    "B": ("192.168.12.0/24", "192.168.12.1", "192.168.12.34"),
}
A1, A2, B1, B2 = SITE_A.network[0], SECOND["A"][0], SITE_B.network[0], SECOND["B"][0]
HOSTS = {A1: SITE_A.host[0], A2: SECOND["A"][2], B1: SITE_B.host[0], B2: SECOND["B"][2]}
ALL = [(A1, B1), (A1, B2), (A2, B1), (A2, B2)]
ESP = "esp_proposals = aes128gcm16-x25519"


@dataclass
class Joined:
    """Culvert with two networks at A, strongSwan with two at B."""

    office: Office
    charon: Charon
    hosts: tuple[Host, Host]

    def peer(self) -> dict[str, Any]:
        status: dict[str, Any] = self.office.status()["peers"][PEER]
        return status

    def carried(self) -> list[tuple[str, str]]:
        """Give the pairs of networks that our children have."""
        children = self.peer()["children"]
        return sorted((ours, theirs) for one in children for ours in one["local"] for theirs in one["remote"])

    def spis(self) -> set[str]:
        return {child["spi_in"] for child in self.peer()["children"]}

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 25) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come: {self.peer()}\n{self.log()}"
            time.sleep(0.2)

    def culvert(self, *arguments: str) -> str:
        return self.office.run(*arguments)

    def pings(self, pairs: Sequence[tuple[str, str]] = ALL) -> None:
        """Ping from both ends between these networks."""
        for ours, theirs in pairs:
            for host, source, to in ((self.hosts[0], ours, theirs), (self.hosts[1], theirs, ours)):
                command = ["ping", "-n", "-c", "2", "-i", "0.1", "-W", "3", "-I", HOSTS[source], HOSTS[to]]
                done = host.run(command, check=False)
                assert " 2 received" in done.stdout, f"{source} to {to}: {done.stdout}{self.peer()}\n{self.log()}"

    def log(self) -> str:
        ours = self.office.host.run(self.office.command("log", "-n", "100"), check=False).stdout
        return f"--- culvert ---\n{ours}\n--- charon ---\n{self.charon.text()[-4000:]}"


def _second_network(site: Site, host: Host, gateway: Host) -> None:
    _, router, address = SECOND[site.letter]
    host.ip("addr", "add", f"{address}/24", "dev", UPLINK)
    gateway.ip("addr", "add", f"{router}/24", "dev", LAN)


Join = Callable[..., Joined]


@pytest.fixture
def join(tmp_path: Path) -> Iterator[Join]:
    """Make both: strongSwan with `children`, Culvert with `text` below its peer, or two networks at each side."""
    made: list[Joined] = []
    with Lab() as lab:

        def make(children: dict[str, str], text: str = "", start: str = "always", settings: str = "") -> Joined:
            chapter = build_chapter(lab)
            _second_network(SITE_A, chapter.host_a, chapter.gateway_a)
            _second_network(SITE_B, chapter.host_b, chapter.gateway_b)
            office = Office(chapter.gateway_a, SITE_A, SITE_B, PEER, tmp_path / "office")
            written = office.configure(SECRET).replace(f'["{A1}"]', f'["{A1}", "{A2}"]')
            networks = f'networks = ["{B1}"]\n'
            both = networks.replace(f'"{B1}"', f'"{B1}", "{B2}"')
            written = written.replace(networks, "" if "children." in text else both)
            office.file.write_text(f'{written}start = "{start}"\n{text}\n')
            chapter.gateway_b.forward()
            conf = with_children(THEIRS, OURS, SECRET, {name: f"{ESP}\n{one}" for name, one in children.items()})
            daemon = Charon(chapter.gateway_b.namespace, tmp_path / "charon", conf, settings=settings)
            office.ready(office.begin())
            made.append(Joined(office, daemon, (chapter.host_a, chapter.host_b)))
            return made[0]

        yield make
        for one in made:
            one.office.end()
            one.charon.stop()


def pair(ours: str, theirs: str) -> str:
    """Give a child of strongSwan's: its own side is ours seen from there."""
    return f"local_ts = {theirs}\nremote_ts = {ours}"


WHOLE = {"net": pair(f"{A1},{A2}", f"{B1},{B2}")}
ONE_EACH = {f"net{number}": pair(*one) for number, one in enumerate(ALL)}
CHILDREN = f"""[peers.{PEER}.children.first]
local = "{A1}"
remote = "{B1}"
[peers.{PEER}.children.second]
local = "{A2}"
remote = "{B2}"
rekey = "1h"
"""


def test_several_networks_in_one_child(join: Join) -> None:
    joined = join(WHOLE)
    joined.office.connect()
    assert len(joined.peer()["children"]) == 1
    assert joined.carried() == sorted(ALL)
    joined.pings()
    _rekeyed_by_both(joined, ["net"])
    joined.pings()


def test_a_strongswan_that_has_one_pair_in_each_child_gets_a_child_for_each(join: Join) -> None:
    joined = join(ONE_EACH)
    joined.office.connect()
    joined.until(lambda: joined.carried() == sorted(ALL), "every pair")
    assert len(joined.peer()["children"]) == len(ALL)
    assert joined.peer()["reason"] is None
    joined.pings()
    _rekeyed_by_both(joined, list(ONE_EACH))
    joined.pings()
    assert joined.carried() == sorted(ALL)


def test_split_against_a_strongswan_that_would_take_all_at_once(join: Join) -> None:
    """It keeps its whole selectors in mind, and asks for them when it rekeys a part."""
    joined = join(WHOLE, "split = true")
    joined.office.connect()
    joined.until(lambda: joined.carried() == sorted(ALL), "every pair")
    assert len(joined.peer()["children"]) == len(ALL)
    joined.pings()
    _rekeyed_by_both(joined, ["net"])
    assert joined.carried() == sorted(ALL)
    assert len(joined.peer()["children"]) == len(ALL)


@pytest.mark.parametrize("asks", ["culvert", "strongswan"])
def test_several_children_of_their_own(join: Join, asks: str) -> None:
    start = "always" if asks == "culvert" else "passive"
    joined = join({"one": pair(A1, B1), "two": pair(A2, B2)}, CHILDREN, start)
    if asks == "culvert":
        joined.office.connect()
    else:
        joined.charon.initiate("one")
        joined.charon.initiate("two")
    joined.until(lambda: joined.peer()["state"] == "up", "both children")
    assert sorted(child["name"] for child in joined.peer()["children"]) == ["first", "second"]
    assert joined.charon.associations().count("ESTABLISHED") == 1
    joined.pings([(A1, B1), (A2, B2)])
    before = {child["name"]: child["spi_in"] for child in joined.peer()["children"]}
    joined.culvert("rekey", f"{PEER}/second")
    joined.until(lambda: before["second"] not in joined.spis(), "a successor of the second")
    assert before["first"] in joined.spis()
    joined.pings([(A1, B1), (A2, B2)])


@pytest.mark.parametrize("asks", ["culvert", "strongswan"])
def test_what_both_have_in_common(join: Join, asks: str) -> None:
    """strongSwan has half of one network, and a port of another one."""
    half, port = "192.168.2.0/25", f"{B2}[tcp/443]"
    joined = join({"net": pair(A1, f"{half},{port}")}, start="always" if asks == "culvert" else "passive")
    if asks == "culvert":
        joined.office.connect()
    else:
        joined.charon.initiate("net")
    joined.until(lambda: joined.peer()["state"] == "up", "the tunnel")
    (child,) = joined.peer()["children"]
    assert child["local"] == [A1]
    assert sorted(child["remote"]) == [f"{B2}[6/443]", half]
    joined.pings([(A1, B1)])
    status = joined.peer()
    assert status["reason"] == "PARTIAL"
    assert "192.168.11.0/24 <-> 192.168.2.0/24" in status["message"]
    assert ("TS_UNACCEPTABLE" if asks == "culvert" else "the peer asked for no more") in status["message"]


def test_a_strongswan_that_asks_for_more_gets_what_is_configured_here(join: Join) -> None:
    text = f'[peers.{PEER}.children.first]\nlocal = "{A1}"\nremote = "{B1}"\n'
    joined = join({"net": pair("192.168.0.0/16", "192.168.0.0/16")}, text, "passive")
    joined.charon.initiate("net")
    joined.until(lambda: joined.peer()["state"] == "up", "the tunnel")
    assert joined.carried() == [(A1, B1)]
    assert joined.peer()["reason"] is None
    joined.pings([(A1, B1)])


def test_traffic_asks_for_one_pair_and_gets_all(join: Join) -> None:
    """The packet is in front of what is asked for. strongSwan takes its first child all the same, then the others."""
    joined = join(ONE_EACH, start="traffic")
    joined.pings([(A2, B2)])
    joined.until(lambda: joined.carried() == sorted(ALL), "the other pairs")
    joined.pings()


def _rekeyed_by_both(joined: Joined, names: list[str]) -> None:
    """Let each end make successors of all children, and wait for them."""
    before = joined.spis()
    joined.culvert("rekey", f"{PEER}/{PEER}")
    joined.until(lambda: not before & joined.spis() and len(joined.spis()) == len(before), "successors by us")
    before = joined.spis()
    for name in names:
        joined.charon.swanctl("--rekey", "--child", name)
    joined.until(lambda: not before & joined.spis() and len(joined.spis()) == len(before), "successors by strongSwan")
