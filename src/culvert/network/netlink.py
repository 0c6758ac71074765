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
    """Open an rtnetlink socket in this network namespace, for a block."""
    from pyroute2 import AsyncIPRoute  # takes a third of a second, which most commands need not pay

    async with AsyncIPRoute() as netlink:
        yield netlink


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
        raise HostError(Problem(f"the kernel refuses: {os.strerror(error.code)}", what, _advice(error.code))) from error


def _advice(code: int) -> str:
    if code in {errno.EPERM, errno.EACCES}:
        return "NO_PERMISSION: run as root, or with CAP_NET_ADMIN."
    if code in {errno.EOPNOTSUPP, errno.EAFNOSUPPORT}:
        return "This kernel lacks the feature (IPv6, or CONFIG_IP_MULTIPLE_TABLES)."
    return "See `ip route show table all` and `ip rule` for what stands in the way."


async def dump(request: Any) -> list[Any]:
    """Give all messages of a dump. One that is left half read keeps the socket busy for the next."""
    return [message async for message in await request]


def attributes(message: Any) -> dict[str, Any]:
    """Give a message's attributes by name; where one comes twice, the first."""
    return {name: value for name, value, *_ in reversed(message["attrs"])}


def family_of(value: IPAddress | IPNetwork) -> int:
    return ADDRESS_FAMILY[value.version]
