"""The rules that lead into our table, as the kernel gets them."""

from __future__ import annotations

from ipaddress import ip_network

from culvert.network.rules import BYPASS_PRIORITY, END_PRIORITY, compile_rules
from culvert.plan.desired import (
    MARK,
    MARKED_TABLE,
    RULE_PRIORITY,
    STEER,
    STEER_FORWARDED,
    TUN,
    Marked,
    Rule,
    Unbound,
)


def test_nothing_wanted_is_nothing() -> None:
    assert compile_rules(()) == ()


def test_the_jump_and_its_end_come_before_the_lookups() -> None:
    end, jump, lookup = compile_rules((Rule(ip_network("192.168.1.0/24")),))
    assert end.priority == END_PRIORITY
    assert (jump.priority, jump.mark, jump.target) == (BYPASS_PRIORITY, MARK, END_PRIORITY)
    assert (lookup.priority, lookup.source, lookup.own) == (RULE_PRIORITY, ip_network("192.168.1.0/24"), False)


def test_a_family_without_rules_is_left_alone() -> None:
    assert {rule.family for rule in compile_rules((Rule(ip_network("fd00::/8")),))} == {10}


def test_a_source_that_is_everything_has_no_selector() -> None:
    assert compile_rules((Rule(ip_network("0.0.0.0/0")),))[-1].source is None


def test_own_ipv6_traffic_with_a_source_jumps_first() -> None:
    rules = compile_rules((Rule(ip_network("::/128"), own=True),))
    assert [rule.priority - RULE_PRIORITY for rule in rules] == [3, -1, 1, 1, 2]
    assert rules[-1].own
    assert rules[-1].source is None


def test_the_same_rule_twice_is_one() -> None:
    rule = Rule(ip_network("192.168.1.0/24"))
    assert compile_rules((rule, rule)) == compile_rules((rule,))


def test_what_is_marked_looks_into_its_table_and_the_way_back_does_not() -> None:
    _, jump, back, *lookups = compile_rules((Marked(4),))
    assert (jump.mark, jump.interface) == (MARK, None)
    assert (back.mark, back.interface, back.priority, back.target) == (
        STEER_FORWARDED,
        TUN,
        BYPASS_PRIORITY,
        END_PRIORITY,
    )
    assert [(rule.mark, rule.table) for rule in lookups] == [(STEER, MARKED_TABLE), (STEER_FORWARDED, MARKED_TABLE)]


def test_own_traffic_of_one_port_looks_into_the_table_of_the_marked() -> None:
    unbound = Unbound(ip_network("192.168.2.0/24"), 6, None, (443, 443))
    rule = compile_rules((unbound,))[-1]
    assert (rule.table, rule.protocol, rule.source_ports, rule.destination_ports) == (MARKED_TABLE, 6, None, (443, 443))
    assert rule.own
    assert rule.source == ip_network("0.0.0.0/32")
    six = compile_rules((Unbound(ip_network("fd00::/8"), 17),))
    assert [one.priority - RULE_PRIORITY for one in six] == [3, -1, 1, 1, 2]
