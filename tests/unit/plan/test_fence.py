"""The firewall of a gateway."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from culvert.plan.desired import Attached, Clamp, Firewall, HostFacts, Pair
from culvert.plan.fence import firewall
from culvert.plan.mtu import Sizes


def test_the_chapter(office: Any, facts: Any) -> None:
    pair = Pair(ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24"))
    assert firewall(Sizes(office, facts, {})) == Firewall(
        fenced=(pair,),
        peers=(ip_network("198.51.100.1/32"),),
        clamps=(Clamp(pair, 1382),),
    )


def test_firewall_false_keeps_the_fence(office: Any, facts: Any, build: Any) -> None:
    found = firewall(Sizes(build.replace(office, firewall=False), facts, {}))
    assert found.fenced
    assert not found.accept


def test_peers_that_are_anybody(build: Any, facts: Any) -> None:
    fixed = build.peer("a", "198.51.100.9 198.51.100.1", build.child("a", "a", "192.168.1.0/24", "10.1.0.0/16"))
    for addresses in ("", "gw.example.org", "198.51.100.2 gw.example.org"):
        other = build.peer("b", addresses, build.child("b", "b", "192.168.1.0/24", "10.2.0.0/16"))
        assert firewall(Sizes(build.gateway(fixed, other), facts, {})).peers == ()
    assert firewall(Sizes(build.gateway(fixed), facts, {})).peers == (
        ip_network("198.51.100.1/32"),
        ip_network("198.51.100.9/32"),
    )


def test_segments_of_ipv6_and_of_a_peer_that_says_so(build: Any, facts: Any) -> None:
    six = build.peer("a", "198.51.100.1", build.child("a", "a", "2001:db8:1::/48", "2001:db8:2::/48"), mtu=1400)
    said = build.peer("b", "198.51.100.2", build.child("b", "b", "192.168.1.0/24", "10.2.0.0/16"), mss=1200)
    clamps = firewall(Sizes(build.gateway(six, said), facts, {})).clamps
    assert [(str(clamp.pair.remote), clamp.mss) for clamp in clamps] == [
        ("10.2.0.0/16", 1200),
        ("2001:db8:2::/48", 1340),
    ]


def test_what_a_peer_claims_on_a_wire_of_ours_is_fenced_all_the_same(build: Any) -> None:
    wide = build.peer("a", "198.51.100.1", build.child("a", "a", "192.168.1.0/24", "10.0.0.0/8"))
    host = build.peer("b", "10.1.0.3", build.child("b", "b", "192.168.1.0/24", "10.1.0.3/32"))
    facts = HostFacts((build.interface("eth1", "10.1.0.1/30"),))
    assert firewall(Sizes(build.gateway(wide, host), facts, {})).attached == (
        Attached("eth1", ip_network("10.1.0.0/31")),
        Attached("eth1", ip_network("10.1.0.2/32")),
    )


def test_what_is_attached_inside_a_wider_range(build: Any) -> None:
    peer = build.peer("a", "198.51.100.1", build.child("a", "a", "10.1.0.0/16", "10.0.0.0/8"))
    facts = HostFacts((build.interface("eth1", "10.1.0.1/16"),))
    assert firewall(Sizes(build.gateway(peer), facts, {})).attached == (Attached("eth1", ip_network("10.1.0.0/16")),)
