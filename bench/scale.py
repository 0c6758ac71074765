"""What a packet costs the engine, by the number of policies and of associations that it has."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address
from pathlib import Path

from culvert.crypto.transforms import ENCRYPTION
from culvert.ipsec.associations import Direction, SecurityAssociation
from culvert.ipsec.policies import Action, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.lab.host import Host
from culvert.lab.lab import Lab
from culvert.xfrm.client import XfrmClient
from tests.differential.engines import TUN, engine_in

SCALES = (10, 100, 1_000, 10_000)
PACKETS = 100_000
ROUNDS = 3
ASKED_AT_ONCE = 500
OURS, THEIRS = ip_address("203.0.113.1"), ip_address("203.0.113.2")
NEAR = IPv4Network("192.168.1.0/24")
HOST, GATEWAY = "192.168.1.20", "192.168.1.1"
FAR = IPv4Network("10.0.0.0/8")
GCM = next(one for one in ENCRYPTION if one.name == "aes128gcm16")


@dataclass(frozen=True, slots=True)
class Scale:
    """`policies` each way, `associations` outwards; with fewer of those, several policies share one."""

    policies: int
    associations: int

    def __str__(self) -> str:
        return f"{self.policies:,} policies, {self.associations:,} SAs"


GROWING = [Scale(10, 10), *(Scale(10, n) for n in SCALES[1:]), *(Scale(n, 10) for n in SCALES[1:])]
GROWING += [Scale(n, n) for n in SCALES[1:]]


def network(number: int) -> IPv4Network:
    """Give the far network of a policy."""
    return IPv4Network((int(FAR.network_address) + (number << 8), 24))


def policies(scale: Scale) -> Iterator[Policy]:
    """One for each far network, both ways."""
    for number in range(scale.policies):
        selector, reqid = Selector(NEAR, network(number)), number % scale.associations + 1
        yield Policy(selector, Direction.OUT, Action.PROTECT, 100, (Template(OURS, THEIRS, reqid),))
        yield Policy(selector.reversed, Direction.IN, Action.PROTECT, 100, (Template(THEIRS, OURS, reqid),))


def associations(scale: Scale) -> Iterator[SecurityAssociation]:
    """One for each number that the policies ask for, with a key of its own."""
    for number in range(scale.associations):
        key = number.to_bytes(GCM.key_octets + GCM.salt_octets, "big")
        yield SecurityAssociation(OURS, THEIRS, 0x1000 + number, Direction.OUT, number + 1, GCM, key)


def packet_cost_us(scale: Scale, folder: Path) -> float:
    """Give the processor time of the engine for one packet of 100 octets, in microseconds: the best of some rounds.

    The packets go to each policy's network in turn, so that with many policies nearly every one is of a new flow.
    """
    with Lab() as lab:
        inside, gateway = _build(lab)
        with engine_in(gateway, folder / "engine.sock") as path:
            gateway.ip("link", "set", TUN, "up")
            gateway.ip("route", "add", str(FAR), "dev", TUN)
            return asyncio.run(_measure(inside, scale, path))


def _build(lab: Lab) -> tuple[Host, Host]:
    inside, gateway, sink = lab.host("inside"), lab.host("gateway"), lab.host("sink")
    lab.link((inside, "eth0", (f"{HOST}/24",)), (gateway, "lan", (f"{GATEWAY}/24",)))
    lab.link((gateway, "outside", (f"{OURS}/24",)), (sink, "eth0", (f"{THEIRS}/24",)))
    inside.add_default_route(GATEWAY)
    gateway.forward()
    return inside, gateway


async def _measure(inside: Host, scale: Scale, path: Path) -> float:
    client = await XfrmClient.connect(path)
    try:
        await _load(client, scale)
        pid = (await client.info()).pid
        return min([await _round(inside, client, scale, pid) for _ in range(ROUNDS)])
    finally:
        client.close()


async def _load(client: XfrmClient, scale: Scale) -> None:
    await client.load_policies(policies(scale))
    wanted = list(associations(scale))
    for start in range(0, len(wanted), ASKED_AT_ONCE):
        await asyncio.gather(*map(client.add_association, wanted[start : start + ASKED_AT_ONCE]))
    await client.barrier()


async def _round(inside: Host, client: XfrmClient, scale: Scale, pid: int) -> float:
    counted, spent = await _carried(client), _processor_ns(pid)
    await asyncio.to_thread(_send, inside, scale)
    await client.barrier()
    return (_processor_ns(pid) - spent) / 1e3 / (await _carried(client) - counted)


def _send(inside: Host, scale: Scale) -> None:
    targets = [(str(network(number)[1]), 9) for number in range(scale.policies)]
    payload = bytes(72)
    with inside.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(PACKETS):
            sock.sendto(payload, targets[number % len(targets)])


async def _carried(client: XfrmClient) -> int:
    return sum(state.packets for state in await client.associations())


def _processor_ns(pid: int) -> int:
    """Add up what the kernel counted for each thread."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
