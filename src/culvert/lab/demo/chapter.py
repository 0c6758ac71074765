"""The handbook's chapter step by step and by hand: a gif link, routes, and policies with keys of one's own.

1  a virtual link between the gateways, which everybody outside can read
2  setkey gives it keys and the chapter's four policies; nobody outside can read it any more
"""

from __future__ import annotations

import os
import secrets
from ipaddress import ip_network
from pathlib import Path

from culvert.capture.summary import summarise
from culvert.errors import CulvertError, Problem
from culvert.lab.chapter import SITE_A, SITE_B, TO_A, Chapter, Site, build_chapter
from culvert.lab.demo.office import Office
from culvert.lab.demo.story import Story, ping, unreachable
from culvert.lab.demo.witness import Witness
from culvert.lab.lab import Lab

NETWORKS = (ip_network(SITE_A.network[0]), ip_network(SITE_B.network[0]))
SHOWN_LINES = 6
SPI_TO_B, SPI_TO_A = "0x10001", "0x10002"
POLICIES = """\
spdadd {ours}/32 {theirs}/32 ipencap -P out ipsec
  esp/tunnel/{ours}-{theirs}/require;
spdadd {theirs}/32 {ours}/32 ipencap -P in ipsec
  esp/tunnel/{theirs}-{ours}/require;
"""


class ChapterByHand(Story):
    """Step 1 and step 2 of the chapter, with keys written by hand in place of racoon."""

    name = "chapter"
    proves = False
    carried = "gif, ESP"
    next_step = (
        "A gateway of your own: sudo make install, write [gateway] with its address into /etc/culvert/gateway.toml, "
        "`culvert up -d`, then the commands as above."
    )

    def _story(self, lab: Lab, directory: Path) -> None:
        with self._step("build five network namespaces: two offices and the Internet") as note:
            chapter = build_chapter(lab)
            note("the router knows neither private network")
        with self._step(f"ping {SITE_B.gateway[0]} from {SITE_A.gateway[0]}, without Culvert") as note:
            note(unreachable(chapter.gateway_a, SITE_B.gateway[0]))
        offices = (
            Office(chapter.gateway_a, SITE_A, SITE_B, "", directory / "office"),
            Office(chapter.gateway_b, SITE_B, SITE_A, "", directory / "warehouse"),
        )
        self._begin(offices)
        self._step_1(chapter, offices)
        self._step_2(chapter, offices, directory)
        if not self._keep:
            self._end(offices)

    def _begin(self, offices: tuple[Office, Office]) -> None:
        with self._step("culvert up, on both gateways, without any peer") as note:
            for office in offices:
                office.configure_alone()
            started = [(office, office.begin()) for office in offices]
            for office, process in started:
                office.ready(process)
            note("an IPsec stack, waiting for setkey")

    def _step_1(self, chapter: Chapter, offices: tuple[Office, Office]) -> None:
        for office in offices:
            commands = _link_commands(office.site, office.other)
            if office is offices[0]:
                self._audience.text("Step 1, on the office's gateway", [" ".join(words) for words in commands])
            with self._step(f"make the virtual link, on {office.site.outside[0]}"):
                for words in commands:
                    office.run(*words)
        self._audience.text("culvert ifconfig gif0", offices[0].run("ifconfig", "gif0").splitlines())
        with Witness(chapter.internet, TO_A) as witness:
            with self._step(f"ping {SITE_B.gateway[0]} from {SITE_A.gateway[0]}, through the link") as note:
                note(ping(chapter.gateway_a, SITE_B.gateway[0], self._pattern))
            witness.stop()
        with self._step("read it outside, on its way") as note:
            readable = [packet for packet in witness.packets if self._pattern in packet.octets]
            if not readable:
                raise CulvertError(Problem("the pings crossed without being seen"))
            note(f"{len(readable)} packets with the pings' payload: a network, and not private yet")
        lines = [summarise(packet) for packet in readable[:SHOWN_LINES]]
        self._audience.text("what somebody on the Internet sees", lines)

    def _step_2(self, chapter: Chapter, offices: tuple[Office, Office], directory: Path) -> None:
        keys = _associations()
        for office in offices:
            file = directory / f"{office.site.letter}-ipsec.conf"
            text = keys + POLICIES.format(ours=office.site.outside[0], theirs=office.other.outside[0])
            _write_secret(file, text)
            if office is offices[0]:
                self._audience.text("Step 2: ipsec.conf of the office", text.splitlines())
            with self._step(f"culvert setkey -f ipsec.conf, on {office.site.outside[0]}"):
                office.run("setkey", "-f", str(file))
        with Witness(chapter.internet, TO_A) as witness:
            self._use(chapter)
            witness.stop()
        self._audience.text("culvert setkey -DP", offices[0].run("setkey", "-DP").splitlines())
        self._look_outside(witness, NETWORKS)

    def _use(self, chapter: Chapter) -> None:
        pings = (
            (chapter.gateway_a, SITE_A.gateway[0], SITE_B.gateway[0]),
            (chapter.host_a, SITE_A.host[0], SITE_B.host[0]),
            (chapter.host_b, SITE_B.host[0], SITE_A.host[0]),
        )
        for host, source, destination in pings:
            with self._step(f"ping {destination} from {source}") as note:
                note(ping(host, destination, self._pattern))

    def _end(self, offices: tuple[Office, Office]) -> None:
        with self._step("culvert down, on both gateways") as note:
            for office in offices:
                office.end()
            note("everything is taken away again")


def _link_commands(ours: Site, theirs: Site) -> list[tuple[str, ...]]:
    """Give the chapter's commands, as culvert takes them."""
    inner = ("inet", ours.gateway[0], theirs.gateway[0], "netmask", "0xffffffff")
    network = str(ip_network(theirs.network[0]).network_address)
    return [
        ("ifconfig", "gif0", ours.outside[0], theirs.outside[0]),
        ("ifconfig", "gif0", *inner),
        ("route", "add", network, theirs.gateway[0], "netmask", "0xffffff00"),
    ]


def _associations() -> str:
    """Give two associations with fresh keys, one for each direction; both gateways get the same lines."""
    lines = []
    for source, destination, spi in (
        (SITE_A.outside[0], SITE_B.outside[0], SPI_TO_B),
        (SITE_B.outside[0], SITE_A.outside[0], SPI_TO_A),
    ):
        lines.append(f"add {source} {destination} esp {spi}")
        lines.append(f"  -E aes-cbc 0x{secrets.token_hex(16)}")
        lines.append(f"  -A hmac-sha2-256 0x{secrets.token_hex(32)};")
    return "\n".join(lines) + "\n"


def _write_secret(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
