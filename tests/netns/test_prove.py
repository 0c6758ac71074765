"""Proofs in the chapter's picture: without a tunnel they must fail and say what was readable, with one they hold."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, TypeVar

import pytest

from culvert.config.model import Child, Gateway, Peer
from culvert.crypto.transforms import ENCRYPTION
from culvert.ipsec.associations import Direction, Encapsulation, SecurityAssociation
from culvert.ipsec.policies import Action, Policy, Template
from culvert.ipsec.selectors import Selector, decompose, traffic_selector
from culvert.lab.chapter import OUTSIDE, SITE_A, SITE_B, Chapter, Site
from culvert.lab.host import Host
from culvert.network import links, routes, rules
from culvert.network.facts import observe_facts
from culvert.network.firewall import Firewall
from culvert.network.netlink import open_netlink
from culvert.plan import desired
from culvert.plan.desired import MARK, TUN, Pair, Route, RouteKind, Rule
from culvert.plan.desired_state import desired as state_for
from culvert.proof.prove import prove
from culvert.proof.subject import Check, Subject, Verdict
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.engine import find_program

pytestmark = pytest.mark.root
T = TypeVar("T")
Keys = dict[int, bytes]
"""By SPI."""

SPI_A, SPI_B = 0x0A0A0001, 0x0B0B0001
REQID = 7
GCM = next(one for one in ENCRYPTION if one.name == "aes128gcm16")


def subject(version: int) -> Subject:
    """The tunnel from A to B, in IPv4 (0) or IPv6 (1), over IPv4."""
    return Subject(
        peer="warehouse",
        local_networks=(ip_network(SITE_A.network[version]),),
        remote_networks=(ip_network(SITE_B.network[version]),),
        local_address=ip_address(SITE_A.gateway[version]),
        remote_address=ip_address(SITE_B.gateway[version]),
        outside=(OUTSIDE,),
        spis_in=(SPI_A,),
        spis_out=(SPI_B,),
        gateways=(ip_address(SITE_A.outside[0]), ip_address(SITE_B.outside[0])),
    )


def inside(host: Host, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in a loop and a thread of its own, in the host's namespace."""
    return host.call(lambda: asyncio.run(work()))


def check(verdict: Verdict, name: str) -> Check:
    return next(one for one in verdict.checks if one.name == name)


@pytest.mark.parametrize("version", [0, 1], ids=["ipv4", "ipv6"])
def test_without_a_tunnel_the_clear_packet_is_named(chapter: Chapter, version: int) -> None:
    verdict = inside(chapter.gateway_a, lambda: prove(subject(version)))
    assert not verdict.ok
    ends = f"{SITE_A.gateway[version]} > {SITE_B.gateway[version]}: "
    assert ends in check(verdict, "clear").message
    assert "echo request" in check(verdict, "clear").message
    assert ends in check(verdict, "unreadable").message
    assert [check(verdict, name).ok for name in ("encrypted", "fence", "steering")] == [False] * 3
    assert check(verdict, "return").ok is None


async def stand(near: Any, far: Any, address: Any) -> None:
    """Put fence and steering in place."""
    await Firewall().apply(desired.Firewall(fenced=(Pair(near, far),)))
    async with open_netlink() as netlink:
        await links.apply(netlink, 1400)
        await routes.apply([Route(far, RouteKind.TUN, desired.STEERED_METRIC, address)])
        await rules.apply(netlink, [Rule(near), Rule(near, own=True)])


@asynccontextmanager
async def engine(host: Host, path: Path) -> AsyncIterator[XfrmClient]:
    reader, writer = os.pipe()
    arguments = ["--socket", str(path), "--tun", TUN, "--mark", str(MARK), "--ready-fd", str(writer)]
    host.start([str(find_program()), *arguments], pass_fds=(writer,), stderr=subprocess.DEVNULL)
    os.close(writer)
    with open(reader, "rb") as ready:  # noqa: PTH123
        assert len(await asyncio.to_thread(ready.read)) == 1
    client = await XfrmClient.connect(path)
    try:
        yield client
        await client.shutdown()
    finally:
        client.close()


async def key(
    client: XfrmClient,
    sites: tuple[Site, Site],
    selector: Selector,
    spis: tuple[int, int],
    keys: dict[int, bytes],
) -> None:
    """Key one side by hand. Each pair is ours and theirs, of SPIs in and out."""
    (here, there), (spi_in, spi_out) = sites, spis
    outbound = SecurityAssociation(
        source=ip_address(here.outside[0]),
        destination=ip_address(there.outside[0]),
        spi=spi_out,
        direction=Direction.OUT,
        reqid=REQID,
        encryption=GCM,
        encryption_key=keys[spi_out],
        encapsulation=Encapsulation(4500, 4500),
        selectors=(selector,),
    )
    inbound = replace(
        outbound,
        source=outbound.destination,
        destination=outbound.source,
        spi=spi_in,
        direction=Direction.IN,
        encryption_key=keys[spi_in],
        selectors=(selector.reversed,),
    )
    for association in (inbound, outbound):
        await client.add_association(association)
    await client.replace_policies(
        [
            Policy(
                selector,
                Direction.OUT,
                Action.PROTECT,
                1,
                (Template(outbound.source, outbound.destination, REQID),),
            ),
            Policy(
                selector.reversed,
                Direction.IN,
                Action.PROTECT,
                1,
                (Template(outbound.destination, outbound.source, REQID),),
            ),
        ]
    )
    await client.barrier()


@asynccontextmanager
async def tunnel(chapter: Chapter, folder: Path, version: int, keys: Keys) -> AsyncIterator[None]:
    """Join both networks by two engines that are keyed by hand, steered and fenced."""
    near, far = ip_network(SITE_A.network[version]), ip_network(SITE_B.network[version])
    sides = ((chapter.gateway_a, near, far, SITE_A), (chapter.gateway_b, far, near, SITE_B))
    async with engine(chapter.gateway_a, folder / "a") as a, engine(chapter.gateway_b, folder / "b") as b:
        await key(a, (SITE_A, SITE_B), Selector(near, far), (SPI_A, SPI_B), keys)
        await key(b, (SITE_B, SITE_A), Selector(far, near), (SPI_B, SPI_A), keys)
        for host, own, other, site in sides:
            address = ip_address(site.gateway[version])
            await asyncio.to_thread(inside, host, lambda args=(own, other, address): stand(*args))
        yield


@pytest.mark.parametrize("version", [0, 1], ids=["ipv4", "ipv6"])
async def test_with_a_tunnel_it_is_proven(chapter: Chapter, tmp_path: Path, version: int) -> None:
    async with tunnel(chapter, tmp_path, version, {SPI_A: bytes(20), SPI_B: b"\x01" * 20}):
        verdict = await asyncio.to_thread(inside, chapter.gateway_a, lambda: prove(subject(version)))
        assert verdict.ok, verdict.message
        assert [one.ok for one in verdict.checks] == [True] * 9
        assert verdict.evidence.probes_answered == 5
        await asyncio.to_thread(chapter.gateway_a.run, ["nft", "delete", "table", "inet", "culvert"])
        torn = await asyncio.to_thread(inside, chapter.gateway_a, lambda: prove(subject(version)))
        assert [one.name for one in torn.checks if not one.ok] == ["fence"]


async def test_one_key_for_both_directions_repeats_nothing(chapter: Chapter, tmp_path: Path) -> None:
    """What comes back as it went out is another ciphertext: each engine masks the numbers in its nonces."""
    async with tunnel(chapter, tmp_path, 0, {SPI_A: bytes(20), SPI_B: bytes(20)}):
        verdict = await asyncio.to_thread(inside, chapter.gateway_a, lambda: prove(subject(0)))
        assert verdict.ok, verdict.message
        assert check(verdict, "texture").ok


async def test_a_peer_that_is_gone_leaves_the_way_back_open(chapter: Chapter, tmp_path: Path) -> None:
    async with tunnel(chapter, tmp_path, 0, {SPI_A: bytes(20), SPI_B: b"\x01" * 20}):
        await asyncio.to_thread(chapter.internet.ip, "link", "set", "to_b", "down")
        verdict = await asyncio.to_thread(inside, chapter.gateway_a, lambda: prove(subject(0)))
        assert [one.name for one in verdict.checks if not one.ok] == ["return"]
        assert "no ESP of the peer arrived either" in check(verdict, "return").message


@asynccontextmanager
async def finer_tunnel(chapter: Chapter, folder: Path, version: int, upper: str, keys: Keys) -> AsyncIterator[Selector]:
    """The same for one protocol and port of site B alone, steered and fenced as it is planned. Give A's selector."""
    near = traffic_selector(SITE_A.network[version])
    far = traffic_selector(f"{SITE_B.network[version]}[{upper}]")
    (selector,) = decompose([near], [far])
    sides = ((chapter.gateway_a, near, far), (chapter.gateway_b, far, near))
    async with engine(chapter.gateway_a, folder / "a") as a, engine(chapter.gateway_b, folder / "b") as b:
        await key(a, (SITE_A, SITE_B), selector, (SPI_A, SPI_B), keys)
        await key(b, (SITE_B, SITE_A), selector.reversed, (SPI_B, SPI_A), keys)
        for host, local, remote in sides:
            child = Child("other", "finer", (local,), (remote,))
            await asyncio.to_thread(inside, host, lambda child=child: stand_as_planned(child))
        yield selector


async def stand_as_planned(child: Child) -> None:
    state = state_for(Gateway("gateway", (), (), (Peer("other", (), None, None, (child,)),)), await observe_facts({}))
    await Firewall().apply(state.firewall)
    async with open_netlink() as netlink:
        await links.apply(netlink, 1400)
        await routes.apply(state.routes)
        await rules.apply(netlink, state.rules)


@pytest.mark.parametrize(("version", "upper"), [(0, "tcp/443"), (1, "tcp/443"), (0, "udp/53"), (1, "udp/53")])
async def test_a_child_of_one_port_is_proven_by_what_it_protects(
    chapter: Chapter, tmp_path: Path, version: int, upper: str
) -> None:
    keys = {SPI_A: bytes(20), SPI_B: b"\x01" * 20}
    async with finer_tunnel(chapter, tmp_path, version, upper, keys) as selector:
        web = replace(subject(version), selectors=(selector,))
        verdict = await asyncio.to_thread(inside, chapter.gateway_a, lambda: prove(web))
        assert verdict.ok, verdict.message
        assert [one.name for one in verdict.checks if not one.ok] == ["return"]
        assert verdict.evidence.esp_out == verdict.evidence.probes_sent == 5
        back = replace(web, selectors=(selector.reversed,))
        back = replace(back, local_address=web.remote_address, remote_address=web.local_address)
        back = replace(back, local_networks=web.remote_networks, remote_networks=web.local_networks)
        back = replace(back, spis_in=web.spis_out, spis_out=web.spis_in)
        other_way = await asyncio.to_thread(inside, chapter.gateway_b, lambda: prove(back))
        assert other_way.ok, other_way.message
        wide = await asyncio.to_thread(inside, chapter.gateway_a, lambda: prove(subject(version)))
        assert not wide.ok
        assert "echo request" in check(wide, "clear").message


@pytest.mark.parametrize(
    ("chain", "words", "failed"),
    [
        ("fence_walk_out", 'protocol_0_ffff"', "fence"),
        ("fence_out", "jump", "fence"),
        ("from_elsewhere", "jump", "fence"),
        ("steer_in", "jump", "steering"),
    ],
)
async def test_a_rule_that_is_gone_is_not_proven(
    chapter: Chapter, tmp_path: Path, chain: str, words: str, failed: str
) -> None:
    async with finer_tunnel(chapter, tmp_path, 0, "tcp/443", {SPI_A: bytes(20), SPI_B: b"\x01" * 20}) as selector:
        await asyncio.to_thread(remove_rules, chapter.gateway_a, chain, words)
        web = replace(subject(0), selectors=(selector,))
        verdict = await asyncio.to_thread(inside, chapter.gateway_a, lambda: prove(web))
        assert not verdict.ok
        assert [one.name for one in verdict.checks if one.ok is False] == [failed]


async def test_without_steering_the_segment_is_named(chapter: Chapter, tmp_path: Path) -> None:
    """And without the fence: else it would not have left."""
    async with finer_tunnel(chapter, tmp_path, 0, "tcp/443", {SPI_A: bytes(20), SPI_B: b"\x01" * 20}) as selector:
        await asyncio.to_thread(chapter.gateway_a.run, ["nft", "delete", "table", "inet", "culvert"])
        web = replace(subject(0), selectors=(selector,))
        verdict = await asyncio.to_thread(inside, chapter.gateway_a, lambda: prove(web))
        assert f"{SITE_A.gateway[0]}.61000 > {SITE_B.gateway[0]}.443: TCP [S]" in check(verdict, "clear").message
        assert "fence" in [one.name for one in verdict.checks if one.ok is False]


def remove_rules(host: Host, chain: str, words: str) -> None:
    """Take rules of our table away, as somebody might by hand."""
    listed = json.loads(host.run(["nft", "-ja", "list", "chain", "inet", "culvert", chain]).stdout)["nftables"]
    gone = [one["rule"]["handle"] for one in listed if "rule" in one and words in json.dumps(one["rule"]["expr"])]
    assert gone
    for handle in gone:
        host.run(["nft", "delete", "rule", "inet", "culvert", chain, "handle", str(handle)])
