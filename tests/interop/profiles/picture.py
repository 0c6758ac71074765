"""The picture of the chapter with the guide's gateway at A and somebody else's, one or two of them, at B.

                              +--- 198.51.100.1  first  ---+
    hostA --- culvert --- internet                         +--- hostB
                              +--- 192.0.2.1     second ---+

Host B sends through the first; `turn_back_through` is what the others do inside when they move to the second.
"""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from culvert.lab.chapter import LAN, SITE_A, SITE_B, UPLINK, Chapter, build_chapter
from culvert.lab.host import Host
from culvert.lab.lab import Lab
from tests.interop.charon import Charon
from tests.interop.profiles.guides import Guide
from tests.interop.profiles.vendors import Vendor
from tests.netns.offices import TestedOffice

OURS = SITE_A.outside[0]
FIRST, SECOND = SITE_B.outside[0], "192.0.2.1"
SECOND_NETWORK = ("192.168.12.0/24", "192.168.12.1", "192.168.12.34")
"""Another network at B: itself, the gateway there, host B."""
_SECOND_ROUTER = "192.0.2.254"
_SECOND_LAN = ("192.168.2.2", "192.168.2.35")
"""The second gateway's address on B's network, and host B's on the cable to it."""


@dataclass
class Joined:
    """Everybody who takes part. `peer` is what the guide calls the other gateway."""

    chapter: Chapter
    office: TestedOffice
    guide: Guide
    vendor: Vendor
    peer: str
    directory: Path
    file: str = "gateway.toml"
    seen_at: str = OURS
    second: Host | None = None
    charons: dict[str, Charon] = field(default_factory=dict)

    # What begins

    def begin_other(self, *addresses: str) -> None:
        """Start the other gateways at these addresses, each with the secret that psk.txt has for it.

        They know ours by the address at which they see it.
        """
        for address in addresses or (FIRST,):
            host = self.chapter.gateway_b if address == FIRST else self.second
            assert host is not None
            host.forward()
            secret = self.guide.secrets.get(address) or self.guide.secrets[self.peer]
            text = self.vendor.connections({"culvert": (address, self.seen_at, secret)})
            self.charons[address] = Charon(host.namespace, self.directory / address, text)

    def begin(self, more: str = "") -> None:
        """Start ours with the guide's files as they stand; `more` is written into the peer's table."""
        table, text = f"[peers.{self.peer}]\n", self.guide.files[self.file]
        assert table in text, f"{table} is not in {self.guide.name}.md"
        self.office.file.write_text(text.replace(table, f"{table}{more}"))
        self.office.write_secrets(self.guide.files["psk.txt"])
        self.office.up()

    def begin_behind_nat(self) -> None:
        """Start ours without an address of its own and with the identity that the other end expects."""
        text = self.guide.files[self.file]
        own = re.search(r"^address .*\n", text, re.MULTILINE)
        assert own is not None
        self.office.file.write_text(text.replace(own[0], f'identity = "{self.seen_at}"\n', 1))
        self.office.write_secrets(self.guide.files["psk.txt"])
        self.office.up()

    def begin_passive(self) -> None:
        """Start ours so that it waits to be called."""
        self.begin('start = "passive"\n')

    def wait_up(self) -> None:
        done = self.office.culvert("connect", self.peer, "--timeout", "25s", code=None)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.log()}"

    # What is there

    @property
    def charon(self) -> Charon:
        return self.charons[FIRST]

    def status(self) -> dict:
        return self.office.document()["peers"][self.peer]

    def spis(self) -> set[str]:
        return {child["spi_in"] for child in self.status()["children"]}

    def spi_of_ike(self) -> str:
        ike = self.status()["ike"]
        return str(ike["spi_i"]) if ike else ""

    def spis_of_ike(self) -> set[str]:
        return {spi for spi in (self.spi_of_ike(),) if spi}

    def carried(self) -> list[tuple[str, str]]:
        """Give the pairs of networks that our children have."""
        children = self.status()["children"]
        return sorted((ours, theirs) for one in children for ours in one["local"] for theirs in one["remote"])

    def until(self, condition, what: str, seconds: float = 25) -> None:
        try:
            self.office.until(condition, what, seconds)
        except AssertionError:
            raise AssertionError(f"{what} did not come: {self.status()}\n{self.log()}") from None

    def log(self) -> str:
        theirs = "\n".join(f"--- {address} ---\n{one.text()[-5000:]}" for address, one in self.charons.items())
        return f"--- culvert ---\n{self.office.log()[-5000:]}\n{theirs}"

    # What is done

    def pings(self, count: int = 2) -> None:
        """Ping from both ends, and between all networks that are joined."""
        host_a, host_b = self.chapter.host_a, self.chapter.host_b
        ends = [SITE_B.host[0], SECOND_NETWORK[2]][: len(self.status()["children"])]
        for host, source, to in [(host_a, SITE_A.host[0], end) for end in ends] + [
            (host_b, end, SITE_A.host[0]) for end in ends
        ]:
            command = ["ping", "-n", "-c", str(count), "-i", "0.1", "-W", "3", "-I", source, to]
            done = host.run(command, check=False)
            assert f" {count} received" in done.stdout, f"{done.stdout}{self.status()}\n{self.log()}"

    def rekeyed_by_both(self, child: str) -> None:
        """Let each end make the children and the IKE SA anew, while a ping goes on that loses nothing."""
        theirs = [lambda name=name: self.charon.swanctl("--rekey", "--child", name) for name in self.vendor.children]
        with self.pinging() as lost:
            self._renewed(self.spis, [lambda: self.office.culvert("rekey", f"{self.peer}/{child}")])
            self._renewed(self.spis, theirs)
            self._renewed(self.spis_of_ike, [lambda: self.office.culvert("rekey", self.peer, "--ike")])
            self._renewed(self.spis_of_ike, [lambda: self.charon.swanctl("--rekey", "--ike", "culvert")])
        assert lost() <= 1, self.log()  # one may be on its way when ping ends
        self.until(lambda: self.charon.associations().count("ESTABLISHED") == 1, "one IKE SA there")

    def called_by_us(self, child: str, carried: Sequence[tuple[str, str]]) -> None:
        """We call: every pair of networks comes to stand, and all of it is rekeyed."""
        self.begin_other()
        self.begin()
        self.until(lambda: self.carried() == sorted(carried), "every pair")
        assert len(self.status()["children"]) == len(carried)
        self._stands(child, carried)

    def called_by_them(self, child: str, carried: Sequence[tuple[str, str]]) -> None:
        """The same where they ask for each of their children."""
        self.begin_passive()
        self.begin_other()
        for name in self.vendor.children:
            self.charon.initiate(name)
        self._stands(child, carried)

    def _stands(self, child: str, carried: Sequence[tuple[str, str]]) -> None:
        self.wait_up()
        self.until(lambda: self.carried() == sorted(carried), "every pair")
        self.pings()
        self.rekeyed_by_both(child)
        self.pings()

    def _renewed(self, spis: Callable[[], set[str]], begin: Sequence[Callable[[], object]]) -> None:
        """Do this, and wait until none of the former is left."""
        before = spis()
        for one in begin:
            one()
        self.until(lambda: len(spis()) == len(before) and not spis() & before, "new ones")

    @contextlib.contextmanager
    def pinging(self):
        command = ["ping", "-n", "-i", "0.05", "-W", "3", SITE_B.host[0]]
        process = self.chapter.host_a.start(command, stdout=subprocess.PIPE, text=True)
        report = ""

        def lost() -> int:
            found = re.search(r"(\d+) packets transmitted, (\d+) received", report)
            assert found, report
            return int(found[1]) - int(found[2])

        try:
            yield lost
        finally:
            process.send_signal(signal.SIGINT)
            report, _ = process.communicate(timeout=10)

    def turn_back_through(self, address: str) -> None:
        router = SITE_B.gateway[0] if address == FIRST else _SECOND_LAN[0]
        self.chapter.host_b.ip("route", "replace", "default", "via", router)

    def end(self) -> None:
        self.office.culvert("down", code=None)
        for charon in self.charons.values():
            charon.stop()


@contextlib.contextmanager
def joined(
    directory: Path,
    guide: Guide,
    vendor: Vendor,
    peer: str,
    *,
    file: str = "gateway.toml",
    second: bool = False,
    nat: bool = False,
) -> Iterator[Joined]:
    """Build the picture; nothing runs yet. With `nat` our address is hidden behind the router's."""
    with Lab() as lab:
        chapter = build_chapter(lab, nat=nat)
        _second_network(chapter)
        found = Joined(
            chapter,
            TestedOffice(chapter.gateway_a, SITE_A, SITE_B, directory / "office"),
            guide,
            vendor,
            peer,
            directory,
            file,
            SITE_B.router[0] if nat else OURS,
            _second_gateway(lab, chapter) if second else None,
        )
        try:
            yield found
        finally:
            found.end()


def _second_network(chapter: Chapter) -> None:
    _, router, host = SECOND_NETWORK
    chapter.gateway_b.add_address(LAN, f"{router}/24")
    chapter.host_b.add_address(UPLINK, f"{host}/24")


def _second_gateway(lab: Lab, chapter: Chapter) -> Host:
    host = lab.host("gatewayB2")
    lab.link((chapter.internet, "to_b2", (f"{_SECOND_ROUTER}/24",)), (host, "outside", (f"{SECOND}/24",)))
    lab.link((host, "lan", (f"{_SECOND_LAN[0]}/24",)), (chapter.host_b, "eth1", (f"{_SECOND_LAN[1]}/32",)))
    chapter.host_b.ip("route", "add", _SECOND_LAN[0], "dev", "eth1")
    host.ip("route", "add", SITE_B.host[0], "dev", "lan")
    host.add_default_route(_SECOND_ROUTER)
    return host
