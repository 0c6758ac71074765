"""The verdict on paper: what an honest tunnel shows, and each way in which one can fail."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

import pytest

from culvert.addresses import IPAddress
from culvert.capture.packets import ETHERTYPE_IPV4, OUTGOING, Captured
from culvert.entropy import SeededEntropy
from culvert.ipsec.selectors import Selector
from culvert.plan.desired import STEERED_METRIC, TUN, Route, RouteKind
from culvert.proof.evidence import Box, Fence, Steering
from culvert.proof.fake import FakeHost
from culvert.proof.prove import as_json, prove
from culvert.proof.subject import Check, Subject, Verdict
from culvert.wire.icmp import Echo, emit_echo
from culvert.wire.ip import checksum

NEAR, FAR = ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24")
US, THEM = ip_address("203.0.113.1"), ip_address("198.51.100.1")
INNER, PROBED = ip_address("192.168.1.1"), ip_address("192.168.2.1")
SPI_IN, SPI_OUT = 0xAAAA0001, 0xBBBB0001
SUBJECT = Subject("warehouse", (NEAR,), (FAR,), INNER, None, ("eth0",), (SPI_IN,), (SPI_OUT,), (US, THEM))
STEERING = Steering((Route(FAR, RouteKind.TUN, STEERED_METRIC),), TUN)
FENCE = Fence(frozenset({"prerouting", "postrouting", "input"}), (Box((NEAR[0], NEAR[-1]), (FAR[0], FAR[-1])),))


def ipv4(source: IPAddress, destination: IPAddress, protocol: int, payload: bytes) -> bytes:
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    header += source.packed + destination.packed
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def echo(sequence: int, payload: bytes) -> bytes:
    return ipv4(INNER, PROBED, 1, emit_echo(Echo(8, 1, sequence, payload)))


@dataclass
class Wire:
    """What shows outside for each probe: by default, ESP both ways with random content."""

    seal: Callable[[int, bytes], bytes]
    spi_out: int = SPI_OUT

    def __post_init__(self) -> None:
        self.host = FakeHost(FENCE, STEERING, self.probe)

    def probe(self, sequence: int, payload: bytes) -> None:
        inner = echo(sequence, payload)
        out = struct.pack("!II", self.spi_out, sequence) + self.seal(sequence, inner)
        back = struct.pack("!II", SPI_IN, sequence) + self.seal(sequence + 1000, inner)
        self.show(ipv4(US, THEM, 50, out))
        self.show(ipv4(THEM, US, 17, struct.pack("!4H", 4500, 4500, 8 + len(back), 0) + back), kind=0)

    def show(self, octets: bytes, kind: int = OUTGOING, ethertype: int = ETHERTYPE_IPV4) -> None:
        self.host.listener.packets.append(Captured(len(self.host.listener.packets), "eth0", ethertype, kind, octets))


def cipher(sequence: int, inner: bytes) -> bytes:
    return struct.pack("!Q", sequence) + SeededEntropy(sequence).octets(len(inner) + 18)


def honest() -> Wire:
    return Wire(cipher)


async def verdict_of(wire: Wire, subject: Subject = SUBJECT) -> Verdict:
    return await prove(subject, wire.host, SeededEntropy(7))


def check(verdict: Verdict, name: str) -> Check:
    return next(one for one in verdict.checks if one.name == name)


async def test_an_honest_tunnel_is_proven() -> None:
    verdict = await verdict_of(honest())
    assert verdict.ok
    assert [one.ok for one in verdict.checks] == [True] * 9
    assert (verdict.evidence.esp_out, verdict.evidence.esp_in, verdict.evidence.probes_answered) == (5, 5, 5)
    assert verdict.evidence.probed == "192.168.2.1"
    assert "ESP(spi=0xbbbb0001,seq=0x1)" in verdict.evidence.excerpt[0]
    assert verdict.message == "warehouse: proven. Nothing between the networks could be read outside."
    assert json.loads(json.dumps(as_json(verdict)))["ok"] is True


async def test_a_clear_packet_is_named() -> None:
    wire = honest()
    wire.show(echo(1, b"hello"))
    verdict = await verdict_of(wire)
    assert not verdict.ok
    assert "192.168.1.1 > 192.168.2.1: ICMP echo request" in check(verdict, "clear").message
    assert "192.168.1.1 > 192.168.2.1" in verdict.evidence.clear[0]
    assert "NOT proven" in verdict.message


async def test_a_clear_packet_inside_ip_in_ip_is_named() -> None:
    wire = honest()
    wire.show(ipv4(US, THEM, 4, ipv4(US, THEM, 4, echo(1, b"hello"))))
    assert check(await verdict_of(wire), "clear").ok is False


async def test_the_peers_clear_packet_coming_in_is_named_too() -> None:
    wire = honest()
    wire.show(ipv4(PROBED, INNER, 6, bytes(20)), kind=0)
    assert check(await verdict_of(wire), "clear").ok is False


async def test_other_traffic_outside_does_no_harm() -> None:
    wire = honest()
    wire.show(ipv4(US, ip_address("192.0.2.9"), 6, bytes(20)))
    wire.show(b"\x45nonsense")
    wire.show(bytes(28), ethertype=0x806)
    assert (await verdict_of(wire)).ok


async def test_our_own_esp_is_no_clear_packet_where_a_network_covers_the_gateways() -> None:
    wide = replace(SUBJECT, local_networks=(ip_network("0.0.0.0/0"),), remote_networks=(ip_network("0.0.0.0/0"),))
    assert check(await verdict_of(honest(), wide), "clear").ok
    assert check(await verdict_of(honest(), replace(wide, gateways=())), "clear").ok is False


async def test_a_readable_probe_is_named() -> None:
    wire = Wire(lambda _, inner: bytes(8) + inner + bytes(18))
    verdict = await verdict_of(wire)
    assert check(verdict, "unreadable").ok is False
    assert "ESP(spi=0xbbbb0001" in check(verdict, "unreadable").message


async def test_a_piece_of_a_probe_is_enough() -> None:
    wire = honest()
    probe = wire.host.outside

    def leak(sequence: int, payload: bytes) -> None:
        probe(sequence, payload)
        wire.show(ipv4(US, THEM, 17, payload[8:16]))

    wire.host.outside = leak
    assert check(await verdict_of(wire), "unreadable").ok is False


async def test_a_packet_inside_esp_without_encryption_is_named() -> None:
    """NULL encryption of something that is not the probe: only its headers give it away."""
    wire = honest()
    inner = ipv4(INNER, PROBED, 6, bytes(range(40)))
    wire.show(ipv4(US, THEM, 50, struct.pack("!II", SPI_OUT, 99) + bytes(8) + inner + bytes(18)))
    verdict = await verdict_of(wire)
    assert not verdict.ok
    assert "192.168.1.1.1 > 192.168.2.1.515: TCP" in check(verdict, "texture").message


async def test_an_ipv6_packet_inside_esp_is_named() -> None:
    near, far = ip_network("2001:db8:1::/48"), ip_network("2001:db8:2::/48")
    wire = honest()
    inner = struct.pack("!IHBB", 6 << 28, 8, 17, 64) + near[1].packed + far[1].packed + struct.pack("!4H", 1, 2, 8, 0)
    wire.show(ipv4(US, THEM, 50, struct.pack("!II", SPI_OUT, 99) + bytes(8) + inner + bytes(18)))
    subject = replace(SUBJECT, local_networks=(NEAR, near), remote_networks=(FAR, far))
    assert "2001:db8:1::1.1 > 2001:db8:2::1.2" in check(await verdict_of(wire, subject), "texture").message


async def test_a_cipher_that_repeats_is_named() -> None:
    wire = Wire(lambda _, inner: bytes(8) + SeededEntropy(1).octets(len(inner) + 18))
    assert "occurs twice" in check(await verdict_of(wire), "texture").message


async def test_content_that_is_not_random_is_named() -> None:
    wire = Wire(lambda number, inner: bytes(8) + bytes(octet & 0x7F for octet in cipher(number, inner)))
    assert "not evenly distributed" in check(await verdict_of(wire), "texture").message


async def test_probes_that_left_by_another_way_are_not_proven() -> None:
    verdict = await verdict_of(Wire(cipher, spi_out=1))
    assert not verdict.ok
    assert "only 0 ESP packets of this peer" in check(verdict, "encrypted").message


async def test_esp_too_small_to_hold_a_probe_does_not_count() -> None:
    verdict = await verdict_of(Wire(lambda number, _: SeededEntropy(number).octets(60)))
    assert check(verdict, "encrypted").ok is False


async def test_a_peer_that_does_not_answer_leaves_the_way_back_open() -> None:
    wire = honest()
    wire.host = FakeHost(FENCE, STEERING, wire.probe, answers=False)
    verdict = await verdict_of(wire)
    assert verdict.ok
    assert check(verdict, "return").ok is None
    assert "192.168.2.1 did not answer, and 5 ESP packets of the peer did arrive" in check(verdict, "return").message


async def test_a_refused_probe_is_not_proven() -> None:
    host = FakeHost(FENCE, STEERING, refusal="Operation not permitted")
    verdict = await prove(SUBJECT, host)
    assert not verdict.ok
    assert "from 192.168.1.1: Operation not permitted" in check(verdict, "probe").message
    assert check(verdict, "unreadable").ok is None


async def test_a_gateway_without_an_inner_address_says_so() -> None:
    verdict = await verdict_of(honest(), replace(SUBJECT, local_address=None))
    assert not verdict.ok
    assert "no address inside 192.168.1.0/24" in check(verdict, "probe").message


WEB = replace(SUBJECT, selectors=(Selector(NEAR, FAR, 6, (0, 0), (443, 0xFFFF)),))


def tcp(source: int, destination: int) -> bytes:
    return struct.pack("!HH", source, destination) + bytes(16)


async def test_where_ping_is_not_protected_a_segment_is_sent() -> None:
    verdict = await verdict_of(Wire(lambda number, inner: cipher(number, inner + bytes(12))), WEB)
    assert verdict.ok, verdict.message
    assert "packets of tcp, port 61000 to 443, were sent from 192.168.1.1" in check(verdict, "probe").message
    assert verdict.message == "warehouse: proven. Nothing that the children protect could be read outside."
    assert check(verdict, "return").ok is None
    assert "not asked for" in check(verdict, "return").message


@pytest.mark.parametrize(
    ("source", "destination", "protocol", "payload", "ok"),
    [
        (INNER, PROBED, 6, tcp(9, 443), False),
        (PROBED, INNER, 6, tcp(443, 9), False),
        (INNER, PROBED, 6, tcp(443, 9), True),
        (INNER, PROBED, 6, tcp(9, 80), True),
        (INNER, PROBED, 17, tcp(9, 443), True),
        (INNER, PROBED, 1, tcp(0x800, 0), True),
    ],
)
async def test_only_what_is_protected_counts_as_clear(
    source: IPAddress, destination: IPAddress, protocol: int, payload: bytes, ok: bool
) -> None:
    wire = honest()
    wire.show(ipv4(source, destination, protocol, payload))
    assert check(await verdict_of(wire, WEB), "clear").ok is ok


async def test_a_later_fragment_counts_where_only_its_ports_could_tell() -> None:
    wire = honest()
    packet = ipv4(INNER, PROBED, 6, tcp(9, 80))
    wire.show(packet[:6] + struct.pack("!H", 100) + packet[8:])
    assert check(await verdict_of(wire, WEB), "clear").ok is False


async def test_where_nothing_can_be_sent_the_verdict_says_so() -> None:
    verdict = await verdict_of(honest(), replace(SUBJECT, selectors=(Selector(NEAR, FAR, 47),)))
    assert not verdict.ok
    assert "No probe was tried" in check(verdict, "probe").message
    assert "192.168.2.0/24[47]" in check(verdict, "probe").message


async def test_families_that_differ_are_named() -> None:
    verdict = await verdict_of(honest(), replace(SUBJECT, remote_address=ip_address("2001:db8::1")))
    assert "of another family" in check(verdict, "probe").message


@pytest.mark.parametrize(
    ("fence", "words"),
    [
        (None, "There is no table inet culvert"),
        (replace(FENCE, dormant=True), "does not drop"),
        (replace(FENCE, dropping=frozenset({"prerouting"})), "does not drop"),
        (replace(FENCE, boxes=()), "does not cover 192.168.1.0/24 - 192.168.2.0/24"),
        (replace(FENCE, boxes=(Box((NEAR[0], NEAR[-2]), (FAR[0], FAR[-1])),)), "does not cover"),
    ],
)
async def test_a_fence_with_a_hole_is_named(fence: Fence | None, words: str) -> None:
    wire = honest()
    wire.host = FakeHost(fence, STEERING, wire.probe)
    verdict = await verdict_of(wire)
    assert not verdict.ok
    assert words in check(verdict, "fence").message


async def test_a_fence_in_parts_is_whole() -> None:
    boxes = tuple(Box((half[0], half[-1]), (FAR[0], FAR[-1])) for half in NEAR.subnets())
    wire = honest()
    wire.host = FakeHost(replace(FENCE, boxes=boxes), STEERING, wire.probe)
    assert (await verdict_of(wire)).ok


@pytest.mark.parametrize(
    ("steering", "words"),
    [
        (Steering((), TUN), "no route of ours into culvert0 for 192.168.2.0/24"),
        (Steering((Route(FAR, RouteKind.UNREACHABLE, 1),), TUN), "no route of ours"),
        (Steering(STEERING.routes, "eth0"), "would send the probe to eth0"),
        (Steering(STEERING.routes, ""), "would send the probe nowhere"),
        (Steering(tuple(Route(half, RouteKind.TUN, 1) for half in list(FAR.subnets())[:1]), TUN), "no route of ours"),
    ],
)
async def test_steering_that_leads_elsewhere_is_named(steering: Steering, words: str) -> None:
    wire = honest()
    wire.host = FakeHost(FENCE, steering, wire.probe)
    verdict = await verdict_of(wire)
    assert not verdict.ok
    assert words in check(verdict, "steering").message


async def test_steering_in_parts_is_whole() -> None:
    wire = honest()
    routes = tuple(Route(half, RouteKind.TUN, 1) for half in [*FAR.subnets(), ip_network("192.168.2.0/26")])
    wire.host = FakeHost(FENCE, Steering(routes, TUN), wire.probe)
    assert (await verdict_of(wire)).ok


async def test_packets_that_went_by_unseen_are_not_proven() -> None:
    wire = honest()
    wire.host.listener.unseen = 3
    verdict = await verdict_of(wire)
    assert not verdict.ok
    assert "3 packets on eth0 went by unseen" in check(verdict, "capture").message


async def test_no_outside_interface_is_not_proven() -> None:
    assert not (await verdict_of(honest(), replace(SUBJECT, outside=()))).ok


async def test_few_octets_are_not_judged() -> None:
    wire = honest()
    wire.host = FakeHost(FENCE, STEERING)
    assert check(await verdict_of(wire), "texture").ok is None


async def test_markers_are_not_printed() -> None:
    verdict = await verdict_of(honest())
    assert SeededEntropy(7).octets(32).hex() not in repr(verdict)


async def test_in_transport_mode_the_header_of_a_probe_is_not_inside() -> None:
    wire = Wire(lambda sequence, inner: cipher(sequence, inner[20:]))
    assert check(await verdict_of(wire), "encrypted").ok is False
    wire = Wire(lambda sequence, inner: cipher(sequence, inner[20:]))
    assert (await verdict_of(wire, replace(SUBJECT, transport=True))).ok


async def test_what_ah_protects_is_never_proven() -> None:
    found = check(verdict := await verdict_of(honest(), replace(SUBJECT, readable=("net",))), "unreadable")
    assert (verdict.ok, found.ok) == (False, False)
    assert "AH encrypts nothing: what net carries" in found.message
