"""The seam between a proof and this host: listening, probing, and looking at what stands."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AbstractContextManager
from typing import Any, Protocol

from culvert.addresses import IPAddress
from culvert.capture.tap import Tap
from culvert.network import nft, routes
from culvert.network.netlink import attributes, family_of, open_netlink
from culvert.network.ruleset import FAMILY
from culvert.plan.desired import NFT_TABLE, STEER
from culvert.proof.echo import EchoSocket
from culvert.proof.evidence import Fence, Steering
from culvert.proof.protection import Flow
from culvert.proof.segments import SegmentSocket
from culvert.proof.table import read_fence


class Prober(Protocol):
    """Sends packets of one flow, and waits for replies where it has some."""

    def send(self, sequence: int, payload: bytes) -> str:
        """Send one; give the reason where the host refuses, else nothing."""

    async def replies(self, count: int, timeout_s: float) -> dict[int, int]:
        """Wait for `count` replies; give nanoseconds from request to reply by sequence, of those that came in time."""

    def close(self) -> None:
        """Be done."""


class Listener(Protocol):
    """What `Tap` is."""

    def take(self) -> list[Any]: ...

    def lost(self) -> int: ...


class Host(Protocol):
    """What a proof needs of a host."""

    def listen(self, interface: str) -> AbstractContextManager[Listener]:
        """Capture for a block."""

    def prober(self, flow: Flow) -> Prober:
        """Give what sends echo requests, TCP segments or UDP datagrams. Raise OSError where there can be none."""

    async def fence(self) -> Fence | None:
        """Give our table as it stands."""

    async def steering(self, source: IPAddress, destination: IPAddress) -> Steering:
        """Give our routes, and where the kernel would send a packet between these."""


class RealHost:
    """This host, in this network namespace."""

    def listen(self, interface: str) -> AbstractContextManager[Listener]:
        return Tap(interface)

    def prober(self, flow: Flow) -> Prober:
        return EchoSocket(flow.source, flow.destination) if flow.icmp else SegmentSocket(flow)

    async def fence(self) -> Fence | None:
        try:
            objects = await nft.list_table(FAMILY, NFT_TABLE, numeric=True)
        except nft.TableNotFoundError:
            return None
        return await asyncio.to_thread(read_fence, objects)

    async def steering(self, source: IPAddress, destination: IPAddress) -> Steering:
        async with open_netlink() as netlink:
            found = [await _interface_towards(netlink, source, destination, mark) for mark in (0, STEER)]
            return Steering(await routes.observe(), *found)


async def _interface_towards(netlink: Any, source: IPAddress, destination: IPAddress, mark: int) -> str:
    """Ask the kernel as `ip route get` does; empty where it knows no way."""
    from pyroute2.netlink.exceptions import NetlinkError

    words = {"family": family_of(destination), "dst": str(destination), "src": str(source), "mark": mark}
    try:
        (answer,) = await netlink.route("get", **words)
        return socket.if_indextoname(attributes(answer)["RTA_OIF"])
    except (NetlinkError, KeyError, ValueError, OSError):
        return ""
