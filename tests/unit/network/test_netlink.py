"""What the kernel may answer while others change the host is never more than a HostError."""

from __future__ import annotations

import errno

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from culvert.errors import HostError
from culvert.network import links
from culvert.network.netlink import dump, open_netlink, refusals


@pytest.mark.parametrize(
    "error", [NetlinkError(errno.ENOBUFS), FileNotFoundError(errno.ENOENT, "gone", "/proc/sys/x"), OSError()]
)
async def test_whatever_is_refused_is_a_host_error(error: Exception) -> None:
    async def look() -> None:
        async with open_netlink() as netlink:
            assert await dump(netlink.get_links())
            raise error

    with pytest.raises(HostError, match="the kernel refuses"):
        await look()


async def test_the_expected_refusal_only_ends_the_block() -> None:
    async with refusals("route x", but=errno.ESRCH):
        raise NetlinkError(errno.ESRCH)
    with pytest.raises(HostError, match="route x"):
        async with refusals("route x", but=errno.ESRCH):
            raise NetlinkError(errno.EEXIST)


def test_a_tun_that_is_deleted_just_now_is_no_failure() -> None:
    links._write("/proc/sys/net/ipv6/conf/nobody_has_this/accept_ra", 0)
