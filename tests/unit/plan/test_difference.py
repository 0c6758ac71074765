"""The order of changes: nothing leaves in clear on the way."""

from __future__ import annotations

from typing import Any

from culvert.plan.desired_state import desired
from culvert.plan.difference import (
    NOTHING,
    AddPolicies,
    AddSteering,
    RemovePolicies,
    RemoveSteering,
    SetFirewall,
    SetSysctls,
    difference,
)


def kinds(steps: Any) -> list[type]:
    return [type(step) for step in steps]


def test_up_and_down(office: Any, facts: Any) -> None:
    state = desired(office, facts)
    assert kinds(difference(state, NOTHING)) == [SetSysctls, SetFirewall, AddPolicies, SetSysctls, AddSteering]
    assert kinds(difference(NOTHING, state)) == [RemoveSteering, RemovePolicies, SetFirewall]
    assert difference(state, state) == ()


def test_moving_a_network_fences_the_old_and_the_new_meanwhile(office: Any, facts: Any, build: Any) -> None:
    child = build.child("warehouse", "warehouse", "192.168.1.0/24", "192.168.3.0/24")
    peer = build.replace(office.peers[0], children=(child,))
    before, after = desired(office, facts), desired(build.replace(office, peers=(peer,)), facts)
    steps = difference(after, before)
    assert kinds(steps) == [SetFirewall, AddPolicies, AddSteering, RemoveSteering, RemovePolicies, SetFirewall]
    first, last = steps[0], steps[-1]
    assert isinstance(first, SetFirewall)
    assert isinstance(last, SetFirewall)
    assert set(first.firewall.fenced) == {*before.firewall.fenced, *after.firewall.fenced}
    assert last.firewall == after.firewall
    removal = steps[3]
    assert isinstance(removal, RemoveSteering)
    assert {route.destination for route in removal.routes} == {before.policies[0].selector.destination}
    assert removal.rules == ()


def test_another_mtu_replaces_a_route_and_removes_none(office: Any, facts: Any, build: Any) -> None:
    narrow = build.replace(facts, path_mtu=(("warehouse", 1400),))
    steps = difference(desired(office, narrow), desired(office, facts))
    assert kinds(steps) == [SetFirewall, AddSteering]


def test_what_did_not_change_is_not_touched(office: Any, facts: Any, build: Any) -> None:
    other = build.peer("b", "198.51.100.2", build.child("b", "b", "192.168.1.0/24", "10.0.0.0/8"))
    before = desired(office, facts)
    after = desired(build.replace(office, peers=(*office.peers, other)), facts)
    added = [step for step in difference(after, before) if isinstance(step, AddPolicies)]
    assert [str(policy.selector.destination) for policy in added[0].policies] == ["10.0.0.0/8", "192.168.1.0/24"]
    assert not set(added[0].policies) & set(before.policies)


def test_while_a_peer_goes_nobody_else_is_shut_out(office: Any, facts: Any, build: Any) -> None:
    other = build.peer("b", "198.51.100.2", build.child("b", "b", "192.168.1.0/24", "10.0.0.0/8"))
    before = desired(build.replace(office, peers=(*office.peers, other)), facts)
    meanwhile = difference(desired(office, facts), before)[0]
    assert isinstance(meanwhile, RemoveSteering)  # the fence that stands covers both: it is not touched yet
