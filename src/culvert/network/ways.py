"""How packets of ours leave for an address outside the tunnel, and which addresses this host has.

A gateway asks for the ways to all of its peers whenever a route changes.
"""

from __future__ import annotations

import asyncio
import errno
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import ip_address

from culvert.addresses import IPAddress
from culvert.errors import HostError, Problem
from culvert.network.kernel import Attributes, Kernel, attribute, attributes, refused
from culvert.network.netlink import ADDRESS_FAMILY
from culvert.plan.desired import MARK
from culvert.reasons import Refusal

_ROUTE = struct.Struct("=BBBBBBBBI")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_NUMBER = struct.Struct("=I")
_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_METRICS, _RTA_MARK, _RTA_VIA = 1, 4, 5, 7, 8, 16, 18
_RTAX_MTU, _IFLA_MTU, _IFA_ADDRESS, _IFA_LOCAL = 2, 4, 1, 2
_UNICAST, _LOCAL = 1, 2
_DEAD_OR_DOWN = 0x11
"""RTNH_F_DEAD and RTNH_F_LINKDOWN: the cable is out."""
_FIB_MATCH = 0x2000
"""Give the table's entry, not what came of it since (linux/rtnetlink.h)."""
_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES, errno.ENETDOWN}
_AT_ONCE = 64
"""Ways that are asked for before others have their turn: about two milliseconds."""


class NoRouteError(HostError):
    """This host has no way to a peer."""

    reason = Refusal.NO_ROUTE


@dataclass(frozen=True, slots=True)
class Way:
    """How packets get to an address outside the tunnel: the interface's index, our address on it, the MTU in octets.

    `router` is the next hop, None on the same link. `up`: the interface has a carrier.
    """

    interface: int
    source: IPAddress
    mtu: int
    router: IPAddress | None = None
    up: bool = True


async def source_for(remote: IPAddress) -> IPAddress:
    """Give our address that the route to `remote` prefers. Raise NoRouteError."""
    return (await way_to(remote)).source


async def way_to(remote: IPAddress) -> Way:
    """Give the way of the engine's own packets to `remote`. Raise NoRouteError."""
    way = (await ways_to([remote]))[remote]
    if way is None:
        raise NoRouteError(_no_route(remote))
    return way


async def ways_to(remotes: Iterable[IPAddress]) -> dict[IPAddress, Way | None]:
    """Give the way to each address, None where there is none. Raise HostError where the kernel does not tell."""
    found: dict[IPAddress, Way | None] = {}
    with closing(_Questions()) as kernel:
        for number, remote in enumerate(dict.fromkeys(remotes)):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            found[remote] = kernel.way(remote)
    return found


def own_addresses() -> tuple[IPAddress, ...]:
    """Give all addresses of this host. Raise HostError."""
    with closing(_Questions()) as kernel:
        return tuple(kernel.addresses())


@dataclass(slots=True)
class _Questions(Kernel):
    """What is asked of the kernel. Each method raises HostError."""

    mtus: dict[int, int] = field(default_factory=dict)

    def way(self, remote: IPAddress) -> Way | None:
        """Ask for a packet's route, and for the table's entry: what fits is read from that, for what the kernel
        believes to have learnt of the path (RFC 1191, RFC 8201) anybody can forge. The engine knows which ICMP is about
        packets of its own.
        """
        route, entry = self._route(remote, 0), self._route(remote, _FIB_MATCH)
        if route is None or entry is None or route[0] not in {_UNICAST, _LOCAL}:
            return None
        values, source = route[2], route[2].get(_RTA_PREFSRC)
        if _RTA_OIF not in values or source is None:
            return None
        interface = _NUMBER.unpack(values[_RTA_OIF])[0]
        fixed = attributes(entry[2].get(_RTA_METRICS, b"")).get(_RTAX_MTU)
        mtu = _NUMBER.unpack(fixed)[0] if fixed else self._mtu(interface)
        return Way(interface, ip_address(source), mtu, _router(values), not entry[1] & _DEAD_OR_DOWN)

    def _route(self, remote: IPAddress, flags: int) -> tuple[int, int, Attributes] | None:
        """Give type, flags and attributes of the route for packets with our mark: the way outside, even where the
        peer's own address is steered. None where there is none.
        """
        fixed = _ROUTE.pack(ADDRESS_FAMILY[remote.version], remote.max_prefixlen, 0, 0, 0, 0, 0, 0, flags)
        wanted = attribute(_RTA_DST, remote.packed) + attribute(_RTA_MARK, _NUMBER.pack(MARK))
        try:
            payload = next(self.ask(_GETROUTE, fixed + wanted))
        except OSError as error:
            if error.errno in _NO_WAY:
                return None
            raise refused(error, f"ip route get {remote}") from error
        *_, kind, found = _ROUTE.unpack_from(payload)
        return kind, found, attributes(payload[_ROUTE.size :])

    def _mtu(self, interface: int) -> int:
        if interface not in self.mtus:
            try:
                payload = next(self.ask(_GETLINK, _LINK.pack(0, 0, interface, 0, 0)))
            except OSError as error:
                raise refused(error, f"interface {interface}") from error
            self.mtus[interface] = _NUMBER.unpack(attributes(payload[_LINK.size :])[_IFLA_MTU])[0]
        return self.mtus[interface]

    def addresses(self) -> Iterator[IPAddress]:
        try:
            for payload in self.ask(_GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0), dump=True):
                values = attributes(payload[_ADDRESS.size :])
                # IFA_LOCAL is ours; on a point-to-point link IFA_ADDRESS is the other end.
                if octets := values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS):
                    yield ip_address(octets)
        except OSError as error:
            raise refused(error, "ip address show") from error


def _router(values: Attributes) -> IPAddress | None:
    if _RTA_GATEWAY in values:
        return ip_address(values[_RTA_GATEWAY])
    via = values.get(_RTA_VIA)
    return ip_address(via[2:]) if via and len(via) in {6, 18} else None


def _no_route(remote: IPAddress) -> Problem:
    return Problem(
        f"{Refusal.NO_ROUTE}: this host has no route to {remote}",
        f"ip route get {remote}",
        "Is the outside interface up, and is there a default route? Add one: ip route add default via ROUTER.",
    )
