"""The seam between a proof and this host: listening, probing, and looking at what stands."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import AbstractContextManager
from typing import Any, Protocol

from culvert.addresses import IPAddress
from culvert.capture.tap import Tap
from culvert.network import nft, routes
from culvert.network.netlink import attributes, family_of, open_netlink
from culvert.network.ruleset import FAMILY
from culvert.plan.desired import NFT_TABLE
from culvert.proof.echo import EchoSocket
from culvert.proof.evidence import Box, Fence, Steering

Json = dict[str, Any]


class Prober(Protocol):
    """Sends echo requests from one address to another and waits for replies."""

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

    def prober(self, source: IPAddress, destination: IPAddress) -> Prober:
        """Raise OSError where there can be none."""

    async def fence(self) -> Fence | None:
        """Give our table as it stands."""

    async def steering(self, source: IPAddress, destination: IPAddress) -> Steering:
        """Give our routes, and where the kernel would send a packet between these."""


class RealHost:
    """This host, in this network namespace."""

    def listen(self, interface: str) -> AbstractContextManager[Listener]:
        return Tap(interface)

    def prober(self, source: IPAddress, destination: IPAddress) -> Prober:
        return EchoSocket(source, destination)

    async def fence(self) -> Fence | None:
        try:
            return read_fence(await nft.list_table(FAMILY, NFT_TABLE))
        except nft.TableNotFoundError:
            return None

    async def steering(self, source: IPAddress, destination: IPAddress) -> Steering:
        async with open_netlink() as netlink:
            return Steering(await routes.observe(netlink), await _interface_towards(netlink, source, destination))


async def _interface_towards(netlink: Any, source: IPAddress, destination: IPAddress) -> str:
    """Ask the kernel as `ip route get` does; empty where it knows no way."""
    from pyroute2.netlink.exceptions import NetlinkError

    words = {"family": family_of(destination), "dst": str(destination), "src": str(source)}
    try:
        (answer,) = await netlink.route("get", **words)
        return socket.if_indextoname(attributes(answer)["RTA_OIF"])
    except (NetlinkError, KeyError, ValueError, OSError):
        return ""


def read_fence(objects: list[Json]) -> Fence:
    """Read our table as nft lists it. What cannot be understood covers nothing."""
    chains = {entry["chain"]["name"]: entry["chain"] for entry in objects if "chain" in entry}
    rules = [entry["rule"] for entry in objects if "rule" in entry]
    tables = [entry["table"] for entry in objects if "table" in entry]
    dropping = {rule["chain"] for rule in rules if _drops_fenced(rule)}
    reaching = dropping | {rule["chain"] for rule in rules if dropping & _jumps(rule)}
    hooks = frozenset(chains[name]["hook"] for name in reaching if "hook" in chains.get(name, {}))
    dormant = any("dormant" in str(table.get("flags", "")) for table in tables)
    sets = [entry["set"] for entry in objects if "set" in entry and entry["set"]["name"] in ("fenced4", "fenced6")]
    return Fence(
        hooks, tuple(box for one in sets for element in one.get("elem", ()) for box in _boxes(element)), dormant
    )


def _drops_fenced(rule: Json) -> bool:
    sets = {expression["match"]["right"] for expression in rule["expr"] if _names_a_set(expression)}
    return bool(sets & {"@fenced4", "@fenced6"}) and any("drop" in expression for expression in rule["expr"])


def _names_a_set(expression: Json) -> bool:
    return "match" in expression and isinstance(expression["match"].get("right"), str)


def _jumps(rule: Json) -> set[str]:
    return {expression["jump"]["target"] for expression in rule["expr"] if "jump" in expression}


def _boxes(element: Any) -> list[Box]:
    """Read `{"concat": [local, remote]}`."""
    element = element.get("elem", element) if isinstance(element, dict) else element
    try:
        local, remote = element["concat"]
        return [Box(_ends(local), _ends(remote))]
    except (TypeError, KeyError, ValueError):
        return []


def _ends(value: Any) -> tuple[IPAddress, IPAddress]:
    """Read an address, a prefix or a range."""
    if isinstance(value, str):
        return ipaddress.ip_address(value), ipaddress.ip_address(value)
    if "prefix" in value:
        network = ipaddress.ip_network((value["prefix"]["addr"], value["prefix"]["len"]))
        return network[0], network[-1]
    first, last = value["range"]
    return ipaddress.ip_address(first), ipaddress.ip_address(last)
