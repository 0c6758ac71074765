"""The picture of the handbook's chapter, out of namespaces.

    hostA -------- gatewayA ------------ internet ------------ gatewayB -------- hostB
    192.168.1.20   192.168.1.1           203.0.113.254         192.168.2.1       192.168.2.34
                   203.0.113.1           198.51.100.254        198.51.100.1

The router knows the two outside networks and nothing else: what a gateway sends out in clear dies there, seen by
whoever listens on its interfaces.
"""

from __future__ import annotations

from dataclasses import dataclass

from culvert.lab.host import Host
from culvert.lab.lab import Lab

LAN = "lan"
OUTSIDE = "outside"
TO_A = "to_a"
TO_B = "to_b"
UPLINK = "eth0"
"""Names of interfaces: a gateway's inner and outer one, the router's two, a host's one."""


@dataclass(frozen=True, slots=True)
class Site:
    """One side of the picture. Addresses are (IPv4, IPv6); IPv6 is there where the picture is built with it."""

    letter: str
    network: tuple[str, str]
    host: tuple[str, str]
    gateway: tuple[str, str]
    outside: tuple[str, str]
    router: tuple[str, str]


SITE_A = Site(
    "A",
    network=("192.168.1.0/24", "2001:db8:1::/64"),
    host=("192.168.1.20", "2001:db8:1::20"),
    gateway=("192.168.1.1", "2001:db8:1::1"),
    outside=("203.0.113.1", "2001:db8:a::1"),
    router=("203.0.113.254", "2001:db8:a::fe"),
)
SITE_B = Site(
    "B",
    network=("192.168.2.0/24", "2001:db8:2::/64"),
    host=("192.168.2.34", "2001:db8:2::34"),
    gateway=("192.168.2.1", "2001:db8:2::1"),
    outside=("198.51.100.1", "2001:db8:b::1"),
    router=("198.51.100.254", "2001:db8:b::fe"),
)


@dataclass(frozen=True, slots=True)
class Chapter:
    """The five hosts of the picture."""

    host_a: Host
    gateway_a: Host
    internet: Host
    gateway_b: Host
    host_b: Host


def build_chapter(lab: Lab, *, ipv6: bool = False, nat: bool = False) -> Chapter:
    """Build the picture in `lab`. With `nat`, the router hides gateway A behind its own address (IPv4).

    The gateways do not forward yet: that is for `culvert up` to switch on. Raise HostError.
    """
    names = ("hostA", "gatewayA", "internet", "gatewayB", "hostB")
    chapter = Chapter(*(lab.host(name) for name in names))
    internet = chapter.internet
    _build_site(lab, SITE_A, chapter.host_a, chapter.gateway_a, (internet, TO_A), ipv6=ipv6)
    _build_site(lab, SITE_B, chapter.host_b, chapter.gateway_b, (internet, TO_B), ipv6=ipv6)
    internet.forward()
    if nat:
        _hide_site_a(internet)
    return chapter


def _build_site(lab: Lab, site: Site, host: Host, gateway: Host, router: tuple[Host, str], *, ipv6: bool) -> None:
    versions = (0, 1) if ipv6 else (0,)
    lab.link(
        (host, UPLINK, tuple(_with_prefix(site.host[version]) for version in versions)),
        (gateway, LAN, tuple(_with_prefix(site.gateway[version]) for version in versions)),
    )
    lab.link(
        (gateway, OUTSIDE, tuple(_with_prefix(site.outside[version]) for version in versions)),
        (*router, tuple(_with_prefix(site.router[version]) for version in versions)),
    )
    for version in versions:
        host.add_default_route(site.gateway[version])
        gateway.add_default_route(site.router[version])


def _with_prefix(address: str) -> str:
    return f"{address}/64" if ":" in address else f"{address}/24"


def _hide_site_a(internet: Host) -> None:
    rules = "table ip nat { chain postrouting { type nat hook postrouting priority srcnat; "
    rules += f"oifname {TO_B} ip saddr {SITE_A.outside[0]} masquerade; }}; }}"
    internet.run(["nft", rules])
