"""Looks whether this host can be a gateway; each missing thing by name, with what to do about it."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from culvert.errors import Problem
from culvert.network.nft import INSTALL
from culvert.network.privilege import FOR_A_GATEWAY, effective_capabilities
from culvert.reasons import Refusal

TUN_DEVICE = Path("/dev/net/tun")

_MAKE_TUN = f"mkdir -p /dev/net; mknod {TUN_DEVICE} c 10 200; chmod 0666 {TUN_DEVICE}"


def missing(device: Path = TUN_DEVICE) -> tuple[Problem, ...]:
    """Give all that a gateway needs and this host does not have; nothing is changed."""
    return tuple(_missing(device))


def _missing(device: Path) -> Iterator[Problem]:
    yield from missing_tun(device)
    yield from _missing_capabilities()
    if shutil.which("nft") is None:
        yield Problem("nft is not installed", "PATH", INSTALL)
    yield from _missing_sockets()


def missing_tun(device: Path = TUN_DEVICE) -> Iterator[Problem]:
    """Say what is wrong with the TUN device, if anything is."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        advice = f"Make it: {_MAKE_TUN}. In a container: docker run --device {device}."
        yield Problem(f"{Refusal.NO_TUN_DEVICE}: there is no such device", str(device), advice)
    except PermissionError:
        advice = f"Run as root, or let everybody open it, as most distributions do: chmod 0666 {device}."
        yield Problem(f"{Refusal.NO_TUN_DEVICE}: it may not be opened", str(device), advice)
    except OSError as error:
        advice = "The kernel needs CONFIG_TUN: modprobe tun."
        if error.errno not in {errno.ENODEV, errno.ENXIO}:
            advice = f"Is it a character device 10, 200? {_MAKE_TUN}"
        yield Problem(f"{Refusal.NO_TUN_DEVICE}: {error.strerror}", str(device), advice)


def _missing_capabilities() -> Iterator[Problem]:
    held = effective_capabilities()
    names = ", ".join(capability.name for capability in FOR_A_GATEWAY if capability not in held)
    if names:
        advice = "Run as root: sudo culvert up. In a container: docker run --cap-add NET_ADMIN."
        yield Problem(f"{Refusal.NO_PERMISSION}: this process lacks {names}", "capabilities", advice)


def _missing_sockets() -> Iterator[Problem]:
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE).close()
    except OSError as error:
        yield Problem(f"rtnetlink cannot be opened: {error.strerror}", "AF_NETLINK", "Is a seccomp filter in the way?")
