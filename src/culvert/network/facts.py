"""What the plan must know of this host: its interfaces, and the way to each peer."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from culvert.addresses import IPAddress
from culvert.network.netlink import ADDRESS_FAMILY, Netlink, attributes, dump, dump_routes, open_netlink
from culvert.network.ways import ways_to
from culvert.plan.desired import HostFacts, HostInterface

_RTPROT_RA = 9
_IFA_F_PERMANENT = 0x80


async def observe_facts(peers: Mapping[str, IPAddress]) -> HostFacts:
    """Look at the interfaces, and at the route towards each peer, by name.

    A peer without a route has no `path_mtu`: it may have one later. Raise HostError where the kernel refuses to tell.
    """
    async with open_netlink() as netlink:
        interfaces = await _interfaces(netlink)
    ways = await ways_to(peers.values())
    return HostFacts(
        interfaces=tuple(interfaces.values()),
        path_mtu=tuple((name, way.mtu) for name, address in peers.items() if (way := ways[address]) is not None),
    )


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
