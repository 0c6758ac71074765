"""The rules that lead into our table, as the kernel gets them."""

from __future__ import annotations

from ipaddress import ip_network

from culvert.network.rules import BYPASS_PRIORITY, END_PRIORITY, compile_rules
from culvert.plan.desired import MARK, RULE_PRIORITY, Rule


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
