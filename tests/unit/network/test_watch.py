"""What a datagram of netlink notifications says about us."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from culvert.network.watch import Changed, judge


def attribute(kind: int, value: bytes) -> bytes:
    raw = struct.pack("=HH", 4 + len(value), kind) + value
    return raw + bytes(-len(raw) % 4)


def message(kind: int, fixed: int, *attributes: bytes) -> bytes:
    payload = bytes(fixed) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(payload), kind, 0, 0, 0) + payload


OUR_ROUTE = message(25, 12, attribute(1, bytes(4)), attribute(15, struct.pack("=I", 4500)))
ROUTE_OF_A_LINK = struct.pack("=IHHII", 28, 25, 0, 0, 0) + bytes([2, 24, 0, 0, 254, 145, 0, 1, 0, 0, 0, 0])
OTHER_ROUTE = message(25, 12, attribute(15, struct.pack("=I", 254)))
OUR_RULE = message(33, 12, attribute(21, b"\x91"))
OTHER_RULE = message(33, 12, attribute(21, b"\x02"))
TUN_GONE = message(17, 16, attribute(3, b"culvert0\0"))
LINK_CHANGED = message(16, 16, attribute(3, b"gif0\0"))
OTHER_GONE = message(17, 16, attribute(3, b"eth0\0"))
ADDRESS = message(20, 8)


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (OUR_ROUTE, {Changed.ROUTES}),
        (ROUTE_OF_A_LINK, {Changed.ROUTES}),
        (OTHER_ROUTE, {Changed.WAYS}),
        (OUR_RULE, {Changed.RULES}),
        (OTHER_RULE, {Changed.WAYS}),
        (TUN_GONE, {Changed.LINK}),
        (LINK_CHANGED, {Changed.LINK}),
        (OTHER_GONE, {Changed.WAYS}),
        (ADDRESS, {Changed.ADDRESSES}),
        (OTHER_ROUTE + OUR_RULE + TUN_GONE, {Changed.RULES, Changed.LINK, Changed.WAYS}),
        (OUR_ROUTE[:-1], set()),
        (b"", set()),
    ],
)
def test_route_notifications(datagram: bytes, expected: set[Changed]) -> None:
    assert judge(datagram, firewall=False) == expected


def test_firewall_notifications() -> None:
    ours, other = attribute(1, b"culvert\0"), attribute(1, b"filter\0")
    deleted_rule, generation = 10 << 8 | 8, 10 << 8 | 15
    assert judge(message(deleted_rule, 4, ours), firewall=True) == {Changed.FIREWALL}
    assert judge(message(deleted_rule, 4, other), firewall=True) == set()
    assert judge(message(generation, 4, attribute(1, bytes(4))), firewall=True) == set()


@given(st.binary(max_size=200), st.booleans())
def test_any_octets_are_judged(datagram: bytes, firewall: bool) -> None:
    judge(datagram, firewall=firewall)
