"""gif links on the host: the devices that the engine made get their addresses, their MTU and their routes here.

A device is ours when its alias says so; the alias also keeps its outer ends, so that nothing has to be remembered: a
gateway that starts anew finds the links that somebody made by hand. Its addresses are those of a point-to-point link,
ours and the other end's, as ifconfig(8) writes `192.168.1.1 --> 192.168.2.1`. Routes behind it are in the main table,
with our protocol number.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from culvert.addresses import IPAddress, IPNetwork
from culvert.config.model import Ends, Gif
from culvert.errors import HostError, Problem
from culvert.network.links import IFF_UP, quiet
from culvert.network.netlink import ADDRESS_FAMILY, Netlink, attributes, dump, dump_routes, refusals
from culvert.plan.desired import ROUTE_PROTOCOL

ALIAS = "culvert gif "
"""What the aliases of our devices begin with; the outer ends follow, and `ecn` where congestion marks pass."""
_MAIN_TABLE = 254
_UNICAST = 1
_KERNEL_PREFIX = {4: 32, 6: 128}


@dataclass(frozen=True, slots=True)
class StandingGif:
    """A device as found. `alias` is empty until it is ours."""

    name: str
    index: int
    mtu: int
    up: bool
    alias: str = ""
    inner: tuple[Ends, ...] = ()
    routes: tuple[IPNetwork, ...] = ()

    def is_as(self, wanted: Gif) -> bool:
        return (
            self.alias == alias_of(wanted)
            and self.up
            and self.mtu == wanted.mtu
            and set(self.inner) == set(wanted.inner)
            and set(self.routes) == set(wanted.routes)
        )

    def gif(self) -> Gif:
        """Give the link that the device is."""
        words = self.alias.removeprefix(ALIAS).split()
        outer = Ends(ip_address(words[0]), ip_address(words[1])) if len(words) > 1 else None
        return Gif(self.name, outer, self.inner, self.mtu, self.routes, ecn="ecn" in words)


def alias_of(gif: Gif) -> str:
    """Give the alias that makes a device ours."""
    ends = f"{gif.outer.local} {gif.outer.remote}" if gif.outer else ""
    return ALIAS + ends + " ecn" * gif.ecn


async def observe(netlink: Netlink, names: Iterable[str] = ()) -> tuple[StandingGif, ...]:
    """Give the devices with our alias, and those that are called one of `names`."""
    named, found = set(names), []
    addresses, routes = await _addresses(netlink), await _routes(netlink)
    for message in await dump(netlink.get_links()):
        values, index = attributes(message), message["index"]
        alias = values.get("IFLA_IFALIAS") or ""
        if alias.startswith(ALIAS) or values["IFLA_IFNAME"] in named:
            up = bool(message["flags"] & IFF_UP)
            ends, behind = tuple(addresses.get(index, ())), tuple(routes.get(index, ()))
            found.append(StandingGif(values["IFLA_IFNAME"], index, values["IFLA_MTU"], up, alias, ends, behind))
    return tuple(found)


async def apply(netlink: Netlink, wanted: Iterable[Gif]) -> bool:
    """Give each device its addresses, MTU and routes; tell whether anything changed.

    Raise HostError where the engine has not made a device, or the kernel refuses.
    """
    wanted = tuple(wanted)
    standing = {gif.name: gif for gif in await observe(netlink, (gif.name for gif in wanted))}
    changed = False
    for gif in wanted:
        device = standing.get(gif.name)
        if device is None:
            raise HostError(Problem(f"there is no {gif.name}", "ip link", "The engine makes it: culvert reload."))
        if not device.is_as(gif):
            await _fit(netlink, device, gif)
            changed = True
    return changed


async def sweep(netlink: Netlink, keep: Iterable[str] = ()) -> None:
    """Delete the devices with our alias that are not to be kept, with all that hangs on them."""
    kept = set(keep)
    for device in await observe(netlink):
        if device.name not in kept:
            async with refusals(f"interface {device.name}", but=errno.ENODEV):
                await netlink.link("del", index=device.index)


async def _fit(netlink: Netlink, device: StandingGif, gif: Gif) -> None:
    quiet(gif.name)
    async with refusals(f"interface {gif.name}"):
        await netlink.link("set", index=device.index, mtu=gif.mtu, state="up", ifalias=alias_of(gif))
    for ends in device.inner:
        if ends not in gif.inner:
            await _address(netlink, "del", device.index, ends)
    # What the routes go by goes with an address.
    standing = {ends for ends in device.inner if ends in gif.inner}
    for ends in gif.inner:
        if ends not in standing:
            await _address(netlink, "add", device.index, ends)
    # A route names the other end; where that is another, all are made anew. Never "replace": it would take the place of
    # the host's own route to the same network.
    kept = set(device.routes) & set(gif.routes) if set(device.inner) == set(gif.inner) else set()
    for network in device.routes:
        if network not in kept:
            await _route(netlink, "del", device.index, network, None)
    for network in gif.routes:
        if network not in kept:
            await _route(netlink, "add", device.index, network, _next_hop(gif, network))


def _next_hop(gif: Gif, network: IPNetwork) -> IPAddress | None:
    """The other end, for those who read the table. IPv6 would want it reachable first, which takes its time."""
    return next((ends.remote for ends in gif.inner if ends.local.version == network.version == 4), None)


async def _address(netlink: Netlink, verb: str, index: int, ends: Ends) -> None:
    gone = errno.EADDRNOTAVAIL if verb == "del" else errno.EEXIST
    async with refusals(f"address {ends.local} --> {ends.remote}", but=gone):
        await netlink.addr(
            verb,
            index=index,
            family=ADDRESS_FAMILY[ends.local.version],
            local=str(ends.local),
            address=str(ends.remote),
            prefixlen=_KERNEL_PREFIX[ends.local.version],
        )


async def _route(netlink: Netlink, verb: str, index: int, network: IPNetwork, next_hop: IPAddress | None) -> None:
    request: dict[str, Any] = {
        "family": ADDRESS_FAMILY[network.version],
        "dst": str(network.network_address),
        "dst_len": network.prefixlen,
        "oif": index,
        "table": _MAIN_TABLE,
        "proto": ROUTE_PROTOCOL,
    }
    if next_hop is not None:
        request["gateway"] = str(next_hop)
    async with refusals(f"route {network}", but=errno.ESRCH if verb == "del" else 0):
        await netlink.route(verb, **request)


async def _addresses(netlink: Netlink) -> dict[int, list[Ends]]:
    found: dict[int, list[Ends]] = {}
    for version, family in ADDRESS_FAMILY.items():
        for message in await dump(netlink.get_addr(family=family)):
            values = attributes(message)
            if "IFA_LOCAL" in values and message["prefixlen"] == _KERNEL_PREFIX[version]:
                ends = Ends(ip_address(values["IFA_LOCAL"]), ip_address(values["IFA_ADDRESS"]))
                found.setdefault(message["index"], []).append(ends)
    return found


async def _routes(netlink: Netlink) -> dict[int, list[IPNetwork]]:
    found: dict[int, list[IPNetwork]] = {}
    for family in ADDRESS_FAMILY.values():
        for message in await dump_routes(netlink, family, table=_MAIN_TABLE, protocol=ROUTE_PROTOCOL):
            values = attributes(message)
            ours = message["proto"] == ROUTE_PROTOCOL and message["type"] == _UNICAST
            if ours and "RTA_DST" in values and "RTA_OIF" in values:
                network = ip_network((values["RTA_DST"], message["dst_len"]))
                found.setdefault(values["RTA_OIF"], []).append(network)
    return found


async def packets(netlink: Netlink) -> dict[str, tuple[int, int]]:
    """Give the packets that came in and went out by each of our devices, by name.

    Asked of the kernel, for /sys shows the interfaces of the namespace that mounted it.
    """
    found: dict[str, tuple[int, int]] = {}
    for message in await dump(netlink.get_links()):
        values = attributes(message)
        if (values.get("IFLA_IFALIAS") or "").startswith(ALIAS):
            counted = values["IFLA_STATS64"]
            found[values["IFLA_IFNAME"]] = counted["rx_packets"], counted["tx_packets"]
    return found
