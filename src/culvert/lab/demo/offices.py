"""The handbook's chapter as a demonstration: two offices, the Internet between them, and somebody who listens.

1  the network is built, and nothing crosses it
2  a gateway is started in each office, from two short files
3  the pings of the chapter, and a file by HTTP
4  what was seen outside is searched for what was sent
5  each gateway is asked to prove it
"""

from __future__ import annotations

import hashlib
import secrets
import time
from ipaddress import ip_network
from pathlib import Path

from culvert.errors import CulvertError, Problem
from culvert.lab.chapter import SITE_A, SITE_B, TO_A, Chapter, build_chapter
from culvert.lab.demo import transfer
from culvert.lab.demo.office import Office
from culvert.lab.demo.story import Story, ping, unreachable
from culvert.lab.demo.witness import Witness
from culvert.lab.lab import Lab

FILE_OCTETS = 4 * 1024 * 1024
MARK_EVERY = 1024
"""The file repeats its mark so often that every packet of it would carry one."""
NETWORKS = (ip_network(SITE_A.network[0]), ip_network(SITE_B.network[0]))


class Offices(Story):
    """Two gateways from two short files; IKE makes the keys."""

    name = "offices"
    carried = "ESP, IKE"
    next_step = (
        "A gateway of your own: sudo make install, write both files as above into /etc/culvert, then `culvert up`."
    )

    def _story(self, lab: Lab, directory: Path) -> None:
        with self._step("build five network namespaces: two offices and the Internet") as note:
            chapter = build_chapter(lab)
            note("the router knows neither private network")
        with self._step(f"ping {SITE_B.host[0]} from {SITE_A.host[0]}, without Culvert") as note:
            note(unreachable(chapter.host_a, SITE_B.host[0]))
        offices = (
            Office(chapter.gateway_a, SITE_A, SITE_B, "warehouse", directory / "office"),
            Office(chapter.gateway_b, SITE_B, SITE_A, "office", directory / "warehouse"),
        )
        with Witness(chapter.internet, TO_A) as witness:
            self._join(offices)
            self._use(chapter)
            self._prove(offices)
            witness.stop()
            self._look_outside(witness, NETWORKS)
        if not self._keep:
            self._end(offices)

    def _join(self, offices: tuple[Office, Office]) -> None:
        secret = secrets.token_urlsafe(24)
        for office in offices:
            text = office.configure(secret)
            if office is offices[0]:
                self._audience.text("gateway.toml of the office", text.splitlines())
                self._audience.text("psk.txt beside it, mode 0600", [f"{SITE_B.outside[0]}    {secret}"])
        with self._step("culvert up, on both gateways") as note:
            started = [(office, office.begin()) for office in offices]
            for office, process in started:
                office.ready(process)
            note("fence, policies and routes stand before IKE begins")
        with self._step("wait for the tunnel") as note:
            for office in offices:
                office.connect()
            note(_suite(offices[0]))

    def _use(self, chapter: Chapter) -> None:
        pings = (
            (chapter.host_a, SITE_A.host[0], SITE_B.host[0]),
            (chapter.gateway_a, SITE_A.gateway[0], SITE_B.gateway[0]),
        )
        for host, source, destination in pings:
            with self._step(f"ping {destination} from {source}") as note:
                note(ping(host, destination, self._pattern))
        content = _marked_file(self._mark)
        with self._step(f"fetch a file of {FILE_OCTETS >> 20} MiB from {SITE_B.host[0]} by HTTP") as note:
            note(self._fetch(chapter, content))

    def _fetch(self, chapter: Chapter, content: bytes) -> str:
        with transfer.served(chapter.host_b, SITE_B.host[0], content):
            began = time.monotonic()
            received = transfer.fetch(chapter.host_a, SITE_B.host[0])
            took = time.monotonic() - began
        sent, got = hashlib.sha256(content).hexdigest(), hashlib.sha256(received).hexdigest()
        if sent != got:
            raise CulvertError(Problem(f"the file arrived with SHA-256 {got[:16]}..., not {sent[:16]}..."))
        return f"SHA-256 {got[:16]}... as sent, {len(content) * 8 / took / 1e6:.0f} Mbit/s"

    def _prove(self, offices: tuple[Office, Office]) -> None:
        for office in offices:
            with self._step(f"culvert prove, on {office.site.outside[0]}") as note:
                verdict = office.prove()
                self.outcome.verdicts[office.site.outside[0]] = verdict
                if verdict.get("ok") is not True:
                    raise CulvertError(Problem(f"not proven: {verdict}"))
                note("proven")

    def _end(self, offices: tuple[Office, Office]) -> None:
        with self._step("culvert down, on both gateways") as note:
            for office in offices:
                office.end()
            note("everything is taken away again")


def _marked_file(mark: bytes) -> bytes:
    filler = MARK_EVERY - len(mark)
    return b"".join(mark + secrets.token_bytes(filler) for _ in range(FILE_OCTETS // MARK_EVERY))


def _suite(office: Office) -> str:
    peer = office.status()["peers"][office.peer]
    child = peer["children"][0]
    return f"IKEv2 {peer['ike']['suite']}; ESP {child['cipher']} in {child['encapsulation']}"
