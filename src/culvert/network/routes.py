"""Steering, part one: the routes of our own tables.

A route is ours when it is in one of our tables and carries our protocol number; everything else stays untouched.
A gateway of a thousand peers has thousands of them, and fits them to each new path, so they are read and changed in
the kernel's own words, many at once.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import product

from culvert.errors import HostError, Problem
from culvert.network.kernel import CREATE, MAX_CHANGES, REPLACE, Change, Kernel, attribute, attributes, refused
from culvert.network.netlink import ADDRESS_FAMILY, advice
from culvert.plan.desired import MARKED_TABLE, ROUTE_PROTOCOL, ROUTING_TABLE, TUN, Route, RouteKind

_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_ROUTE = struct.Struct("=BBBBBBBBI")
"""Family, prefix length, source prefix length, TOS, table, protocol, scope, type, flags (struct rtmsg)."""
_NUMBER = struct.Struct("=I")
_RTA_DST, _RTA_SRC, _RTA_OIF, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_METRICS, _RTA_TABLE = 1, 2, 4, 6, 7, 8, 15
_RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA = 5, 9, 18
_NEXT_HOPS = (_RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA)
_NAMED_BY = (_RTA_DST, _RTA_SRC, _RTA_OIF, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_METRICS, _RTA_TABLE, *_NEXT_HOPS)
_RTAX_MTU = 2
_UNICAST, _UNREACHABLE, _THROW = 1, 7, 9
_UNIVERSE, _LINK = 0, 253
_UNNAMED_TABLE = 0
"""The table's number is in an attribute."""
_TYPES = {RouteKind.TUN: _UNICAST, RouteKind.UNREACHABLE: _UNREACHABLE, RouteKind.THROW: _THROW}
_KINDS = {number: kind for kind, number in _TYPES.items()}
_MAX_ROUNDS = 3
"""Looks at what stands beside a wanted route: one finds it, the next what its removal met, the last nothing."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A route of ours that stands, and the message that takes it away. `strange`: it is none that we write."""

    route: Route
    removal: Change
    strange: bool


async def observe() -> tuple[Route, ...]:
    """Give the routes of ours that stand, in the kernel's order. Raise HostError."""
    with closing(Kernel()) as kernel:
        return tuple(found.route for found in _ours(kernel, _tun()))


async def apply(wanted: Iterable[Route]) -> bool:
    """Add what is missing, replace what differs, then remove what is not wanted; tell whether anything changed.

    Raise HostError where a route needs the TUN and there is none, or the kernel refuses.
    """
    wanted, tun, changed = tuple(wanted), _tun(), False
    with closing(Kernel()) as kernel:
        for _ in range(_MAX_ROUNDS):
            missing, unwanted = await _fit(kernel, wanted, tun)
            changed = changed or bool(missing or unwanted)
            if not _keys(wanted) & _keys(one.route for one in unwanted):
                break  # else a removal may have met the wanted one: the kernel knows IPv6 routes by little
    return changed


async def _fit(kernel: Kernel, wanted: Sequence[Route], tun: int | None) -> tuple[list[Route], list[_Found]]:
    """Make it so once; give what was missing and what was removed.

    Nothing is removed before what goes in its place stands. The kernel replaces one route and may leave others beside.
    """
    found = _ours(kernel, tun)
    standing = {one.route for one in found if not one.strange}
    missing = [route for route in wanted if route not in standing]
    await _put(kernel, missing, tun)
    if _keys(missing) & _keys(one.route for one in found):
        found = _ours(kernel, tun)
    kept = frozenset(wanted)
    unwanted = [one for one in found if one.strange or one.route not in kept]
    await _change(kernel, [(one.removal, one.route) for one in unwanted])
    return missing, unwanted


async def sweep() -> None:
    """Remove every route of ours. Raise HostError."""
    with closing(Kernel()) as kernel:
        await _change(kernel, [(one.removal, one.route) for one in _ours(kernel, _tun())])


def _tun() -> int | None:
    try:
        return socket.if_nametoindex(TUN)
    except OSError:
        return None


_Key = tuple[object, int, int]


def _key(route: Route) -> _Key:
    """The kernel's notion of the same route: destination and metric within a table."""
    return route.destination, route.metric, route.table


def _keys(routes: Iterable[Route]) -> frozenset[_Key]:
    return frozenset(_key(route) for route in routes)


async def _put(kernel: Kernel, missing: Sequence[Route], tun: int | None) -> None:
    """Write routes, each in the place of what stands there. What lets traffic out waits until all that keeps it in
    stands: of one batch, the kernel does the rest although it refuses some.
    """
    for opens in (False, True):
        some = [route for route in missing if (route.kind is RouteKind.THROW) is opens]
        await _change(kernel, [(Change(_NEWROUTE, _payload(route, tun), CREATE | REPLACE), route) for route in some])


async def _change(kernel: Kernel, changes: Sequence[tuple[Change, Route]]) -> None:
    """Have all of it done in this order. What somebody else has removed meanwhile is removed."""
    for start in range(0, len(changes), MAX_CHANGES):
        some = changes[start : start + MAX_CHANGES]
        try:
            numbers = kernel.change([change for change, _ in some])
        except OSError as error:
            raise refused(error, "routes") from error
        for number, (change, route) in zip(numbers, some, strict=True):
            if number and not (number == errno.ESRCH and change.kind == _DELROUTE):
                what = f"the kernel refuses: {os.strerror(number)}"
                raise HostError(Problem(what, f"route {route.destination}", advice(number)))
        await asyncio.sleep(0)


def _ours(kernel: Kernel, tun: int | None) -> list[_Found]:
    found: list[_Found] = []
    for family, table in product(ADDRESS_FAMILY.values(), (ROUTING_TABLE, MARKED_TABLE)):
        for payload in _dumped(kernel, family, table):
            header, values = _ROUTE.unpack_from(payload), attributes(payload[_ROUTE.size :])
            if header[5] == ROUTE_PROTOCOL and _RTA_TABLE in values and _number(values[_RTA_TABLE]) == table:
                strange = _is_strange(header, values, tun)
                found.append(_Found(_parse(header, values, table, strange=strange), _removal(header, values), strange))
    return found


def _dumped(kernel: Kernel, family: int, table: int) -> Iterator[bytes]:
    question = _ROUTE.pack(family, 0, 0, 0, _UNNAMED_TABLE, ROUTE_PROTOCOL, 0, 0, 0)
    try:
        yield from kernel.ask(_GETROUTE, question + attribute(_RTA_TABLE, _NUMBER.pack(table)), dump=True)
    except OSError as error:
        if error.errno != errno.ENOENT:  # a table in which nothing ever was
            raise refused(error, f"ip route show table {table}") from error


def _number(octets: bytes) -> int:
    number: int = _NUMBER.unpack(octets)[0]
    return number


_Header = tuple[int, ...]


def _is_strange(header: _Header, values: dict[int, bytes], tun: int | None) -> bool:
    """Tell whether a route of our protocol is somebody else's: by its kind, its next hop, or what it chooses by."""
    kind = _KINDS.get(header[7])
    elsewhere = kind is RouteKind.TUN and (tun is None or values.get(_RTA_OIF) != _NUMBER.pack(tun))
    return kind is None or elsewhere or any(header[2:4]) or any(hop in values for hop in _NEXT_HOPS)


def _parse(header: _Header, values: dict[int, bytes], table: int, *, strange: bool) -> Route:
    """Read a route. A strange one is read as one that lets traffic out, for all that is known of it."""
    family, length, *_ = header
    address = values.get(_RTA_DST) or bytes(4 if family == ADDRESS_FAMILY[4] else 16)
    mtu = attributes(values.get(_RTA_METRICS, b"")).get(_RTAX_MTU)
    return Route(
        destination=ip_network((address, length)),
        kind=RouteKind.THROW if strange else _KINDS[header[7]],
        metric=_number(values.get(_RTA_PRIORITY, bytes(4))),
        preferred_source=ip_address(values[_RTA_PREFSRC]) if _RTA_PREFSRC in values else None,
        mtu=_number(mtu) if mtu else None,
        table=table,
    )


def _removal(header: _Header, values: dict[int, bytes]) -> Change:
    """Name the route as the kernel itself does."""
    kept = ((kind, values[kind]) for kind in _NAMED_BY if kind in values)
    fixed = _ROUTE.pack(*header[:4], _UNNAMED_TABLE, *header[5:8], 0)
    return Change(_DELROUTE, fixed + b"".join(attribute(*one) for one in kept))


def _payload(route: Route, tun: int | None) -> bytes:
    network = route.destination
    parts = [
        attribute(_RTA_DST, network.network_address.packed),
        attribute(_RTA_TABLE, _NUMBER.pack(route.table)),
        attribute(_RTA_PRIORITY, _NUMBER.pack(route.metric)),
    ]
    if route.kind is RouteKind.TUN:
        if tun is None:
            raise HostError(Problem(f"there is no {TUN}", f"route {network}", "Start culvert-engine, which makes it."))
        parts.append(attribute(_RTA_OIF, _NUMBER.pack(tun)))
    if route.preferred_source is not None:
        parts.append(attribute(_RTA_PREFSRC, route.preferred_source.packed))
    if route.mtu is not None:
        parts.append(attribute(_RTA_METRICS, attribute(_RTAX_MTU, _NUMBER.pack(route.mtu))))
    scope = _LINK if route.kind is RouteKind.TUN and network.version == 4 else _UNIVERSE
    family = ADDRESS_FAMILY[network.version]
    fixed = _ROUTE.pack(family, network.prefixlen, 0, 0, _UNNAMED_TABLE, ROUTE_PROTOCOL, scope, _TYPES[route.kind], 0)
    return fixed + b"".join(parts)
