"""The transaction that makes our table. What the kernel does with it is tested in namespaces."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

from culvert.config.model import Ends, Gif
from culvert.network.ruleset import COUNTERS, render, render_removal
from culvert.plan.desired import Attached, Clamp, Firewall, Pair

PAIR = Pair(ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24"))
PAIR6 = Pair(ip_network("fd00:1::/64"), ip_network("fd00:2::/64"))


def added(firewall: Firewall, kind: str) -> list[dict[str, Any]]:
    return [command["add"][kind] for command in render(firewall)["nftables"] if kind in command.get("add", {})]


def rules(firewall: Firewall, chain: str) -> list[str]:
    return [json.dumps(rule["expr"]) for rule in added(firewall, "rule") if rule["chain"] == chain]


def elements(firewall: Firewall, name: str) -> list[Any]:
    return next(found.get("elem", []) for found in added(firewall, "set") if found["name"] == name)


def test_everything_of_before_goes_in_the_same_transaction() -> None:
    commands = render(Firewall(fenced=(PAIR,)))["nftables"]
    table = {"table": {"family": "inet", "name": "culvert"}}
    assert commands[:3] == [{"add": table}, {"delete": table}, {"add": table}]
    assert render_removal()["nftables"] == commands[:2]


def test_both_families_are_fenced() -> None:
    firewall = Firewall(fenced=(PAIR, PAIR6))
    assert elements(firewall, "fenced4") == [
        {
            "concat": [
                {"prefix": {"addr": "192.168.1.0", "len": 24}},
                {"prefix": {"addr": "192.168.2.0", "len": 24}},
            ]
        }
    ]
    assert len(elements(firewall, "fenced6")) == 1
    for chain in ("from_elsewhere", "fence_out"):
        assert sum("@fenced" in rule and "drop" in rule for rule in rules(firewall, chain)) == 2


def test_the_fence_stands_before_conntrack_and_nat() -> None:
    hooks = {chain["name"]: chain for chain in added(Firewall(fenced=(PAIR,)), "chain") if "hook" in chain}
    for name, hook in (
        ("fence_in", "prerouting"),
        ("fence_input", "input"),
        ("fence_forward", "forward"),
        ("fence_out", "postrouting"),
    ):
        assert (hooks[name]["hook"], hooks[name]["prio"], hooks[name]["policy"]) == (hook, -300, "accept")


def test_everything_and_single_addresses() -> None:
    firewall = Firewall(fenced=(Pair(ip_network("203.0.113.1/32"), ip_network("0.0.0.0/0")),))
    assert elements(firewall, "fenced4") == [{"concat": ["203.0.113.1", {"range": ["0.0.0.0", "255.255.255.255"]}]}]  # noqa: S104
    assert elements(firewall, "private4") == []


def test_only_private_networks_are_shut_for_the_gateway_itself() -> None:
    public = Pair(PAIR.local, ip_network("198.51.100.0/24"))
    firewall = Firewall(fenced=(PAIR, public, PAIR6))
    assert elements(firewall, "private4") == [{"prefix": {"addr": "192.168.2.0", "len": 24}}]
    assert elements(firewall, "private6") == [{"prefix": {"addr": "fd00:2::", "len": 64}}]


def test_our_own_networks_are_known_but_not_the_whole_world() -> None:
    firewall = Firewall(fenced=(PAIR, PAIR6, Pair(ip_network("0.0.0.0/0"), PAIR.remote)))
    assert elements(firewall, "own4") == [{"prefix": {"addr": "192.168.1.0", "len": 24}}]
    assert elements(firewall, "own6") == [{"prefix": {"addr": "fd00:1::", "len": 64}}]
    assert sum("@own" in rule and '"oif"' in rule and "drop" in rule for rule in rules(firewall, "fence_in")) == 4


def test_overlapping_peers_are_merged() -> None:
    peers = (ip_network("198.51.100.7/32"), ip_network("198.51.100.0/24"), ip_network("2001:db8::1/128"))
    firewall = Firewall(fenced=(PAIR,), peers=peers)
    assert elements(firewall, "peers4") == [{"prefix": {"addr": "198.51.100.0", "len": 24}}]
    assert elements(firewall, "peers6") == ["2001:db8::1"]


def test_without_peers_anybody_may_speak_ike() -> None:
    found = rules(Firewall(fenced=(PAIR,)), "input")
    assert len(found) == 2
    assert not any("drop" in rule for rule in found)


def test_without_accept_the_fence_remains() -> None:
    firewall = Firewall(fenced=(PAIR,), peers=(ip_network("198.51.100.7/32"),), accept=False)
    assert rules(firewall, "input") == rules(firewall, "forward") == []
    assert rules(firewall, "fence_out") == rules(Firewall(fenced=(PAIR,)), "fence_out")


def test_attached_networks_pass_on_their_interface_only() -> None:
    firewall = Firewall(fenced=(PAIR,), attached=(Attached("dmz", ip_network("192.168.2.128/25")),))
    for chain, key in (("from_elsewhere", "iifname"), ("fence_out", "oifname")):
        index = next(index for index, rule in enumerate(rules(firewall, chain)) if '"dmz"' in rule)
        assert key in rules(firewall, chain)[index]
        assert index < next(index for index, rule in enumerate(rules(firewall, chain)) if "@fenced" in rule)


def test_each_segment_size_has_its_pairs() -> None:
    firewall = Firewall(fenced=(PAIR, PAIR6), clamps=(Clamp(PAIR, 1360), Clamp(PAIR6, 1340)))
    assert len(elements(firewall, "clamp1360_4")) == len(elements(firewall, "clamp1340_6")) == 1
    assert elements(firewall, "clamp1360_6") == elements(firewall, "clamp1340_4") == []
    assert len(rules(firewall, "clamp_in")) == len(rules(firewall, "clamp_out")) == 4


def test_counters_go_on_from_where_they_were() -> None:
    commands = render(Firewall(fenced=()), {"fenced_out": (7, 588)})["nftables"]
    counters = {
        command["add"]["counter"]["name"]: command["add"]["counter"]
        for command in commands
        if "counter" in command.get("add", {})
    }
    assert set(counters) == set(COUNTERS)
    assert (counters["fenced_out"]["packets"], counters["fenced_out"]["bytes"]) == (7, 588)
    assert counters["fenced_in"]["packets"] == 0


def test_a_link_brings_nothing_in_the_name_of_this_host_or_of_its_wires() -> None:
    ends = Ends(ip_address("203.0.113.1"), ip_address("198.51.100.1"))
    firewall = Firewall((), gifs=(Gif("gif0", ends),), near=(ip_network("192.168.1.0/24"),))
    judged = [rule for rule in rules(firewall, "fence_in") if "gif0" in rule]
    assert all("drop" in rule for rule in judged)
    assert sum("@near" in rule for rule in judged) == 2
    assert elements(firewall, "near4") == [{"prefix": {"addr": "192.168.1.0", "len": 24}}]
    assert not any("@near" in rule for rule in rules(Firewall((PAIR,)), "fence_in"))
