"""What the plan must know of this host: its interfaces, and the way to each peer."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from culvert.addresses import IPAddress
from culvert.errors import HostError, Problem
from culvert.network.netlink import (
    ADDRESS_FAMILY,
    Netlink,
    attributes,
    dump,
    dump_routes,
    family_of,
    open_netlink,
    refusals,
)
from culvert.plan.desired import MARK, HostFacts, HostInterface
from culvert.reasons import Refusal

_UNICAST, _LOCAL = 1, 2
_RTPROT_RA = 9
_IFA_F_PERMANENT = 0x80
_RTM_F_FIB_MATCH = 0x2000
"""Give the table's entry, not what came of it since (linux/rtnetlink.h)."""


class NoRouteError(HostError):
    """This host has no way to a peer."""

    reason = Refusal.NO_ROUTE


@dataclass(frozen=True, slots=True)
class Way:
    """How packets get to an address outside the tunnel: the interface's index, our address on it, the MTU in octets."""

    interface: int
    source: IPAddress
    mtu: int


async def observe_facts(peers: Mapping[str, IPAddress]) -> HostFacts:
    """Look at the interfaces, and at the route towards each peer, by name.

    A peer without a route has no `path_mtu`: it may have one later. Raise HostError where the kernel refuses to tell.
    """
    async with open_netlink() as netlink:
        interfaces = await _interfaces(netlink)
        ways = [(name, await _find(netlink, address)) for name, address in peers.items()]
    return HostFacts(
        interfaces=tuple(interfaces.values()),
        path_mtu=tuple((name, way.mtu) for name, way in ways if way is not None),
    )


async def source_for(remote: IPAddress) -> IPAddress:
    """Give our address that the route to `remote` prefers. Raise NoRouteError."""
    return (await way_to(remote)).source


async def way_to(remote: IPAddress) -> Way:
    """Give the way of the engine's own packets to `remote`. Raise NoRouteError."""
    async with open_netlink() as netlink:
        way = await _find(netlink, remote)
    if way is None:
        raise NoRouteError(_no_route(remote))
    return way


async def _interfaces(netlink: Netlink) -> dict[int, HostInterface]:
    addresses: dict[int, list[tuple[IPAddress, int]]] = {}
    advertised = await _with_advertised_routes(netlink)
    for family in ADDRESS_FAMILY.values():
        for message in await dump(netlink.get_addr(family=family)):
            values = attributes(message)
            # IFA_LOCAL is ours; on a point-to-point link IFA_ADDRESS is the other end.
            own = ip_address(values.get("IFA_LOCAL") or values["IFA_ADDRESS"])
            addresses.setdefault(message["index"], []).append((own, message["prefixlen"]))
            if own.version == 6 and not own.is_link_local and not values.get("IFA_FLAGS", 0) & _IFA_F_PERMANENT:
                advertised.add(message["index"])
    found: dict[int, HostInterface] = {}
    for message in await dump(netlink.get_links()):
        values, index = attributes(message), message["index"]
        name = values["IFLA_IFNAME"]
        accepts = index in advertised and _accepts_advertisements(name)
        found[index] = HostInterface(name, values["IFLA_MTU"], tuple(addresses.get(index, ())), accepts)
    return found


async def _with_advertised_routes(netlink: Netlink) -> set[int]:
    found: set[int] = set()
    for message in await dump_routes(netlink, ADDRESS_FAMILY[6], protocol=_RTPROT_RA):
        interface = attributes(message).get("RTA_OIF")
        if interface is not None:
            found.add(interface)
    return found


def _accepts_advertisements(name: str) -> bool:
    try:
        return (Path("/proc/sys/net/ipv6/conf") / name / "accept_ra").read_text().strip() != "0"
    except OSError:
        return False


async def _find(netlink: Netlink, remote: IPAddress) -> Way | None:
    from pyroute2.netlink.exceptions import NetlinkError

    # With our mark, as the engine's sockets have: the way outside, even where the peer's own address is steered.
    wanted = {"family": family_of(remote), "dst": str(remote), "dst_len": remote.max_prefixlen, "mark": MARK}
    try:
        answers = await netlink.route("get", **wanted)
        entries = await netlink.route("get", flags=_RTM_F_FIB_MATCH, **wanted)
    except NetlinkError as error:
        if error.code in {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES}:
            return None
        raise HostError(Problem(f"the kernel refuses: {os.strerror(error.code)}", f"ip route get {remote}")) from error
    return await _way(netlink, answers[0], entries[0])


async def _way(netlink: Netlink, message: Any, entry: Any) -> Way | None:
    """Read the answer for a packet; what fits is read from the table's `entry`, for what the kernel believes to have
    learnt of the path (RFC 1191, RFC 8201) anybody can forge. The engine knows which ICMP is about packets of its own.
    """
    values = attributes(message)
    interface, source = values.get("RTA_OIF"), values.get("RTA_PREFSRC")
    if message["type"] not in {_UNICAST, _LOCAL} or interface is None or not source:
        return None
    metrics = attributes(entry).get("RTA_METRICS")
    mtu = attributes(metrics).get("RTAX_MTU") if metrics else None
    return Way(interface, ip_address(source), mtu or await _link_mtu(netlink, interface))


async def _link_mtu(netlink: Netlink, index: int) -> int:
    async with refusals(f"interface {index}"):
        (link,) = await netlink.link("get", index=index)
    return int(attributes(link)["IFLA_MTU"])


def _no_route(remote: IPAddress) -> Problem:
    return Problem(
        f"{Refusal.NO_ROUTE}: this host has no route to {remote}",
        f"ip route get {remote}",
        "Is the outside interface up, and is there a default route? Add one: ip route add default via ROUTER.",
    )
