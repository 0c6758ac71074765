"""What a proof sends, by what is protected."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from culvert.ipsec.selectors import decompose, traffic_selector
from culvert.proof.choice import choose
from culvert.proof.protection import Flow, text_of
from culvert.proof.segments import segment
from culvert.proof.subject import Subject
from culvert.wire.ip import TCP, UDP, checksum

NEAR, FAR = "192.168.1.0/24", "192.168.2.0/24"


def subject(*children: tuple[str, str], address: str = "192.168.1.1", remote: str = "") -> Subject:
    sides = [(traffic_selector(local), traffic_selector(other)) for local, other in children]
    return Subject(
        peer="warehouse",
        local_networks=tuple(network for local, _ in sides for network in local.networks()),
        remote_networks=tuple(network for _, other in sides for network in other.networks()),
        local_address=ip_address(address),
        remote_address=ip_address(remote) if remote else None,
        outside=("eth0",),
        spis_in=(),
        spis_out=(),
        selectors=tuple(one for local, other in sides for one in decompose([local], [other])),
    )


@pytest.mark.parametrize(
    ("local", "remote", "protocol", "ports"),
    [
        ("", "", 1, (8, 0)),
        ("", "[icmp]", 1, (8, 0)),
        ("", "[icmp/0-8]", 1, (8, 0)),
        ("", "[tcp/443]", TCP, (61_000, 443)),
        ("[tcp/443]", "", TCP, (443, 9)),
        ("", "[udp/0-1023]", UDP, (61_000, 1)),
        ("[udp/1000-2000]", "[udp/53]", UDP, (1000, 53)),
        ("", "[any/53]", TCP, (61_000, 53)),
    ],
)
def test_what_is_protected_is_sent(local: str, remote: str, protocol: int, ports: tuple[int, int]) -> None:
    flow = Flow(ip_address("192.168.1.1"), ip_address("192.168.2.1"), protocol, ports)
    assert choose(subject((NEAR + local, FAR + remote))) == flow


@pytest.mark.parametrize("remote", ["[gre]", "[icmp/3]", "[icmp/8]"])
def test_nothing_can_be_sent(remote: str) -> None:
    """Of an echo request alone, the reply would bring the content back in clear."""
    assert choose(subject((NEAR, FAR + remote))) is None


def test_request_and_reply_may_be_protected_by_two_selectors() -> None:
    assert choose(subject((NEAR, f"{FAR}[icmp/8]"), (NEAR, f"{FAR}[icmp/0]"))) is not None


def test_ping_is_preferred() -> None:
    flow = choose(subject((NEAR, f"{FAR}[tcp/443]"), (NEAR, "192.168.3.0/24")))
    assert flow is not None
    assert (flow.icmp, str(flow.destination)) == (True, "192.168.3.1")


def test_an_address_outside_of_the_selector_sends_nothing() -> None:
    assert choose(subject((NEAR, FAR), ("10.0.0.0/24", f"{FAR}[gre]"), address="10.0.0.1")) is None
    assert choose(subject((NEAR, FAR), remote="192.168.9.1")) is None


def test_ipv6_pings_with_its_own_icmp() -> None:
    flow = choose(subject(("fd00:1::/64", "fd00:2::/64"), address="fd00:1::1"))
    assert flow == Flow(ip_address("fd00:1::1"), ip_address("fd00:2::1"), 58, (128, 0))


@pytest.mark.parametrize(("protocol", "place", "header"), [(TCP, 16, 20), (UDP, 6, 8)])
def test_a_segment_carries_the_payload_and_nobody_takes_it(protocol: int, place: int, header: int) -> None:
    ends = ip_address("192.168.1.1"), ip_address("192.168.2.1")
    octets = segment(Flow(*ends, protocol, (61_000, 443)), 1, b"marker" * 10)
    assert octets[header:] == b"marker" * 10
    assert struct.unpack_from("!HH", octets) == (61_000, 443)
    pseudo = ends[0].packed + ends[1].packed + struct.pack("!HH", protocol, len(octets))
    assert checksum(pseudo + octets) != 0
    assert octets[place : place + 2] != bytes(2)


@pytest.mark.parametrize(
    ("local", "remote", "text"),
    [
        ("", "", f"{NEAR} - {FAR}"),
        ("", "[tcp/443]", f"{NEAR} - {FAR}[6/443]"),
        ("[tcp/443]", "", f"{NEAR}[6/443] - {FAR}[6]"),
        ("", "[icmp/3]", f"{NEAR}[1/3] - {FAR}[1]"),
    ],
)
def test_selectors_are_named_as_configurations_write_them(local: str, remote: str, text: str) -> None:
    (selector,) = subject((NEAR + local, FAR + remote)).protected
    assert text_of(selector) == text
