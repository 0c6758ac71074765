"""A NAT in front of site A that forgets, and chooses another port or address while traffic goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from culvert.addresses import NAT_PORT
from culvert.ipsec.associations import Direction
from culvert.lab.chapter import OUTSIDE, SITE_A, SITE_B, TO_B, build_chapter
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.host import Host
from culvert.lab.lab import Lab
from culvert.xfrm.associations import AssociationState
from culvert.xfrm.client import XfrmClient
from tests.netns.forge import Injector, overheard, udp_packet
from tests.netns.offices import PEER, Pair, TestedOffice

pytestmark = pytest.mark.root

SECOND_ADDRESS = "198.51.100.253"
"""Another of the router's on B's side."""
_DELETE_ALL = struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 1 | 4, 1, 0, 2, 0, 0)
"""IPCTNL_MSG_CT_DELETE without a tuple (linux/netfilter/nfnetlink_conntrack.h)."""


def translate(router: Host, to: str) -> None:
    """Let the router translate site A's packets to `to` from now on, and forget what it did before."""
    rule = f"oifname {TO_B} ip saddr {SITE_A.outside[0]} udp dport {NAT_PORT} snat to {to}"
    router.run(["nft", f"flush chain ip nat postrouting; add rule ip nat postrouting {rule}"])
    with router.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
        netlink.send(_DELETE_ALL)
        code = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    assert code == 0, os.strerror(-code)


@dataclass
class Translated(Pair):
    """Site A calls from behind the NAT; B knows it by its identity alone."""

    def associations(self) -> dict[Direction | None, AssociationState]:
        """Give what B's engine holds."""

        async def ask() -> list[AssociationState]:
            client = await XfrmClient.connect(self.b.run_dir / "engine.sock")
            try:
                return await client.associations()
            finally:
                client.close()

        return {state.direction: state for state in asyncio.run(ask())}

    def leads_to(self) -> tuple[str, int]:
        """Give where B sends."""
        state = self.associations()[Direction.OUT]
        assert state.encapsulation is not None
        return str(state.id.destination), state.encapsulation.destination_port

    def spis(self) -> set[str]:
        (child,) = self.b.peer_status()["children"]
        return {child["spi_in"], child["spi_out"]}


@pytest.fixture
def pair(tmp_path) -> Iterator[Translated]:
    with Lab(f"m{os.getpid()}") as lab:
        chapter = build_chapter(lab, nat=True)
        chapter.internet.add_address(TO_B, f"{SECOND_ADDRESS}/24")
        a = TestedOffice(chapter.gateway_a, SITE_A, SITE_B, tmp_path / "a")
        b = TestedOffice(chapter.gateway_b, SITE_B, SITE_A, tmp_path / "b")
        a.write()
        b.write()
        b.file.write_text(b.file.read_text().replace(f"[peers.{PEER}]\naddress", f"[peers.{PEER}]\nidentity"))
        pair = Translated(chapter, a, b)
        pair.join()
        yield pair


@contextlib.contextmanager
def pinging(pair: Pair) -> Iterator[subprocess.Popen[str]]:
    process = pair.chapter.host_a.start(
        ["ping", "-n", "-i", "0.05", "-W", "3", SITE_B.host[0]], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()


def lost(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGINT)
    report, _ = process.communicate(timeout=10)
    found = re.search(r"(\d+) packets transmitted, (\d+) received", report)
    assert found, report
    return int(found[1]) - int(found[2])


def test_traffic_goes_on_when_the_nat_chooses_anew(pair: Translated) -> None:
    router, first, spis = pair.chapter.internet, pair.leads_to(), pair.spis()
    assert first[0] == SITE_B.router[0]
    with pinging(pair) as process:
        for to in (
            f"{SITE_B.router[0]}:40001-40001",
            f"{SECOND_ADDRESS}:40002-40002",
            f"{SITE_B.router[0]}:40003-40003",
        ):
            address, ports = to.split(":")
            translate(router, to)
            there = address, int(ports.partition("-")[0])
            pair.b.until(lambda there=there: pair.leads_to() == there, f"the way to {to}", 5)
            inbound = pair.associations()[Direction.IN]
            assert (str(inbound.source), inbound.encapsulation.source_port) == there
            assert pair.ping(back=True) == 2
        # Each change costs the answers that were on their way, and those of a second where the engine told just before.
        assert lost(process) < 80
    assert pair.spis() == spis  # nothing was rekeyed for it
    assert pair.b.peer_status()["address"] == SITE_B.router[0]
    # IKE is led there as well.
    pair.b.culvert("rekey", PEER, "--ike")
    pair.b.culvert("rekey", PEER)
    pair.b.until(lambda: not pair.spis() & spis, "other keys")
    assert pair.ping() == pair.ping(back=True) == 2


def test_nobody_else_leads_it_away(pair: Translated) -> None:
    """Packets that are forged, or repeated, from elsewhere."""
    chapter, before = pair.chapter, pair.leads_to()
    with Eavesdropper(chapter.internet, TO_B) as listening:
        assert pair.ping() == 2
        heard = overheard(listening.frames(), SITE_B.outside[0])
    assert heard.esp
    injector = Injector(chapter.internet, TO_B, chapter.gateway_b, OUTSIDE)
    drops = pair.b.drops()
    for esp in heard.esp:
        number = (int.from_bytes(esp[4:8], "big") + 1000).to_bytes(4, "big")
        for forged in (esp, esp[:4] + number + esp[8:]):
            injector.send(udp_packet((SECOND_ADDRESS, SITE_B.outside[0]), (666, NAT_PORT), forged))
    injector.close()

    def counted(name: str) -> int:
        return pair.b.drops().get(name, 0) - drops.get(name, 0)

    for name in ("REPLAYED", "NOT_AUTHENTIC"):
        pair.b.until(lambda name=name: counted(name) >= len(heard.esp), name)
    assert pair.ping() == 2
    assert pair.leads_to() == before
    assert "moved" not in pair.b.log()
