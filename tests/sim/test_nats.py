"""Translators as RFC 4787 classifies them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.sim.nat import FIRST_PORT, Behaviour, Nat

PUBLIC = ip_address("192.0.2.1")
INSIDE, OTHER_INSIDE = SocketAddress.parse("10.0.0.1", 4500), SocketAddress.parse("10.0.0.2", 4500)
THERE = SocketAddress.parse("203.0.113.1", 4500)
SAME_ADDRESS = SocketAddress.parse("203.0.113.1", 500)
ELSEWHERE = SocketAddress.parse("198.51.100.9", 4500)


@pytest.mark.parametrize(
    ("mapping", "same"),
    [
        (Behaviour.ENDPOINT_INDEPENDENT, (True, True)),
        (Behaviour.ADDRESS_DEPENDENT, (True, False)),
        (Behaviour.ADDRESS_AND_PORT_DEPENDENT, (False, False)),
    ],
)
def test_mapping(mapping: Behaviour, same: tuple[bool, bool]) -> None:
    nat = Nat(PUBLIC, mapping=mapping)
    first = nat.outward(INSIDE, THERE, 0)
    assert first == SocketAddress(PUBLIC, FIRST_PORT)
    assert nat.outward(INSIDE, THERE, 1) == first
    assert (nat.outward(INSIDE, SAME_ADDRESS, 1) == first, nat.outward(INSIDE, ELSEWHERE, 1) == first) == same


@pytest.mark.parametrize(
    ("filtering", "let_in"),
    [
        (Behaviour.ENDPOINT_INDEPENDENT, (True, True)),
        (Behaviour.ADDRESS_DEPENDENT, (True, False)),
        (Behaviour.ADDRESS_AND_PORT_DEPENDENT, (False, False)),
    ],
)
def test_filtering(filtering: Behaviour, let_in: tuple[bool, bool]) -> None:
    nat = Nat(PUBLIC, filtering=filtering)
    port = nat.outward(INSIDE, THERE, 0).port
    assert nat.inward(THERE, port, 0) == INSIDE
    assert tuple(nat.inward(source, port, 0) == INSIDE for source in (SAME_ADDRESS, ELSEWHERE)) == let_in
    assert nat.inward(THERE, port + 1, 0) is None


def test_two_machines_have_two_ports_and_the_first_keeps_its_own() -> None:
    nat = Nat(PUBLIC, preserves_ports=True)
    assert nat.outward(INSIDE, THERE, 0).port == INSIDE.port
    assert nat.outward(OTHER_INSIDE, THERE, 0).port == FIRST_PORT


def test_a_mapping_lives_as_long_as_it_is_used_from_inside() -> None:
    nat = Nat(PUBLIC, timeout_ns=30 * SECOND)
    port = nat.outward(INSIDE, THERE, 0).port
    assert nat.outward(INSIDE, THERE, 20 * SECOND).port == port
    assert nat.inward(THERE, port, 45 * SECOND) == INSIDE
    assert nat.inward(THERE, port, 51 * SECOND) is None
    assert nat.outward(INSIDE, THERE, 52 * SECOND).port == port + 1


def test_what_it_forgot_has_other_ports_afterwards() -> None:
    nat = Nat(PUBLIC)
    port = nat.outward(INSIDE, THERE, 0).port
    nat.rebind()
    assert nat.inward(THERE, port, 0) is None
    assert nat.outward(INSIDE, THERE, 0).port == port + 1


def test_a_machine_that_is_forwarded_to_can_be_called_by_anybody() -> None:
    nat = Nat(PUBLIC, filtering=Behaviour.ADDRESS_AND_PORT_DEPENDENT, forwards=INSIDE.ip)
    assert nat.inward(ELSEWHERE, 500, 0) == SocketAddress(INSIDE.ip, 500)
    assert nat.outward(INSIDE, ELSEWHERE, 0) == SocketAddress(PUBLIC, INSIDE.port)
