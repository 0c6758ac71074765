"""Our gateway outside, a Debian kernel as the other gateway inside the guest, and one cable between them.

inside ---------- gateway ============ switch ------------ guest
192.168.1.20      192.168.1.1          (bridge, tap)       203.0.113.2
                  203.0.113.1                              192.168.2.0/24, 198.51.100.0/24: all its own
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from culvert.lab.host import Host
from culvert.lab.lab import Lab
from culvert.reasons import Drop
from culvert.xfrm.client import XfrmClient
from tests.differential.conversation import Reply, Request
from tests.differential.engines import MARK, TUN, ask_engine, engine_in
from tests.differential.flows import ENDS, OUR_HOST, THEIR_HOSTS, THEIR_NETWORK, Flow
from tests.differential.neighbours import BRIDGE, Neighbour, ask_kernel
from tests.differential.stories import CLEAN
from tests.uml.guest import Guest

T = TypeVar("T")

TABLE = "220"
LANS = {4: ("192.168.1.1/24", "192.168.1.0/24"), 6: ("2001:db8:1::1/64", "2001:db8:1::/64")}
LENGTHS = {4: 24, 6: 64}
TUN_MTU = 65_000
"""In transport mode a datagram is sealed before it is cut (RFC 4303 section 3.3.4), so it has to come whole."""
TUNNELLED_MTU = 1280
"""Small enough for whatever three layers add to a packet on a cable of 1,500."""


@dataclass
class Crossing:
    """Both gateways; the engine's socket is at `engine`."""

    inside: Host
    gateway: Host
    guest: Guest
    engine: Path

    def protect(self, flows: list[Flow]) -> None:
        """Set up both ends for these flows and no others."""
        for ours in (True, False):
            requests = [*CLEAN, *(one for flow in flows for one in flow.requests(engine=ours))]
            replies = self.ask_engine(requests) if ours else self.ask_kernel(requests)
            refused = [reply.text for reply in replies[len(CLEAN) :] if reply.errno]
            assert not refused, f"{'the engine' if ours else 'the kernel'}: {refused[:3]}"

    def ask_engine(self, requests: list[Request]) -> list[Reply]:
        return ask_engine(self.engine, requests)

    def ask_kernel(self, requests: list[Request]) -> list[Reply]:
        return ask_kernel(self.guest, requests)

    def drops(self) -> dict[Drop, int]:
        """Give what the engine dropped so far, by reason."""
        return self.with_client(lambda client: client.counters())

    def with_client(self, work: Callable[[XfrmClient], Awaitable[T]]) -> T:
        """Do something with a client of the engine's."""

        async def connected() -> T:
            client = await XfrmClient.connect(self.engine)
            try:
                return await work(client)
            finally:
                client.close()

        return asyncio.run(connected())

    def speaker(self, flow: Flow) -> Host:
        """Who speaks at our end of a flow."""
        return self.gateway if flow.between_hosts else self.inside


@contextmanager
def crossing(neighbour: Neighbour, folder: Path) -> Iterator[Crossing]:
    """Build it. The guest keeps its addresses; everything else is gone afterwards."""
    with Lab() as lab:
        inside, gateway = lab.host("inside"), lab.host("gateway")
        _connect(lab, inside, gateway, neighbour.switch)
        try:
            with engine_in(gateway, folder / "engine.sock") as path:
                _steer(gateway)
                neighbour.guest.shell(GUEST_SCRIPT)
                yield Crossing(inside, gateway, neighbour.guest, path)
        finally:
            neighbour.guest.shell("ip address flush dev vec0; ip route flush table local dev lo proto boot || true")


def _connect(lab: Lab, inside: Host, gateway: Host, switch: Host) -> None:
    ours = tuple(f"{ENDS[version][0]}/{LENGTHS[version]}" for version in (4, 6))
    lab.link(
        (inside, "eth0", tuple(f"{OUR_HOST[version]}/{LENGTHS[version]}" for version in (4, 6))),
        (gateway, "lan", tuple(LANS[version][0] for version in (4, 6))),
    )
    lab.link((gateway, "outside", ours), (switch, "port", ()))
    switch.ip("link", "set", "port", "master", BRIDGE)
    gateway.forward()
    for name in ("all", "default", "outside", TUN):
        if name != TUN:
            gateway.set_sysctl(f"net.ipv4.conf.{name}.rp_filter", "0")
    for version in (4, 6):
        inside.add_default_route(LANS[version][0].split("/")[0])


def _steer(gateway: Host) -> None:
    """Send what the policies may cover into the engine, except what it sends itself."""
    gateway.ip("link", "set", TUN, "up", "mtu", str(TUN_MTU))
    for version in (4, 6):
        ours, theirs = ENDS[version]
        gateway.ip(f"-{version}", "rule", "add", "not", "fwmark", str(MARK), "lookup", TABLE)
        lan = LANS[version][0].split("/")[0]
        route_into(gateway, TUN, str(THEIR_NETWORK[version]), "src", lan, "mtu", str(TUNNELLED_MTU))
        route_into(gateway, TUN, str(THEIR_HOSTS[version]), "src", str(ours))
        gateway.ip(f"-{version}", "route", "add", str(THEIR_HOSTS[version]), "via", str(theirs))


def route_into(gateway: Host, device: str, network: str, *words: str) -> None:
    """Send what goes to `network` and is not the engine's own into a device."""
    gateway.ip("route", "replace", network, "dev", device, "table", TABLE, *words)


def _guest_lines() -> Iterator[str]:
    yield "for all in all default vec0; do echo 0 > /proc/sys/net/ipv4/conf/$all/rp_filter; done"
    yield "echo 0 > /proc/sys/net/ipv6/conf/vec0/accept_dad; ip link set vec0 up"
    for version in (4, 6):
        ours, theirs = ENDS[version]
        yield f"ip address replace {theirs}/{LENGTHS[version]} dev vec0 {'nodad' if version == 6 else ''}"
        yield f"ip -{version} route replace {LANS[version][1]} via {ours} dev vec0"
        for network in (THEIR_NETWORK, THEIR_HOSTS):
            yield f"ip -{version} route replace local {network[version]} dev lo"


GUEST_SCRIPT = "\n".join(_guest_lines())
