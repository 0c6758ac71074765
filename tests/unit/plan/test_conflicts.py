"""What cannot work on a given host."""

from __future__ import annotations

from typing import Any

from culvert.plan.conflicts import conflicts
from culvert.plan.desired import HostFacts


def test_none_in_the_chapter(office: Any, facts: Any) -> None:
    assert conflicts(office, facts) == ()


def test_the_peers_network_is_on_a_wire_of_ours(office: Any, build: Any) -> None:
    for address in ("192.168.2.77/24", "192.168.3.1/16"):
        facts = HostFacts((build.interface("eth0", "203.0.113.1/24"), build.interface("wlan0", address)))
        (problem,) = conflicts(office, facts)
        assert problem.what.startswith('192.168.2.0/24 of peer "warehouse" is also on wlan0 of this machine (192.168.')


def test_a_host_on_our_wire_may_be_a_peers(build: Any, facts: Any) -> None:
    peer = build.peer("p", "203.0.113.9", build.child("p", "p", "203.0.113.1/32", "203.0.113.9/32"))
    assert conflicts(build.gateway(peer), facts) == ()


def test_an_address_that_this_host_does_not_have(build: Any, facts: Any) -> None:
    (problem,) = conflicts(build.gateway(addresses="203.0.113.1 203.0.113.2"), facts)
    assert problem.what == "this machine does not have the address 203.0.113.2"
