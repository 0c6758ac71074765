"""Policies as entries: what a packet in clear shows, and what becomes of it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from culvert.ipsec.associations import Direction
from culvert.ipsec.policies import Action, Level, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.plan.entries import PORTED, Entry, Verdict, entries, entries_of, verdict_of

HERE, THERE = ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24")
ANY = ip_address(0)
REQUIRED, OPTIONAL = Template(ANY, ANY), Template(ANY, ANY, level=Level.USE)


def policy(action: Action = Action.PROTECT, direction: Direction = Direction.OUT, **more: Any) -> Policy:
    templates = more.pop("templates", (REQUIRED,) if action is Action.PROTECT else ())
    priority = more.pop("priority", 0)
    return Policy(Selector(HERE, THERE, **more), direction, action, priority, templates)


def one(policy: Policy) -> Entry:
    (entry,) = entries_of(policy)
    return entry


@pytest.mark.parametrize(
    ("action", "direction", "templates", "verdict"),
    [
        (Action.DISCARD, Direction.OUT, (), Verdict.DISCARD),
        (Action.BYPASS, Direction.OUT, (), Verdict.PASS),
        (Action.PROTECT, Direction.OUT, (REQUIRED,), Verdict.PROTECT),
        (Action.PROTECT, Direction.IN, (REQUIRED,), Verdict.PROTECT),
        (Action.PROTECT, Direction.OUT, (OPTIONAL,), Verdict.PROTECT),
        (Action.PROTECT, Direction.IN, (OPTIONAL,), Verdict.PASS),
        (Action.PROTECT, Direction.FORWARD, (OPTIONAL,), Verdict.PASS),
        (Action.PROTECT, Direction.IN, (OPTIONAL, REQUIRED), Verdict.PROTECT),
    ],
)
def test_what_may_be_left_out_need_not_arrive_protected(action, direction, templates, verdict) -> None:
    assert verdict_of(policy(action, direction, templates=templates)) is verdict


def test_addresses_are_numbers() -> None:
    entry = one(policy(protocol=6, destination_port=(443, 0xFFFF), priority=7))
    assert (entry.priority, entry.version, entry.protocol) == (7, 4, 6)
    assert (entry.source, entry.source_length) == (0xC0A80100, 24)
    assert (entry.destination, entry.destination_length) == (0xC0A80200, 24)
    assert entry[8:12] == (0, 0, 443, 0xFFFF)


def test_ports_of_any_protocol_are_those_of_each_that_has_them() -> None:
    found = list(entries_of(policy(destination_port=(443, 0xFFFF))))
    assert [entry.protocol for entry in found] == list(PORTED)
    also_a_code = list(entries_of(policy(source_port=(8, 0xFFFF))))
    assert [entry.protocol for entry in also_a_code] == [*PORTED, 1]


def test_ports_of_a_protocol_without_them_match_nothing() -> None:
    assert not list(entries_of(policy(protocol=47, destination_port=(1, 0xFFFF))))
    assert one(policy(protocol=47)).protocol == 47


def test_type_and_code_of_icmp_have_eight_bits() -> None:
    entry = one(policy(protocol=1, source_port=(8, 0xFFFF), destination_port=(0, 0xFF00)))
    assert entry[8:12] == (8, 0xFF, 0, 0)
    assert not list(entries_of(policy(protocol=1, source_port=(0x108, 0xFFFF))))


def test_entries_come_in_the_order_in_which_they_are_asked() -> None:
    late, early = policy(Action.BYPASS, priority=9), policy(Action.DISCARD, priority=1)
    found = entries([late, early, policy(direction=Direction.IN)], Direction.OUT)
    assert [entry.verdict for entry in found] == [Verdict.DISCARD, Verdict.PASS]
