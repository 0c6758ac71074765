"""Opens rtnetlink, and says in our words what it refuses."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from culvert.errors import HostError, Problem

if TYPE_CHECKING:
    from culvert.addresses import IPAddress, IPNetwork

Netlink = Any
"""pyroute2's AsyncIPRoute, which has no types."""

ADDRESS_FAMILY = {4: 2, 6: 10}
"""AF_INET and AF_INET6 by IP version."""


@asynccontextmanager
async def open_netlink() -> AsyncIterator[Netlink]:
    """Open an rtnetlink socket in this network namespace, for a block.

    What the kernel refuses within it is a HostError: others change the host while we look, so it can be anything.
    """
    from pyroute2 import AsyncIPRoute  # takes a third of a second, which most commands need not pay
    from pyroute2.netlink.exceptions import NetlinkError

    # Strict: the kernel itself leaves out of a dump what was not asked for. A router may have a million other routes.
    try:
        async with AsyncIPRoute(strict_check=True) as netlink:
            yield netlink
    except NetlinkError as error:
        raise _refused(error.code, "rtnetlink") from error
    except OSError as error:
        raise _refused(error.errno or 0, error.filename or "rtnetlink") from error


@asynccontextmanager
async def refusals(what: str, *, but: int = 0) -> AsyncIterator[None]:
    """Turn a refusal of the kernel within a block into a HostError that says what was tried.

    The errno `but` only ends the block: for the removal of what somebody else has removed meanwhile.
    """
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        if error.code == but:
            return
        raise _refused(error.code, what) from error


def _refused(code: int, what: str) -> HostError:
    return HostError(Problem(f"the kernel refuses: {os.strerror(code)}", what, advice(code)))


def advice(code: int) -> str:
    if code in {errno.EPERM, errno.EACCES}:
        return "NO_PERMISSION: run as root, or with CAP_NET_ADMIN."
    if code in {errno.EOPNOTSUPP, errno.EAFNOSUPPORT}:
        return "This kernel lacks the feature (IPv6, or CONFIG_IP_MULTIPLE_TABLES)."
    return "See `ip route show table all` and `ip rule` for what stands in the way."


async def dump(request: Any) -> list[Any]:
    """Give all messages of a dump. One that is left half read keeps the socket busy for the next."""
    return [message async for message in await request]


async def dump_routes(netlink: Netlink, family: int, *, table: int = 0, protocol: int = 0) -> list[Any]:
    """Give the routes of one table or of one protocol; 0 is any.

    The kernel chooses. pyroute2's own `get_routes` would have all of them sent and read, which takes ten seconds and
    more on a router with the whole Internet's.
    """
    from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST
    from pyroute2.netlink.rtnl import RTM_GETROUTE
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    message = rtmsg()
    message["family"], message["proto"] = family, protocol
    if table:
        message["attrs"] = [("RTA_TABLE", table)]
    answers = netlink.nlm_request(message, msg_type=RTM_GETROUTE, msg_flags=NLM_F_REQUEST | NLM_F_DUMP)
    return [route async for route in await answers]


def attributes(message: Any) -> dict[str, Any]:
    """Give a message's attributes by name; where one comes twice, the first."""
    return {name: value for name, value, *_ in reversed(message["attrs"])}


def family_of(value: IPAddress | IPNetwork) -> int:
    return ADDRESS_FAMILY[value.version]
