"""The hash of NAT detection."""

from __future__ import annotations

import hashlib

from culvert.addresses import SocketAddress
from culvert.crypto.compare import constant_time_equal
from culvert.crypto.digests import nat_detection_hash


def test_nat_detection_covers_spis_address_and_port() -> None:
    address = SocketAddress.parse("192.0.2.1", 500)
    data = b"i" * 8 + b"r" * 8 + bytes((192, 0, 2, 1)) + bytes((1, 244))
    assert nat_detection_hash(b"i" * 8, b"r" * 8, address) == hashlib.sha1(data, usedforsecurity=False).digest()


def test_nat_detection_knows_ipv6_and_ports_apart() -> None:
    addresses = [SocketAddress.parse(ip, port) for ip in ("2001:db8::1", "192.0.2.1") for port in (500, 4500)]
    assert len({nat_detection_hash(b"i" * 8, b"r" * 8, address) for address in addresses}) == 4


def test_comparison() -> None:
    assert constant_time_equal(b"same", b"same")
    assert not constant_time_equal(b"same", b"sane")
    assert not constant_time_equal(b"same", b"same ")
