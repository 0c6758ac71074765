"""What is led by routes, and what by marks."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from culvert.config.model import Gateway
from culvert.ipsec.associations import Direction
from culvert.ipsec.policies import Action, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.plan.desired import (
    MARKED_TABLE,
    ROUTING_TABLE,
    DesiredState,
    HostFacts,
    Marked,
    Pair,
    Route,
    RouteKind,
    Unbound,
)
from culvert.plan.desired_state import desired
from culvert.plan.division import divide
from culvert.plan.entries import NOBODY, Others, Verdict, entries
from culvert.plan.explain import explain
from culvert.plan.policies import PRIORITY

HERE, THERE = ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24")
PAIR = Pair(HERE, THERE)
FIRST, LAST = PRIORITY - 1, PRIORITY + 1_000


def others(*policies: Policy) -> Others:
    ways = {"out": Direction.OUT, "inward": Direction.IN, "forward": Direction.FORWARD}
    return Others(**{name: entries(policies, way) for name, way in ways.items()}, count=len(policies))


def policy(
    source: Any, destination: Any, action: Action, priority: int, direction: Direction = Direction.OUT
) -> Policy:
    anybody = ip_network("0.0.0.0/32")[0]
    templates = (Template(anybody, anybody),) if action is Action.PROTECT else ()
    return Policy(Selector(source, destination), direction, action, priority, templates)


@pytest.fixture
def web(build: Any) -> Gateway:
    child = build.child("warehouse", "web", "192.168.1.0/24", "192.168.2.0/24[tcp/443]")
    return build.gateway(build.peer("warehouse", "198.51.100.1", child, mtu=1400))


def verdicts(runs: Any) -> list[Verdict]:
    return [run.verdict for run in runs]


def test_everything_between_two_networks_needs_no_runs(office: Gateway, facts: HostFacts) -> None:
    division = divide(office, facts)
    assert (division.out, division.inward, division.forward, division.marked, division.steered) == ((), (), (), (), ())
    assert len(division.simple) == 1


def test_a_port_makes_runs_marks_and_a_table_of_its_own(web: Gateway, facts: HostFacts) -> None:
    state = desired(web, facts)
    assert state.firewall.fenced == ()
    assert state.firewall.guarded == (PAIR,)
    assert verdicts(state.firewall.out) == verdicts(state.firewall.inward) == [Verdict.PROTECT]
    assert state.rules == (Unbound(THERE, 6, None, (443, 443)), Marked(4))
    assert {route.table for route in state.routes} == {MARKED_TABLE}
    tun = [route for route in state.routes if route.kind is RouteKind.TUN]
    assert [(route.destination, route.mtu) for route in tun] == [(ip_network("0.0.0.0/0"), None), (THERE, 1400)]
    assert {clamp.pair for clamp in state.firewall.clamps} == {PAIR}
    assert any("protocol 6 to port 443" in line for line in explain(state))


@pytest.mark.parametrize("action", [Action.BYPASS, Action.DISCARD])
@pytest.mark.parametrize("direction", [Direction.OUT, Direction.IN])
def test_another_verdict_in_front_takes_the_pair_apart(
    office: Gateway, facts: HostFacts, action: Action, direction: Direction
) -> None:
    ends = (HERE, THERE) if direction is Direction.OUT else (THERE, HERE)
    division = divide(office, facts, others(policy(*ends, action, FIRST, direction)))
    assert division.simple == ()
    there, missing = (division.out, division.inward) if direction is Direction.OUT else (division.inward, division.out)
    assert verdicts(there)[-1] is Verdict.PROTECT
    assert len(there) == 2
    assert verdicts(missing) == [Verdict.PROTECT]


def test_it_leaves_alone_what_it_does_not_touch_or_comes_behind(office: Gateway, facts: HostFacts) -> None:
    elsewhere = policy(HERE, ip_network("10.0.0.0/8"), Action.BYPASS, FIRST)
    behind = policy(HERE, THERE, Action.DISCARD, LAST)
    alike = policy(HERE, THERE, Action.PROTECT, FIRST)
    for one in (elsewhere, behind, alike):
        division = divide(office, facts, others(one))
        assert len(division.simple) == 1
        assert len(division.out) == 1


def test_a_network_on_a_wire_of_ours_stays_there(build: Any, facts: HostFacts) -> None:
    """Inside a wide range of which a part is protected, as inside one that is protected whole."""
    child = build.child("p", "c", "192.168.1.0/24", "0.0.0.0/0[tcp/443]")
    division = divide(build.gateway(build.peer("p", "198.51.100.1", child)), facts)
    assert verdicts(division.out) == verdicts(division.inward) == [Verdict.PASS, Verdict.PROTECT]
    (passing, _) = division.out
    assert {(shape.source_length, shape.destination_length) for shape, _ in passing.sets} == {(24, 24)}
    assert sum(len(keys) for _, keys in passing.sets) == 2  # eth0's and eth1's


def test_policies_of_others_alone_lead_everything_marked_into_the_tunnel(build: Any, facts: HostFacts) -> None:
    state = desired(build.gateway(), facts, others=others(policy(HERE, THERE, Action.PROTECT, 0)))
    everywhere = ip_network("0.0.0.0/0")
    assert [(route.destination, route.kind) for route in state.routes] == [
        (everywhere, RouteKind.TUN),
        (everywhere, RouteKind.UNREACHABLE),
    ]
    assert state.rules == (Marked(4),)
    assert (state.firewall.fenced, state.firewall.guarded, state.policies) == ((), (), ())


def test_what_only_discards_steers_nothing(build: Any, facts: HostFacts) -> None:
    state = desired(build.gateway(), facts, others=others(policy(HERE, THERE, Action.DISCARD, 0)))
    assert (state.routes, state.rules) == ((), ())
    assert verdicts(state.firewall.out) == [Verdict.DISCARD]


def test_ipv6_of_others_switches_the_tunnel_device_to_it(build: Any) -> None:
    facts = HostFacts((build.interface("eth0", "203.0.113.1/24", "2001:db8::1/64"),))
    six = policy(ip_network("fd00:1::/64"), ip_network("fd00:2::/64"), Action.PROTECT, 0)

    def names(state: DesiredState) -> set[str]:
        return {setting.name for setting in state.tun_sysctls}

    assert "net.ipv6.conf.culvert0.disable_ipv6" in names(desired(build.gateway(), facts))
    assert "net.ipv6.conf.culvert0.disable_ipv6" not in names(desired(build.gateway(), facts, others=others(six)))


def test_who_may_send_esp(office: Gateway, build: Any, facts: HostFacts) -> None:
    known, other = ip_network("198.51.100.1/32"), ip_network("198.51.100.7/32")
    for ends, peers in (((other,), (known, other)), ((), (known,)), (None, ())):
        assert desired(office, facts, others=replace(NOBODY, ends=ends)).firewall.peers == peers
    assert desired(build.gateway(), facts, others=replace(NOBODY, ends=(other,))).firewall.peers == ()


def test_a_simple_configuration_keeps_to_its_table(office: Gateway, facts: HostFacts) -> None:
    found = desired(office, facts).routes
    assert found
    assert all(isinstance(route, Route) and route.table == ROUTING_TABLE for route in found)
