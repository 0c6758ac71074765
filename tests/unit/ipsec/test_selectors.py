"""Traffic selectors: how they are read, what they refuse, how they fall into prefixes and masks."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from culvert.ipsec.selectors import (
    PortRange,
    Selector,
    SelectorError,
    TrafficSelector,
    decompose,
    traffic_selector,
)


@pytest.mark.parametrize(
    ("text", "start", "end", "protocol", "ports"),
    [
        ("10.1.0.0/16", "10.1.0.0", "10.1.255.255", 0, PortRange()),
        (" 10.1.0.7 ", "10.1.0.7", "10.1.0.7", 0, PortRange()),
        ("10.1.0.1 - 10.1.0.9", "10.1.0.1", "10.1.0.9", 0, PortRange()),
        ("2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 0, PortRange()),
        ("10.1.0.0/16[tcp/443]", "10.1.0.0", "10.1.255.255", 6, PortRange(443, 443)),
        ("10.1.0.0/16[UDP/1000-2000]", "10.1.0.0", "10.1.255.255", 17, PortRange(1000, 2000)),
        ("10.1.0.0/16[17]", "10.1.0.0", "10.1.255.255", 17, PortRange()),
        ("10.1.0.0/16[tcp/any]", "10.1.0.0", "10.1.255.255", 6, PortRange()),
        ("10.1.0.0/16[icmp/8]", "10.1.0.0", "10.1.255.255", 1, PortRange(0x800, 0x8FF)),
        ("10.1.0.0/16[icmp/3(4)]", "10.1.0.0", "10.1.255.255", 1, PortRange(0x304, 0x304)),
        ("10.1.0.0/16[icmp/3(0)-3(4)]", "10.1.0.0", "10.1.255.255", 1, PortRange(0x300, 0x304)),
        ("::/0[icmpv6]", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 58, PortRange()),
    ],
)
def test_what_can_be_written(text: str, start: str, end: str, protocol: int, ports: PortRange) -> None:
    assert traffic_selector(text) == TrafficSelector(ip_address(start), ip_address(end), protocol, ports)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "office",
        "10.1.0.5/16",
        "10.1.0.0/33",
        "10.1.0.9-10.1.0.1",
        "10.1.0.1-2001:db8::1",
        "10.1.0.0/16[tcp",
        "10.1.0.0/16[]",
        "10.1.0.0/16[carrier pigeon]",
        "10.1.0.0/16[256]",
        "10.1.0.0/16[tcp/http]",
        "10.1.0.0/16[tcp/65536]",
        "10.1.0.0/16[tcp/9-1]",
        "10.1.0.0/16[tcp/-1]",
        "10.1.0.0/16[icmp/256]",
        "10.1.0.0/16[icmp/3(256)]",
        "10.1.0.0/16[icmp/3(4]",
        "10.1.0.0/16[icmp/echo]",
    ],
)
def test_what_cannot(text: str) -> None:
    with pytest.raises(SelectorError):
        traffic_selector(text)


@pytest.mark.parametrize(
    "text",
    [
        "10.1.0.0/16",
        "10.1.0.1-10.1.0.9",
        "10.1.0.0/16[6]",
        "10.1.0.0/16[17/5-9]",
        "2001:db8::1/128[any/7]",
        "10.1.0.0/16[1/8]",
        "10.1.0.0/16[1/3(4)]",
        "10.1.0.0/16[1/3(0)-5(7)]",
        "2001:db8::/32[58/133-137]",
    ],
)
def test_it_prints_as_it_is_read(text: str) -> None:
    assert str(traffic_selector(text)) == text


def test_ports() -> None:
    assert PortRange().masks() == [(0, 0)]
    assert PortRange(443, 443).masks() == [(443, 0xFFFF)]
    assert PortRange(6, 9).masks() == [(6, 0xFFFE), (8, 0xFFFE)]
    assert len(PortRange(1, 65_534).masks()) == 30
    assert PortRange(5, 9).intersect(PortRange(9, 20)) == PortRange(9, 9)
    assert PortRange(5, 9).intersect(PortRange(10, 20)) is None
    for start, end in ((-1, 5), (5, 65_536), (6, 5)):
        with pytest.raises(SelectorError):
            PortRange(start, end)


def test_intersections() -> None:
    wide = traffic_selector("10.0.0.0/8")
    assert wide.intersect(traffic_selector("10.1.0.0/16[tcp/443]")) == traffic_selector("10.1.0.0/16[tcp/443]")
    assert traffic_selector("10.0.0.0/8[udp]").intersect(traffic_selector("10.1.0.0/16[tcp]")) is None
    assert wide.intersect(traffic_selector("2001:db8::/32")) is None
    assert wide.intersect(traffic_selector("192.168.0.0/16")) is None
    assert wide.covers(traffic_selector("10.9.0.0/16[tcp]"))
    assert not traffic_selector("10.9.0.0/16").covers(wide)
    assert not traffic_selector("10.0.0.0/8[tcp]").covers(wide)


def test_decomposition() -> None:
    source = [traffic_selector("10.1.0.0/16"), traffic_selector("2001:db8:1::/48")]
    destination = [traffic_selector("10.2.0.1-10.2.0.2"), traffic_selector("2001:db8:2::/48[tcp/443]")]
    found = decompose(source, destination)
    assert found == [
        Selector(ip_network("10.1.0.0/16"), ip_network("10.2.0.1/32")),
        Selector(ip_network("10.1.0.0/16"), ip_network("10.2.0.2/32")),
        Selector(ip_network("2001:db8:1::/48"), ip_network("2001:db8:2::/48"), 6, (0, 0), (443, 0xFFFF)),
    ]
    assert found[2].reversed.source_port == (443, 0xFFFF)
    assert [selector.reversed.reversed for selector in found] == found
    assert [selector.version for selector in found] == [4, 4, 6]
    assert str(found[2]) == "2001:db8:1::/48 -> 2001:db8:2::/48 protocol 6"


def test_types_and_codes_of_icmp_stand_in_both_ports() -> None:
    anywhere = ip_network("10.1.0.0/16")
    echo = traffic_selector("10.1.0.0/16[icmp/8]")
    (selector,) = decompose([echo], [traffic_selector("10.1.0.0/16")])
    assert selector == Selector(anywhere, anywhere, 1, (8, 0xFFFF), (0, 0))
    assert selector.reversed == selector
    too_big = traffic_selector("10.1.0.0/16[icmp/3(4)]")
    assert decompose([too_big], [too_big]) == [Selector(anywhere, anywhere, 1, (3, 0xFFFF), (4, 0xFFFF))]
    assert decompose([echo], [too_big]) == []
    half = traffic_selector("10.1.0.0/16[icmp/8-9]")
    assert decompose([half], [half]) == [Selector(anywhere, anywhere, 1, (8, 0xFFFE), (0, 0))]


def test_equal_sides_fall_into_one() -> None:
    network = traffic_selector("10.1.0.0/16")
    assert len(decompose([network, network], [network])) == 1
    assert decompose([network], []) == []


def test_decomposition_is_bounded() -> None:
    wide = traffic_selector("10.0.0.1-10.255.255.254")
    with pytest.raises(SelectorError, match="more than 256 prefixes"):
        decompose([wide], [wide])
    ports = traffic_selector("10.1.0.0/16[tcp/1-65534]")
    with pytest.raises(SelectorError, match="more than 256 prefixes"):
        decompose([ports], [ports])


def test_two_families_make_no_selector() -> None:
    with pytest.raises(SelectorError):
        Selector(ip_network("10.1.0.0/16"), ip_network("2001:db8::/32"))
    with pytest.raises(SelectorError):
        TrafficSelector(ip_address("10.0.0.1"), ip_address("::1"))
