"""The chapter's two offices, seen from the first, and hosts for gateways to run on."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from culvert.config.model import Child, Gateway, Peer
from culvert.ipsec.selectors import traffic_selector
from culvert.plan.desired import HostFacts, HostInterface


def child_of(peer: str, name: str, local: str, remote: str, **more: Any) -> Child:
    """Build a child; networks are separated by blanks."""
    sides = (tuple(traffic_selector(text) for text in side.split()) for side in (local, remote))
    return Child(peer, name, *sides, **more)


def peer_of(name: str, addresses: str, *children: Child, **more: Any) -> Peer:
    return Peer(name, tuple(addresses.split()), None, None, children, **more)


def gateway_of(*peers: Peer, addresses: str = "203.0.113.1", networks: str = "192.168.1.0/24", **more: Any) -> Gateway:
    return Gateway(
        "office",
        tuple(ip_address(text) for text in addresses.split()),
        tuple(ip_network(text) for text in networks.split()),
        peers,
        **more,
    )


def interface_of(name: str, *addresses: str, mtu: int = 1500, **more: Any) -> HostInterface:
    interfaces = [ip_interface(text) for text in addresses]
    return HostInterface(name, mtu, tuple((one.ip, one.network.prefixlen) for one in interfaces), **more)


class Build:
    """The builders above, for tests."""

    child = staticmethod(child_of)
    peer = staticmethod(peer_of)
    gateway = staticmethod(gateway_of)
    interface = staticmethod(interface_of)
    replace = staticmethod(replace)


@pytest.fixture
def build() -> type[Build]:
    return Build


@pytest.fixture
def office() -> Gateway:
    child = child_of("warehouse", "warehouse", "192.168.1.0/24", "192.168.2.0/24")
    return gateway_of(peer_of("warehouse", "198.51.100.1", child))


@pytest.fixture
def facts() -> HostFacts:
    return HostFacts(
        (
            interface_of("lo", "127.0.0.1/8", "::1/128", mtu=65_536),
            interface_of("eth0", "203.0.113.1/24", "fe80::1/64"),
            interface_of("eth1", "192.168.1.1/24", "fe80::2/64"),
        )
    )
