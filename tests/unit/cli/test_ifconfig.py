"""Links and routes in the layouts that people know from FreeBSD."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from culvert.cli import ifconfig, routes
from culvert.config.findings import UnusableError
from culvert.config.model import Ends, Gif
from culvert.control.links import from_document, to_document
from culvert.network.routing_table import TableRoute

LINK = Gif(
    "gif0",
    Ends(ip_address("203.0.113.1"), ip_address("198.51.100.1")),
    (Ends(ip_address("192.168.1.1"), ip_address("192.168.2.1")),),
    routes=(ip_network("192.168.2.0/24"),),
)


def test_a_link_as_the_handbook_shows_it() -> None:
    assert ifconfig.layout(to_document(LINK)).splitlines() == [
        "gif0: flags=8011<UP,POINTTOPOINT,MULTICAST> mtu 1280",
        "\tinet 192.168.1.1 --> 192.168.2.1 netmask 0xffffffff",
        "\tphysical address inet 203.0.113.1 --> 198.51.100.1",
    ]


def test_a_link_of_ipv6() -> None:
    ends = Ends(ip_address("2001:db8::1"), ip_address("2001:db8::2"))
    assert ifconfig.layout(to_document(Gif("gif1", ends, (ends,), ecn=True))).splitlines() == [
        "gif1: flags=a011<UP,POINTTOPOINT,LINK1,MULTICAST> mtu 1280",
        "\tinet6 2001:db8::1 --> 2001:db8::2 prefixlen 128",
        "\tphysical address inet6 2001:db8::1 --> 2001:db8::2",
    ]


def test_a_link_goes_through_a_document_and_back() -> None:
    assert from_document(to_document(LINK)) == LINK


@pytest.mark.parametrize(
    "change",
    [
        {"name": "eth0"},
        {"outer": ["203.0.113.1"]},
        {"outer": 7},
        {"inner": [["x", "y"]]},
        {"inner": [["1.1.1.1", "1.1.1.2"]] * 3},
        {"mtu": "1280"},
        {"mtu": 10**9},
        {"mtu": True},
        {"routes": ["192.168.2.1/24"]},
        {"routes": None},
    ],
)
def test_a_document_that_is_no_link_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UnusableError):
        from_document(to_document(LINK) | change)


def test_routes_as_netstat_prints_them() -> None:
    table = [
        TableRoute(ip_network("0.0.0.0/0"), ip_address("203.0.113.254"), None, "outside", True, False, False),
        TableRoute(ip_network("192.168.2.0/24"), ip_address("192.168.2.1"), None, "gif0", True, False, False),
        TableRoute(ip_network("192.168.2.1/32"), None, ip_address("192.168.1.1"), "gif0", False, False, False),
        TableRoute(ip_network("2001:db8::/64"), None, None, "lan", False, False, False),
    ]
    assert routes.layout(table).splitlines() == [
        "Routing tables",
        "",
        "Internet:",
        "Destination     Gateway        Flags  Netif    Expire",
        "default         203.0.113.254  UGS    outside",
        "192.168.2.0/24  192.168.2.1    UGS    gif0",
        "192.168.2.1     192.168.1.1    UH     gif0",
        "",
        "Internet6:",
        "Destination    Gateway   Flags  Netif  Expire",
        "2001:db8::/64  link#lan  U      lan",
    ]
