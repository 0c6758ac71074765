"""A gateway with a host behind it, and a real kernel with its own IPsec at the other end of its cable."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from culvert.lab.chapter import LAN, SITE_A, SITE_B, UPLINK
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.host import Host
from culvert.lab.lab import Lab
from tests.uml.guest import Guest, guest

TAP = "outside"
OURS, THEIRS = "203.0.113.1", "203.0.113.2"
HERE = replace(SITE_A, outside=(OURS, ""))
THERE = replace(SITE_B, outside=(THEIRS, ""))
ESP, AH, UDP = 50, 51, 17


@dataclass
class World:
    """A gateway with a host behind it, and the guest at the other end of its cable."""

    host: Host
    gateway: Host
    guest: Guest


@contextlib.contextmanager
def guest_world(prefix: str = "gc") -> Iterator[World]:
    """Build it; the guest has the other site's host on its loopback."""
    with Lab(f"{prefix}{os.getpid()}") as lab:
        host, gateway = lab.host("host"), lab.host("gateway")
        lab.link((host, UPLINK, (f"{HERE.host[0]}/24",)), (gateway, LAN, (f"{HERE.gateway[0]}/24",)))
        host.add_default_route(HERE.gateway[0])
        gateway.ip("tuntap", "add", TAP, "mode", "tap")
        gateway.ip("addr", "add", f"{OURS}/24", "dev", TAP)
        gateway.ip("link", "set", TAP, "up")
        gateway.ip("route", "add", "default", "via", THEIRS)
        device = f"vec0:transport=tap,ifname={TAP},depth=128,gro=0"
        with guest(gateway.command([]), [device]) as running:
            running.shell(
                "modprobe -a ipv6 xfrm_user esp4 ah4\n"
                f"ip addr add {THEIRS}/24 dev vec0; ip link set vec0 up; ip addr add {THERE.host[0]}/24 dev lo\n"
                f"ip route add {HERE.network[0]} via {OURS} src {THERE.host[0]}"
            )
            yield World(host, gateway, running)


def protocols(ear: Eavesdropper) -> set[int]:
    """Give the protocols of all that went by, IKE left out."""
    packets = [frame[14:] for frame in ear.frames() if frame[12:14] == b"\x08\x00"]
    return {packet[9] for packet in packets if not _is_ike(packet)}


def _is_ike(packet: bytes) -> bool:
    return packet[9] == UDP and (packet[22:24] == b"\x01\xf4" or packet[28:32] == bytes(4))
