"""Runs as sets and rules. What the kernel does with them is tested in namespaces."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

from culvert.network.ruleset import render
from culvert.network.walk import OUT, sets, walk
from culvert.plan.desired import STEER, STEER_FORWARDED, Firewall, Pair
from culvert.plan.entries import Verdict
from culvert.plan.runs import Run, Shape

NETWORKS = Shape(4, 24, 32, False, False, 0, 0)
WEB = Shape(4, 24, 32, True, False, 0, 0xFFFF)
KEY = (0xC0A80100, 0xC0A80222, 0, 0, 0)
WEB_KEY = (0xC0A80100, 0xC0A80222, 6, 0, 443)


def run(shape: Shape, *keys: Any, verdict: Verdict = Verdict.DISCARD) -> tuple[Run, ...]:
    return (Run(verdict, ((shape, keys),)),)


def rules(runs: tuple[Run, ...]) -> list[list[dict[str, Any]]]:
    return list(walk(OUT, runs, lambda _: [{"drop": None}]))


def test_addresses_are_masked_but_for_whole_ones() -> None:
    (one,) = sets(OUT, run(NETWORKS, KEY))
    assert one == {
        "name": "out0_ip_24_32",
        "type": ["ipv4_addr", "ipv4_addr"],
        "elem": [{"concat": ["192.168.1.0", "192.168.2.34"]}],
    }
    ((looked_up, _),) = rules(run(NETWORKS, KEY))
    source, destination = looked_up["match"]["left"]["concat"]
    assert source["&"][1] == "255.255.255.0"
    assert destination == {"payload": {"protocol": "ip", "field": "daddr"}}
    assert looked_up["match"]["right"] == "@out0_ip_24_32"


def test_protocol_and_ports_come_behind() -> None:
    (one,) = sets(OUT, run(WEB, WEB_KEY))
    assert one["type"] == ["ipv4_addr", "ipv4_addr", "inet_proto", "inet_service"]
    assert one["elem"] == [{"concat": ["192.168.1.0", "192.168.2.34", 6, 443]}]
    assert '"field": "dport"' in json.dumps(rules(run(WEB, WEB_KEY)))


def test_masked_ports_and_types_of_icmp() -> None:
    masked = Shape(6, 0, 128, True, False, 0xFFF0, 0)
    assert '{"&": [{"payload": {"protocol": "th", "field": "sport"}}, 65520]}' in json.dumps(rules(run(masked)))
    echo = Shape(6, 0, 128, True, True, 0xFF, 0)
    (one,) = sets(OUT, run(echo, (0, 1, 58, 128, 0)))
    assert (one["type"], one["elem"]) == (["ipv6_addr", "inet_proto", "icmpv6_type"], [{"concat": ["::1", 58, 128]}])
    assert '{"payload": {"protocol": "icmpv6", "field": "type"}}' in json.dumps(rules(run(echo)))


def test_without_addresses_the_family_is_asked_for() -> None:
    """Else a policy of all IPv4 traffic of a protocol would be one of IPv6 too."""
    for version in (4, 6):
        anywhere = Shape(version, 0, 0, True, False, 0, 0xFFFF)
        for rule in rules(run(anywhere, (0, 0, 6, 0, 443), verdict=Verdict.PROTECT)):
            assert {"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": f"ipv{version}"}} in rule


def test_one_field_is_no_concatenation() -> None:
    (one,) = sets(OUT, run(Shape(4, 0, 0, True, False, 0, 0), (0, 0, 17, 0, 0)))
    assert (one["type"], one["elem"]) == ("inet_proto", [17])


def test_everything_of_a_family_needs_no_set() -> None:
    everything = run(Shape(6, 0, 0, False, False, 0, 0), (0, 0, 0, 0, 0))
    assert list(sets(OUT, everything)) == []
    ((family, _),) = rules(everything)
    assert family["match"]["right"] == "ipv6"


def test_a_later_fragment_may_be_of_what_is_protected_and_only_of_that() -> None:
    protecting = run(WEB, WEB_KEY, (*WEB_KEY[:4], 80), verdict=Verdict.PROTECT)
    _, fragments = sets(OUT, protecting)
    assert fragments["name"].endswith("_fragments")
    assert fragments["elem"] == [{"concat": ["192.168.1.0", "192.168.2.34", 6]}]
    assert "frag-off" in json.dumps(rules(protecting)[1][0])
    assert len(rules(run(WEB, WEB_KEY))) == 1
    six = run(WEB._replace(version=6), WEB_KEY, verdict=Verdict.PROTECT)
    assert "exthdr" in json.dumps(rules(six)[1][0])


def table(firewall: Firewall) -> str:
    return json.dumps(render(firewall))


def test_a_table_without_runs_has_no_chains_for_them() -> None:
    said = table(Firewall(fenced=()))
    assert not any(word in said for word in ("walk", "steer", "guarded"))


def test_what_leaves_is_marked_and_dropped_where_it_leaves_elsewhere() -> None:
    firewall = Firewall(fenced=(), out=run(NETWORKS, KEY, verdict=Verdict.PROTECT))
    said = table(firewall)
    assert all(f'"name": "{chain}"' in said for chain in ("steer_out", "steer_in", "steer_walk", "fence_walk_out"))
    assert all(f'"value": {mark}' in said for mark in (STEER, STEER_FORWARDED))
    assert "fence_walk_in" not in said


def test_what_arrives_is_judged_without_steering_anything() -> None:
    said = table(Firewall(fenced=(), inward=run(NETWORKS, KEY), forward=run(NETWORKS, KEY)))
    assert all(f'"name": "{chain}"' in said for chain in ("steer_in", "fence_walk_in", "fence_walk_forward"))
    assert not any(chain in said for chain in ("steer_out", "steer_walk", "fence_walk_out"))


def test_guarded_pairs_keep_false_friends_out() -> None:
    pair = Pair(ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24"))
    said = table(Firewall(fenced=(), guarded=(pair,)))
    assert '"right": "@guarded4"' in said


def test_elements_are_counted() -> None:
    runs = run(NETWORKS, KEY)
    assert Firewall(fenced=(), out=runs, inward=runs, forward=runs).elements == 3
