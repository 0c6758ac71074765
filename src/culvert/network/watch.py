"""Tells when somebody changes what we put there, so that it stands again within milliseconds.

Raw netlink sockets, because only four facts of each message matter: its type, its table, its interface, its owner.
gif links are known by what their names begin with: one of others costs a look.
What we change ourselves is told as well; applying again finds nothing to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum

from culvert.plan.desired import MARKED_TABLE, NFT_TABLE, ROUTE_PROTOCOL, ROUTING_TABLE, TUN

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ATTRIBUTE_TYPE = 0x3FFF

_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV4_RULE = 1, 5, 7, 8
_IPV6_IFADDR, _IPV6_ROUTE, _IPV6_RULE = 9, 11, 19
_ROUTE_GROUPS = (_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV4_RULE, _IPV6_IFADDR, _IPV6_ROUTE, _IPV6_RULE)
_NETFILTER, _NFTABLES_GROUP, _NFTABLES = 12, 7, 10

_NEWLINK, _DELLINK, _NEWADDR, _DELADDR = 16, 17, 20, 21
_NEWROUTE, _DELROUTE, _NEWRULE, _DELRULE = 24, 25, 32, 33
_IFLA_IFNAME, _RTA_TABLE, _FRA_PROTOCOL, _NFTA_TABLE = 3, 15, 21, 1
_IFINFO_SIZE, _RTMSG_SIZE, _NFGEN_SIZE = 16, 12, 4

_TABLES = (ROUTING_TABLE, MARKED_TABLE)
_RTM_PROTOCOL = 5
"""Where a route's protocol stands in its message, one octet (struct rtmsg)."""
_GIF = "gif"
_SO_RCVBUFFORCE = 33
_RECEIVE_OCTETS = 1 << 16
_QUEUED_OCTETS = 8 << 20
"""What may wait to be read: our own change of a thousand routes and a firewall that names them is announced, too."""


class Changed(StrEnum):
    """What somebody touched."""

    ROUTES = "routes"
    RULES = "rules"
    LINK = "link"
    ADDRESSES = "addresses"
    FIREWALL = "firewall"
    WAYS = "ways"
    """A route, rule or link of others, by which packets of ours may leave."""


EVERYTHING = frozenset(Changed)


async def watch() -> AsyncIterator[frozenset[Changed]]:
    """Yield what was changed, of ours or of the host's addresses and routes, as soon as the kernel says so.

    The first value is everything, once the watch stands: look then, and nothing is missed. Changes that come while the
    caller is busy are one value; where the kernel lost some, everything. Raise OSError where there is no netlink.
    """
    loop = asyncio.get_running_loop()
    pending = set(EVERYTHING)
    wake = asyncio.Event()
    wake.set()
    with (
        contextlib.closing(_subscribe(socket.NETLINK_ROUTE, _ROUTE_GROUPS)) as route,
        contextlib.closing(_subscribe(_NETFILTER, (_NFTABLES_GROUP,))) as netfilter,
    ):
        sockets = (route, netfilter)
        for one in sockets:
            loop.add_reader(one.fileno(), _read, one, pending, wake)
        try:
            while True:
                await wake.wait()
                wake.clear()
                changed = frozenset(pending)
                pending.clear()
                yield changed
        finally:
            for one in sockets:
                loop.remove_reader(one.fileno())


def _subscribe(protocol: int, groups: tuple[int, ...]) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    with contextlib.suppress(PermissionError):
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _QUEUED_OCTETS)
    try:
        opened.bind((0, sum(1 << (group - 1) for group in groups)))
    except OSError:
        opened.close()
        raise
    return opened


def _read(opened: socket.socket, pending: set[Changed], wake: asyncio.Event) -> None:
    try:
        datagram = opened.recv(_RECEIVE_OCTETS)
    except BlockingIOError:
        return
    except OSError:  # ENOBUFS: the kernel had more to say than the queue holds
        pending.update(EVERYTHING)
    else:
        pending.update(judge(datagram, firewall=opened.proto == _NETFILTER))
    if pending:
        wake.set()


def judge(datagram: bytes, *, firewall: bool) -> set[Changed]:
    """Tell what a datagram of notifications says about us. What cannot be read says nothing."""
    changed: set[Changed] = set()
    for kind, payload in _messages(datagram):
        found = _judge_firewall(kind, payload) if firewall else _judge_route(kind, payload)
        if found is not None:
            changed.add(found)
    return changed


def _judge_firewall(kind: int, payload: bytes) -> Changed | None:
    ours = kind >> 8 == _NFTABLES and _text(_attribute(payload, _NFGEN_SIZE, _NFTA_TABLE)) == NFT_TABLE
    return Changed.FIREWALL if ours else None


def _judge_route(kind: int, payload: bytes) -> Changed | None:
    if kind in {_NEWROUTE, _DELROUTE}:
        return Changed.ROUTES if _is_our_route(payload) else Changed.WAYS
    if kind in {_NEWRULE, _DELRULE}:
        ours = _number(_attribute(payload, _RTMSG_SIZE, _FRA_PROTOCOL)) == ROUTE_PROTOCOL
        return Changed.RULES if ours else Changed.WAYS
    if kind in {_NEWLINK, _DELLINK}:
        name = _text(_attribute(payload, _IFINFO_SIZE, _IFLA_IFNAME))
        return Changed.LINK if name == TUN or name.startswith(_GIF) else Changed.WAYS
    return Changed.ADDRESSES if kind in {_NEWADDR, _DELADDR} else None


def _is_our_route(payload: bytes) -> bool:
    """Tell whether it is in a table of ours, or in the main one, behind a gif link."""
    of_ours = payload[_RTM_PROTOCOL : _RTM_PROTOCOL + 1] == bytes([ROUTE_PROTOCOL])
    return of_ours or _number(_attribute(payload, _RTMSG_SIZE, _RTA_TABLE)) in _TABLES


def _messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    while len(datagram) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(datagram)
        if not _HEADER.size <= length <= len(datagram):
            return
        yield kind, datagram[_HEADER.size : length]
        datagram = datagram[(length + 3) & ~3 :]


def _attribute(payload: bytes, fixed: int, wanted: int) -> bytes:
    rest = payload[fixed:]
    while len(rest) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(rest)
        if not _ATTRIBUTE.size <= length <= len(rest):
            break
        if kind & _ATTRIBUTE_TYPE == wanted:
            return rest[_ATTRIBUTE.size : length]
        rest = rest[(length + 3) & ~3 :]
    return b""


def _number(value: bytes) -> int:
    return int.from_bytes(value, "little" if struct.pack("=H", 1)[0] else "big")


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
