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
_RTA_DST, _RTA_OIF, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_METRICS, _RTA_TABLE = 1, 4, 6, 7, 8, 15
_RTAX_MTU = 2
_UNICAST, _UNREACHABLE, _THROW = 1, 7, 9
_UNIVERSE, _LINK = 0, 253
_UNNAMED_TABLE = 0
"""The table's number is in an attribute."""
_TYPES = {RouteKind.TUN: _UNICAST, RouteKind.UNREACHABLE: _UNREACHABLE, RouteKind.THROW: _THROW}
_KINDS = {number: kind for kind, number in _TYPES.items()}


@dataclass(frozen=True, slots=True)
class _Found:
    """A route of ours that stands, and the message that takes it away."""

    route: Route
    removal: Change


async def observe() -> tuple[Route, ...]:
    """Give the routes of ours that stand, in the kernel's order. Raise HostError."""
    with closing(Kernel()) as kernel:
        return tuple(found.route for found in _ours(kernel, _tun()))


async def apply(wanted: Iterable[Route]) -> bool:
    """Add what is missing, replace what differs, then remove what is not wanted; tell whether anything changed.

    Raise HostError where a route needs the TUN and there is none, or the kernel refuses.
    """
    wanted, tun = tuple(wanted), _tun()
    with closing(Kernel()) as kernel:
        found = _ours(kernel, tun)
        standing = {one.route for one in found}
        missing = sorted((route for route in wanted if route not in standing), key=_closed_first)
        await _put(kernel, missing, found, tun)
        kept = {_key(route) for route in wanted}
        unwanted = [one for one in found if _key(one.route) not in kept]
        await _change(kernel, [(one.removal, one.route) for one in unwanted])
        return bool(missing or unwanted)


async def sweep() -> None:
    """Remove every route of ours. Raise HostError."""
    with closing(Kernel()) as kernel:
        await _change(kernel, [(one.removal, one.route) for one in _ours(kernel, _tun())])


def _tun() -> int | None:
    try:
        return socket.if_nametoindex(TUN)
    except OSError:
        return None


def _closed_first(route: Route) -> bool:
    """Sort what keeps traffic in before what lets it out: throw routes last."""
    return route.kind is RouteKind.THROW


_Key = tuple[object, int, int]


def _key(route: Route) -> _Key:
    """The kernel's notion of the same route: destination and metric within a table."""
    return route.destination, route.metric, route.table


async def _put(kernel: Kernel, missing: Sequence[Route], found: Sequence[_Found], tun: int | None) -> None:
    """Write routes. IPv6 replaces only one of the same kind of next hop, and adds a second one beside another: what is
    in a route's place goes right before it.
    """
    in_place: dict[_Key, list[_Found]] = {}
    for one in found:
        in_place.setdefault(_key(one.route), []).append(one)
    changes: list[tuple[Change, Route]] = []
    for route in missing:
        if route.destination.version == 6:
            changes += [(one.removal, one.route) for one in in_place.get(_key(route), ())]
        changes.append((Change(_NEWROUTE, _payload(route, tun), CREATE | REPLACE), route))
    await _change(kernel, changes)


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
                found.append(_Found(_parse(header, values, tun, table), _removal(header, values)))
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


def _parse(header: _Header, values: dict[int, bytes], tun: int | None, table: int) -> Route:
    family, length, *_ = header
    address = values.get(_RTA_DST) or bytes(4 if family == ADDRESS_FAMILY[4] else 16)
    kind = _KINDS.get(header[7], RouteKind.THROW)
    if kind is RouteKind.TUN and (tun is None or values.get(_RTA_OIF) != _NUMBER.pack(tun)):
        kind = RouteKind.THROW  # of our protocol, but to elsewhere: never equal to a route that is wanted
    mtu = attributes(values.get(_RTA_METRICS, b"")).get(_RTAX_MTU)
    return Route(
        destination=ip_network((address, length)),
        kind=kind,
        metric=_number(values.get(_RTA_PRIORITY, bytes(4))),
        preferred_source=ip_address(values[_RTA_PREFSRC]) if _RTA_PREFSRC in values else None,
        mtu=_number(mtu) if mtu else None,
        table=table,
    )


def _removal(header: _Header, values: dict[int, bytes]) -> Change:
    """Name the route as the kernel itself does."""
    kept = ((kind, values[kind]) for kind in (_RTA_DST, _RTA_OIF, _RTA_PRIORITY, _RTA_TABLE) if kind in values)
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
