"""The largest packet that fits, counted by hand and by building."""

from __future__ import annotations

from typing import Any

import pytest

from culvert.crypto.transforms import ENCRYPTION, INTEGRITY, Encryption, Integrity, transform_named
from culvert.ipsec.associations import Mode, Protocol
from culvert.ipsec.proposals import ah_proposal, esp_proposal
from culvert.plan.desired import HostFacts
from culvert.plan.mtu import Sizes, Suite, inner_mtu, outer_versions
from culvert.plan.pairs import protected

TUNNEL, TRANSPORT = Mode.TUNNEL, Mode.TRANSPORT


def suite(words: str, *, udp: bool = False, version: int = 4) -> Suite:
    encryption, _, integrity = words.partition("-")
    cipher = transform_named(encryption)
    mac = transform_named(integrity) if integrity else None
    assert isinstance(cipher, Encryption)
    assert mac is None or isinstance(mac, Integrity)
    return Suite(cipher, mac, udp, version)


@pytest.mark.parametrize(
    ("words", "udp", "version", "expected"),
    [
        # 1500 - 20 - 8 - 8 (IV) - 16 (ICV) = 1448, a multiple of 4; less the trailer's 2
        ("aes128gcm16", False, 4, 1446),
        ("aes256gcm16", True, 4, 1438),
        ("chacha20poly1305", True, 6, 1418),
        # 1500 - 20 - 8 - 16 (IV) - 16 (ICV) = 1440 = 90 * 16; less 2
        ("aes128-sha256", False, 4, 1438),
        # 1432 = 89.5 * 16: 1424 - 2
        ("aes128-sha256", True, 4, 1422),
        ("aes256-sha512", False, 6, 1390),
    ],
)
def test_counted_by_hand(words: str, udp: bool, version: int, expected: int) -> None:
    assert inner_mtu(1500, suite(words, udp=udp, version=version)) == expected


def built(inner: int, of: Suite) -> int:
    """Build a packet as RFC 4303 section 2 draws it; give its length."""
    assert of.encryption is not None
    align = max(4, of.encryption.block_octets)
    body = b"p" * inner
    padding = 0
    while (len(body) + padding + 2) % align:
        padding += 1
    protected_octets = body + bytes(range(1, padding + 1)) + bytes([padding, 4])
    icv = of.integrity.icv_octets if of.integrity else of.encryption.icv_octets
    esp = bytes(8) + bytes(of.encryption.iv_octets) + protected_octets + bytes(icv)
    datagram = bytes(8) + esp if of.udp else esp
    return (20 if of.outer_version == 4 else 40) + len(datagram)


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("version", [4, 6])
def test_against_packets_that_are_built(udp: bool, version: int) -> None:
    for encryption in ENCRYPTION:
        for integrity in (None,) if encryption.aead else INTEGRITY:
            one = Suite(encryption, integrity, udp, version)
            for path_mtu in (*range(1280, 1345), 1492, 1500, 9000):
                largest = inner_mtu(path_mtu, one)
                assert built(largest, one) <= path_mtu < built(largest + 1, one)


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("version", [4, 6])
def test_in_transport_mode_the_packet_s_own_header_is_outside(udp: bool, version: int) -> None:
    header = 20 if version == 4 else 40
    for encryption in ENCRYPTION:
        for integrity in (None,) if encryption.aead else INTEGRITY:
            tunnel, transport = (Suite(encryption, integrity, udp, version, mode) for mode in (TUNNEL, TRANSPORT))
            for path_mtu in (*range(1280, 1345), 1500):
                assert inner_mtu(path_mtu, transport) == inner_mtu(path_mtu, tunnel) + header


@pytest.mark.parametrize(
    ("name", "version", "mode", "around"),
    [
        # 12 and the ICV of 16, 24 or 12; over IPv6 up to a multiple of 8 (RFC 4302 section 3.3.3.2.1)
        ("sha256", 4, TUNNEL, 20 + 28),
        ("sha256", 6, TUNNEL, 40 + 32),
        ("sha384", 4, TRANSPORT, 36),
        ("sha384", 6, TRANSPORT, 40),
        ("sha512", 4, TRANSPORT, 44),
        ("aesxcbc", 6, TRANSPORT, 24),
    ],
)
def test_ah(name: str, version: int, mode: Mode, around: int) -> None:
    mac = transform_named(name)
    assert isinstance(mac, Integrity)
    assert inner_mtu(1500, Suite(None, mac, False, version, mode)) == 1500 - around


def test_ah_is_never_in_udp(build: Any, facts: Any) -> None:
    ah = {"protocol": Protocol.AH, "proposals": (ah_proposal("sha256"),)}
    child = build.child("p", "p", "192.168.1.0/24", "10.0.0.0/8", **ah)
    assert mtu_of(build.gateway(build.peer("p", "198.51.100.1", child)), facts) == 1500 - 20 - 28


def mtu_of(gateway: Any, facts: HostFacts, suites: Any = None) -> int:
    return Sizes(gateway, facts, suites or {}).mtu(protected(gateway)[0])


def test_the_worst_that_can_come_counts_until_it_is_known(office: Any, facts: Any) -> None:
    assert mtu_of(office, facts) == inner_mtu(1500, suite("aes128-sha256", udp=True))
    exact = suite("aes128gcm16")
    assert mtu_of(office, facts, {("warehouse", "warehouse"): exact}) == 1446
    assert mtu_of(office, facts, {("warehouse", "other"): exact}) == 1422


def test_only_what_is_offered_counts(build: Any, facts: Any) -> None:
    child = build.child("p", "p", "192.168.1.0/24", "10.0.0.0/8", proposals=(esp_proposal("aes128gcm16"),))
    assert mtu_of(build.gateway(build.peer("p", "198.51.100.1", child)), facts) == 1438


def test_the_path_and_its_bounds(office: Any, facts: Any, build: Any) -> None:
    for path_mtu, expected in ((1492, 1422), (1491, 1406), (9000, 8926), (300, 576)):
        known = build.replace(facts, path_mtu=(("warehouse", path_mtu),))
        assert mtu_of(office, known) == expected
    six = build.peer("p", "198.51.100.1", build.child("p", "p", "2001:db8:1::/48", "2001:db8:2::/48"))
    assert mtu_of(build.gateway(six), build.replace(facts, path_mtu=(("p", 1300),))) == 1280


@pytest.mark.parametrize(
    ("theirs", "ours", "hosts", "expected"),
    [
        ("198.51.100.1", "", "203.0.113.1/24 2001:db8::1/64", {4}),
        ("2001:db8::9", "", "203.0.113.1/24", {6}),
        ("gw.example.org", "", "203.0.113.1/24", {4}),
        ("gw.example.org", "", "203.0.113.1/24 2001:db8::1/64", {4, 6}),
        ("gw.example.org", "", "203.0.113.1/24 fe80::1/64 ::1/128", {4}),
        ("gw.example.org", "203.0.113.1", "203.0.113.1/24 2001:db8::1/64", {4}),
        ("198.51.100.1 2001:db8::9", "", "203.0.113.1/24 2001:db8::1/64", {4, 6}),
        ("", "", "", {4}),
    ],
)
def test_the_families_that_can_carry_it(build: Any, theirs: str, ours: str, hosts: str, expected: set[int]) -> None:
    peer = build.peer("p", theirs, build.child("p", "p", "192.168.1.0/24", "10.0.0.0/8"))
    facts = HostFacts((build.interface("eth0", *hosts.split()),))
    assert outer_versions(build.gateway(peer, addresses=ours), peer, facts) == expected
