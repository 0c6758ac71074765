"""Culvert in one office, strongSwan with its user-space IPsec plugin in the other."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B, TO_A, Chapter, build_chapter
from culvert.lab.demo import transfer
from culvert.lab.demo.office import Office
from culvert.lab.demo.witness import Witness, judge
from culvert.lab.lab import Lab
from tests.interop.charon import Charon, connection

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

SECRET = "the secret of this test, for both of them"
PEER = "warehouse"
NETWORKS = (ip_network(SITE_A.network[0]), ip_network(SITE_B.network[0]))
PATTERN = bytes.fromhex("5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0")


@dataclass
class Joined:
    """The chapter's picture with Culvert at A and strongSwan at B."""

    chapter: Chapter
    office: Office
    charon: Charon

    def ping(self, count: int = 3) -> str:
        command = ["ping", "-n", "-c", str(count), "-i", "0.1", "-W", "3", "-p", PATTERN.hex()]
        there = self.chapter.host_a.run([*command, SITE_B.host[0]], check=False)
        back = self.chapter.host_b.run([*command, SITE_A.host[0]], check=False)
        for done in (there, back):
            assert f" {count} received" in done.stdout, f"{done.stdout}\n{self.office.status()}\n{self.log()}"
        return str(there.stdout)

    def log(self) -> str:
        log = self.office.run_dir / "culvert.log"
        ours = log.read_text()[-4000:] if log.exists() else ""
        return f"--- culvert ---\n{ours}\n--- charon ---\n{self.charon.text()[-4000:]}"

    def peer(self) -> dict:
        return self.office.status()["peers"][PEER]

    def spi_of_child(self) -> str:
        children = self.peer()["children"]
        assert len(children) == 1, children
        return children[0]["spi_in"]

    def spi_of_ike(self) -> str:
        return self.peer()["ike"]["spi_i"]

    def until(self, condition, what: str, seconds: float = 15) -> None:
        """Wait for a state; `status --watch` wakes us at every change of it."""
        command = self.office.command("status", "--json", "--watch")
        deadline = time.monotonic() + seconds
        with self.office.host.start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as watch:
            while not condition():
                left = deadline - time.monotonic()
                if left < 0:
                    watch.kill()
                    raise AssertionError(f"{what} did not come\n{self.log()}")
                if select.select([watch.stdout], [], [], min(left, 1.0))[0]:
                    watch.stdout.read1(65536)
            watch.kill()


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def join(lab: Lab, tmp_path: Path, *, initiator: str, extra: str = "", settings: str = "", **charon: str) -> Joined:
    chapter = build_chapter(lab)
    office = Office(chapter.gateway_a, SITE_A, SITE_B, PEER, tmp_path / "office")
    text = office.configure(SECRET)
    start = "always" if initiator == "culvert" else "passive"
    office.file.write_text(f'{text}start = "{start}"\n{extra}\n')
    chapter.gateway_b.forward()
    daemon = Charon(
        chapter.gateway_b.namespace,
        tmp_path / "charon",
        connection(SITE_B.outside[0], SITE_A.outside[0], SITE_B.network[0], SITE_A.network[0], SECRET, **charon),
        settings=settings,
    )
    office.ready(office.begin())
    joined = Joined(chapter, office, daemon)
    try:
        if initiator == "culvert":
            office.connect()
        else:
            daemon.initiate("net")
            office.connect()
    except AssertionError:
        print(joined.log())
        raise
    return joined


@pytest.fixture(params=["culvert", "strongswan"])
def joined(request: pytest.FixtureRequest, lab: Lab, tmp_path: Path) -> Iterator[Joined]:
    joined = join(lab, tmp_path, initiator=request.param)
    yield joined
    joined.office.end()
    joined.charon.stop()


def test_ping_and_tcp_cross_and_nothing_is_readable_outside(joined: Joined) -> None:
    content = b"culvert and strongSwan " * 40_000
    with Witness(joined.chapter.internet, TO_A) as witness:
        joined.ping()
        with transfer.served(joined.chapter.host_b, SITE_B.host[0], content):
            assert transfer.fetch(joined.chapter.host_a, SITE_B.host[0]) == content
        with transfer.served(joined.chapter.host_a, SITE_A.host[0], content):
            assert transfer.fetch(joined.chapter.host_b, SITE_A.host[0]) == content
        witness.stop()
    outside = judge(witness.packets, [PATTERN, b"culvert and strongSwan"], NETWORKS, witness.lost)
    assert outside.ok, outside


def test_rekeys_begun_by_either_side_lose_nothing(joined: Joined) -> None:
    pinging = joined.chapter.host_a.start(
        ["ping", "-n", "-i", "0.05", "-W", "3", SITE_B.host[0]], stdout=subprocess.PIPE, text=True
    )
    for begin in (
        lambda: joined.office.host.run(joined.office.command("rekey", f"{PEER}/{PEER}")),
        lambda: joined.charon.swanctl("--rekey", "--child", "net"),
    ):
        before = joined.spi_of_child()
        begin()
        joined.until(lambda before=before: joined.spi_of_child() != before, "a new child SA")
        joined.ping(1)
    for begin in (
        lambda: joined.office.host.run(joined.office.command("rekey", PEER, "--ike")),
        lambda: joined.charon.swanctl("--rekey", "--ike", "culvert"),
    ):
        before = joined.spi_of_ike()
        begin()
        joined.until(lambda before=before: joined.spi_of_ike() != before, "a new IKE SA")
        joined.ping(1)
    pinging.send_signal(2)
    report, _ = pinging.communicate(timeout=10)
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", report).groups())
    assert sent - received <= 1, f"{report[-300:]}\n{joined.log()}"  # one may be on its way when ping ends
    assert joined.charon.associations().count("ESTABLISHED") == 1


@pytest.mark.parametrize(
    ("ike", "esp"),
    [
        ("aes256gcm16-prfsha256-ecp256", "aes256gcm16"),
        ("aes128-sha256-modp2048", "aes128-sha256-modp2048"),
        ("chacha20poly1305-prfsha256-x25519", "chacha20poly1305-ecp384"),
        ("aes256-sha384-ecp384", "aes256-sha256-x25519"),
        ("aes256-sha512-modp4096", "aes128gcm16-modp3072"),
    ],
    ids=lambda value: value,
)
def test_algorithms(lab: Lab, tmp_path: Path, ike: str, esp: str) -> None:
    with_algorithms(lab, tmp_path, ike=ike, esp=esp)


@pytest.mark.parametrize(
    "esp",
    [
        "aes128gcm8",
        "aes256gcm12",
        "aes128ccm16",
        "aes256ccm8-x25519",
        "aes192ctr-sha384",
        "camellia256-aesxcbc",
        "null-aescmac",
        "aes128-sha1",
        "3des-md5",
    ],
)
def test_algorithms_that_have_to_be_asked_for(lab: Lab, tmp_path: Path, esp: str) -> None:
    """Its plugin has neither GMAC nor SHA-256 cut to 96 bits."""
    extra = f'legacy = true\nesp_proposals = "{esp}"'
    with_algorithms(lab, tmp_path, ike="aes128gcm16-prfsha256-x25519", esp=esp, extra=extra)


def with_algorithms(lab: Lab, tmp_path: Path, *, ike: str, esp: str, extra: str = "") -> None:
    joined = join(lab, tmp_path, initiator="culvert", extra=extra, ike=ike, esp=esp)
    joined.ping()
    before = joined.spi_of_child()
    joined.office.host.run(joined.office.command("rekey", f"{PEER}/{PEER}"))
    joined.until(lambda: joined.spi_of_child() != before, "a new child SA")
    joined.ping()
    joined.office.end()
    joined.charon.stop()


def test_strongswan_sees_our_delete(lab: Lab, tmp_path: Path) -> None:
    joined = join(lab, tmp_path, initiator="culvert")
    joined.office.host.run(joined.office.command("disconnect", PEER))
    joined.until(lambda: joined.peer()["state"] == "down", "the end of the tunnel")
    assert "ESTABLISHED" not in joined.charon.associations()
    assert joined.peer()["reason"] == "DISCONNECTED"
    joined.charon.stop()
    joined.office.end()


def test_we_see_strongswans_delete_and_come_back(lab: Lab, tmp_path: Path) -> None:
    joined = join(lab, tmp_path, initiator="culvert")
    before = joined.spi_of_ike()
    joined.charon.swanctl("--terminate", "--ike", "culvert", "--timeout", "10")
    joined.until(lambda: (joined.peer()["ike"] or {}).get("spi_i", before) != before, "a new tunnel")
    joined.office.connect()
    joined.ping()
    joined.charon.stop()
    joined.office.end()


def test_a_daemon_that_takes_over_loses_nothing_and_goes_on_with_the_ike_sa(lab: Lab, tmp_path: Path) -> None:
    joined = join(lab, tmp_path, initiator="culvert", dpd="2s")
    before = joined.spi_of_ike()
    pinging = joined.chapter.host_a.start(
        ["ping", "-n", "-i", "0.05", "-W", "3", SITE_B.host[0]], stdout=subprocess.PIPE, text=True
    )
    kill(int((joined.office.run_dir / "culvert.pid").read_text()))
    joined.office.ready(joined.office.begin())
    joined.office.connect()
    assert joined.spi_of_ike() == before
    assert joined.charon.associations().count("ESTABLISHED") == 1
    joined.charon.swanctl("--rekey", "--child", "net")
    joined.charon.swanctl("--rekey", "--ike", "culvert")
    joined.until(lambda: joined.spi_of_ike() != before, "the successor of the IKE SA")
    joined.ping()
    pinging.send_signal(2)
    report, _ = pinging.communicate(timeout=10)
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", report).groups())
    assert sent - received <= 1, f"{report[-300:]}\n{joined.log()}"
    assert joined.peer()["state"] == "up"
    joined.charon.stop()
    joined.office.end()


def kill(pid: int) -> None:
    """Kill a process of ours and return when it is gone."""
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [])
    finally:
        os.close(descriptor)


def test_a_wrong_secret_is_said_without_its_part(lab: Lab, tmp_path: Path) -> None:
    chapter = build_chapter(lab)
    office = Office(chapter.gateway_a, SITE_A, SITE_B, PEER, tmp_path / "office")
    office.configure("another secret than the other side has")
    daemon = Charon(
        chapter.gateway_b.namespace,
        tmp_path / "charon",
        connection(SITE_B.outside[0], SITE_A.outside[0], SITE_B.network[0], SITE_A.network[0], SECRET),
    )
    office.ready(office.begin())
    done = office.host.run(office.command("connect", PEER, "--timeout", "20s"), check=False)
    assert done.returncode == 1
    assert "AUTHENTICATION_FAILED" in done.stderr
    daemon.stop()
    office.end()
