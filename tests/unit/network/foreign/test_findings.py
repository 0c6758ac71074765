"""What rulesets of others do to the tunnel's traffic.

samples/*.json is what nft 1.0.6 lists after loading the .nft file beside it; samples/*.iptables has the form that
iptables-save 1.8.9 prints.
"""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from culvert.network.foreign.chains import ForeignChain
from culvert.network.foreign.findings import Finding, judge
from culvert.network.foreign.iptables_reader import read_save
from culvert.network.foreign.nft_reader import read_chains, tables_with_opaque_rules
from culvert.network.foreign.questions import Traffic
from culvert.network.ruleset import render
from culvert.plan.desired import Firewall, HostFacts, HostInterface, Pair

SAMPLES = Path(__file__).parent / "samples"
PAIR = Pair(ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24"))
OURS = Firewall(fenced=(PAIR,), peers=(ip_network("198.51.100.1/32"),))
FACTS = HostFacts(
    interfaces=(
        HostInterface("lan", 1500, ((ip_address("192.168.1.1"), 24),)),
        HostInterface("outside", 1500, ((ip_address("203.0.113.1"), 24),)),
    )
)


def from_nft(name: str) -> list[ForeignChain]:
    return read_chains(json.loads((SAMPLES / f"{name}.json").read_text())["nftables"])


def from_iptables(name: str, tool: str = "iptables") -> list[ForeignChain]:
    return read_save((SAMPLES / f"{name}.iptables").read_text(), 4, tool)


def about(chains: list[ForeignChain], ours: Firewall = OURS) -> dict[tuple[str, Traffic, bool], Finding]:
    return {(found.chain, found.traffic, found.inbound): found for found in judge(chains, ours, FACTS, "outside")}


def test_a_closed_ruleset_is_named_chain_by_chain() -> None:
    found = about(from_nft("handmade"))
    assert set(found) == {
        ("input", Traffic.IKE, True),
        ("input", Traffic.ESP, True),
        ("forward", Traffic.BETWEEN, True),
        ("forward", Traffic.BETWEEN, False),
        ("postrouting", Traffic.BETWEEN, False),
    }
    assert all(finding.certain for finding in found.values())
    assert found["input", Traffic.IKE, True].rule == "policy drop"
    assert found["postrouting", Traffic.BETWEEN, False].translates


def test_the_line_that_lets_it_through() -> None:
    found = about(from_nft("handmade"))
    assert {key: finding.remedy for key, finding in found.items()} == {
        ("input", Traffic.IKE, True): "nft insert rule inet filter input "
        "'ip saddr 198.51.100.1/32 udp dport { 500, 4500 } accept'",
        ("input", Traffic.ESP, True): "nft insert rule inet filter input "
        "'ip saddr 198.51.100.1/32 meta l4proto esp accept'",
        ("forward", Traffic.BETWEEN, True): "nft insert rule inet filter forward "
        "'iifname \"culvert0\" ip saddr 192.168.2.0/24 ip daddr 192.168.1.0/24 accept'",
        ("forward", Traffic.BETWEEN, False): "nft insert rule inet filter forward "
        "'oifname \"culvert0\" ip saddr 192.168.1.0/24 ip daddr 192.168.2.0/24 accept'",
        ("postrouting", Traffic.BETWEEN, False): "nft insert rule ip nat postrouting "
        "'oifname \"culvert0\" ip saddr 192.168.1.0/24 ip daddr 192.168.2.0/24 accept'",
    }


def test_accepting_rules_before_it_make_it_fine() -> None:
    assert about(from_nft("open")) == {}


def test_another_peer_or_network_is_not_let_through() -> None:
    other = Firewall(fenced=(Pair(PAIR.local, ip_network("172.16.0.0/24")),), peers=OURS.peers)
    assert set(about(from_nft("open"), other)) == {
        ("forward", Traffic.BETWEEN, True),
        ("postrouting", Traffic.BETWEEN, False),
    }


def test_zones() -> None:
    found = about(from_nft("zones"))
    assert set(found) == {
        ("filter_INPUT", Traffic.IKE, True),
        ("filter_INPUT", Traffic.ESP, True),
        ("filter_FORWARD", Traffic.BETWEEN, True),
        ("filter_FORWARD", Traffic.BETWEEN, False),
    }
    assert all(finding.certain and finding.owner == "firewalld" for finding in found.values())
    assert "--add-service=ipsec" in found["filter_INPUT", Traffic.ESP, True].remedy
    assert "destination address=192.168.2.0/24" in found["filter_FORWARD", Traffic.BETWEEN, False].remedy


def test_what_is_not_known_is_perhaps() -> None:
    found = about(from_nft("unknown"))
    assert not any(finding.certain for finding in found.values())
    assert ("input", Traffic.IKE, True) in found
    assert ("forward", Traffic.BETWEEN, True) in found
    assert "perhaps drops IKE" in str(found["input", Traffic.IKE, True].problem())


def test_ufw() -> None:
    found = about(from_iptables("ufw"))
    assert {key: finding.remedy for key, finding in found.items()} == {
        ("INPUT", Traffic.IKE, True): "ufw allow proto udp from 198.51.100.1/32 to any port 500,4500",
        ("INPUT", Traffic.ESP, True): "ufw allow proto esp from 198.51.100.1/32 to any",
        ("FORWARD", Traffic.BETWEEN, True): "ufw route allow in on culvert0 from 192.168.2.0/24 to 192.168.1.0/24",
        ("FORWARD", Traffic.BETWEEN, False): "ufw route allow out on culvert0 from 192.168.1.0/24 to 192.168.2.0/24",
    }
    assert all(finding.certain for finding in found.values())
    assert about(from_iptables("ufw-open")) == {}


def test_docker() -> None:
    found = about(from_iptables("docker", "iptables-legacy"))
    assert {key: finding.remedy for key, finding in found.items()} == {
        ("FORWARD", Traffic.BETWEEN, True): "iptables-legacy -I DOCKER-USER "
        "-i culvert0 -s 192.168.2.0/24 -d 192.168.1.0/24 -j ACCEPT",
        ("FORWARD", Traffic.BETWEEN, False): "iptables-legacy -I DOCKER-USER "
        "-o culvert0 -s 192.168.1.0/24 -d 192.168.2.0/24 -j ACCEPT",
        ("POSTROUTING", Traffic.BETWEEN, False): "iptables-legacy -t nat -I POSTROUTING "
        "-s 192.168.1.0/24 -d 192.168.2.0/24 -o culvert0 -j ACCEPT",
    }
    assert found["FORWARD", Traffic.BETWEEN, True].owner == "Docker"


def test_a_problem_says_what_where_and_what_to_do() -> None:
    problem = about(from_iptables("ufw"))["INPUT", Traffic.ESP, True].problem()
    assert problem.what == "FOREIGN_FIREWALL: drops ESP (IP protocol 50), inbound (policy drop)"
    assert problem.where == "table ip filter, chain INPUT of ufw"
    assert problem.what_to_do == "Let it through: ufw allow proto esp from 198.51.100.1/32 to any"


def test_our_own_table_is_not_foreign() -> None:
    commands = [command["add"] for command in render(OURS)["nftables"] if "add" in command]
    chains = [{"chain": entry["chain"] | {"policy": "drop"}} for entry in commands if "chain" in entry]
    assert about(read_chains(chains)) == {}


def test_rules_that_only_iptables_can_show() -> None:
    opaque = {"rule": {"family": "ip", "table": "filter", "chain": "X", "expr": [{"xt": {"type": "match"}}]}}
    shown = {"rule": {"family": "ip6", "table": "filter", "chain": "X", "expr": [{"accept": None}]}}
    assert tables_with_opaque_rules([opaque, shown]) == {("ip", "filter")}


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        ("-p udp", "yes"),
        ("-p 17", "yes"),
        ("! -p udp", "no"),
        ("-p tcp", "no"),
        ("-p all", "yes"),
        ("-s 198.51.100.0/24", "yes"),
        ("! -s 198.51.100.0/24", "no"),
        ("-p udp -m udp --dport 400:600", "yes"),
        ("-p udp -m udp --dport 4501:", "no"),
        ("-p udp -m multiport --dports 53,500,4500", "yes"),
        ("-p udp -m multiport ! --dports 500,4500", "no"),
        ("-m conntrack --ctstate NEW,UNTRACKED", "yes"),
        ("-m state --state ESTABLISHED", "no"),
        ("-m mark --mark 0x56/0xff", "yes"),
        ("-m mark --mark 0x1", "no"),
        ("-m addrtype --dst-type LOCAL", "yes"),
        ("-m addrtype --dst-type BROADCAST", "no"),
        ('-m comment --comment "a -j ACCEPT b"', "yes"),
        ("-p udp -m udp --dport nonsense", "perhaps"),
        ("-i eth0", "no"),
        ("-i out+", "yes"),
        ("-m string --algo bm --string x", "perhaps"),
    ],
)
def test_options_of_iptables(option: str, answer: str) -> None:
    text = f"*filter\n:INPUT ACCEPT [0:0]\n-A INPUT {option} -j DROP\nCOMMIT\n"
    found = about(read_save(text, 4, "iptables")).get(("INPUT", Traffic.IKE, True))
    assert answer == ("no" if found is None else "yes" if found.certain else "perhaps")


def test_a_drop_before_or_after_the_usual_hooks_is_named_too() -> None:
    text = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp --dport 4500 -j DROP\nCOMMIT\n"
    text += "*mangle\n:FORWARD ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A FORWARD -i lan -j DROP\n"
    text += "-A POSTROUTING -o lan -j DROP\nCOMMIT\n"
    found = about(read_save(text, 4, "iptables"))
    assert {key: finding.remedy for key, finding in found.items()} == {
        ("PREROUTING", Traffic.IKE, True): "iptables -t raw -I PREROUTING "
        "-p udp -s 198.51.100.1/32 -m multiport --dports 500,4500 -j ACCEPT",
        ("FORWARD", Traffic.BETWEEN, False): "iptables -t mangle -I FORWARD "
        "-o culvert0 -s 192.168.1.0/24 -d 192.168.2.0/24 -j ACCEPT",
        ("POSTROUTING", Traffic.BETWEEN, True): "iptables -t mangle -I POSTROUTING "
        "-s 192.168.2.0/24 -d 192.168.1.0/24 -j ACCEPT",
    }


def test_ports_that_are_forwarded_to_another_host_are_named() -> None:
    rule = "-A PREROUTING -p udp --dport 500 -j DNAT --to-destination 192.168.1.9"
    text = f"*nat\n:PREROUTING ACCEPT [0:0]\n{rule}\nCOMMIT\n"
    found = about(read_save(text, 4, "iptables"))["PREROUTING", Traffic.IKE, True]
    assert found.translates
    assert found.remedy.startswith("iptables -t nat -I PREROUTING -p udp -s 198.51.100.1/32 ")


def test_a_check_of_the_reverse_path_is_no_hindrance() -> None:
    text = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m rpfilter --validmark --invert -j DROP\nCOMMIT\n"
    assert about(read_save(text, 4, "iptables")) == {}


def test_a_rule_about_one_service_is_somebody_s_policy() -> None:
    text = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp --dport 25 -j DROP\nCOMMIT\n"
    assert about(read_save(text, 4, "iptables")) == {}


def test_chains_that_call_each_other_end() -> None:
    text = "*filter\n:INPUT ACCEPT [0:0]\n:A - [0:0]\n-A INPUT -j A\n-A A -j A\nCOMMIT\n"
    assert about(read_save(text, 4, "iptables"))["INPUT", Traffic.IKE, True].rule == "more rules than we look at"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["ip", "saddr", "@x", "udp"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["match", "left", "right", "op", "payload", "protocol", "field", "set", "meta", "key", "vmap", "data",
             "concat", "prefix", "addr", "len", "range", "jump", "target", "accept", "&", "ct", "fib", "elem", "xt"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(_JSON, max_size=5))
def test_any_expressions_are_judged(expressions: list[object]) -> None:
    chain = {"family": "inet", "table": "t", "name": "c", "hook": "input", "type": "filter"}
    rule = {"family": "inet", "table": "t", "chain": "c", "expr": expressions}
    about(read_chains([{"chain": chain}, {"rule": rule}]))


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    about(read_save(f"*filter\n:INPUT DROP [0:0]\n-A INPUT {text}\n{text}", 4, "iptables"))
