"""The TUN: up and down, its MTU, and gone when an engine left it behind. The engine makes it."""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from culvert.network.netlink import Netlink, attributes, dump, refusals
from culvert.plan.desired import TUN

IFF_UP = 0x1
_ADDR_GEN_NONE = 1


@dataclass(frozen=True, slots=True)
class Link:
    """An interface as found. `carrier` False: a TUN whose engine is gone."""

    index: int
    mtu: int
    up: bool
    carrier: bool


async def observe(netlink: Netlink, name: str = TUN) -> Link | None:
    """Give the interface, None where there is none."""
    for message in await dump(netlink.get_links()):
        values = attributes(message)
        if values.get("IFLA_IFNAME") == name:
            return Link(
                index=message["index"],
                mtu=values["IFLA_MTU"],
                up=bool(message["flags"] & IFF_UP),
                carrier=bool(values.get("IFLA_CARRIER")),
            )
    return None


async def index_of(netlink: Netlink, name: str) -> int | None:
    """Give the interface's index, None where there is none."""
    link = await observe(netlink, name)
    return link.index if link else None


async def apply(netlink: Netlink, mtu: int, name: str = TUN) -> bool:
    """Bring the TUN up with `mtu` octets and no IPv6 address of its own; tell whether anything changed.

    Give False as well where there is none: the engine has not made it yet, and the routes will say so.
    """
    link = await observe(netlink, name)
    if link is None or (link.up and link.mtu == mtu):
        return False
    quiet(name)
    async with refusals(f"interface {name}"):
        await netlink.link("set", index=link.index, mtu=mtu, state="up")
    return True


async def set_down(netlink: Netlink, name: str = TUN) -> None:
    """Bring the TUN down, if it is there; its routes go with that."""
    link = await observe(netlink, name)
    if link is not None and link.up:
        async with refusals(f"interface {name}"):
            await netlink.link("set", index=link.index, state="down")


async def sweep(netlink: Netlink, name: str = TUN) -> None:
    """Delete the TUN, if it is there: it is persistent, and outlives an engine that was killed."""
    link = await observe(netlink, name)
    if link is not None:
        async with refusals(f"interface {name}", but=errno.ENODEV):
            await netlink.link("del", index=link.index)


def quiet(name: str) -> None:
    """Have no IPv6 address that the kernel makes up for itself: it would send router solicitations into the tunnel."""
    _write(f"/proc/sys/net/ipv6/conf/{name}/addr_gen_mode", _ADDR_GEN_NONE)
    _write(f"/proc/sys/net/ipv6/conf/{name}/accept_ra", 0)


def _write(path: str, value: int) -> None:
    with suppress(OSError):  # not there where IPv6 is switched off, or where somebody deletes the TUN just now
        Path(path).write_text(f"{value}\n")
