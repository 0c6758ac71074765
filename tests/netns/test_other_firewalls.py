"""Firewalls of others in the way: each is named at `up` and in the status, and the line that is proposed is enough."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from culvert.lab.chapter import OUTSIDE
from culvert.lab.eavesdropper import Eavesdropper
from tests.netns.offices import Pair, TestedOffice, two_offices

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with two_offices(tmp_path) as built:
        yield built


NFT_CLOSED = """
table inet filter {
    chain input {
        type filter hook input priority 0; policy drop;
        ct state established,related accept; iif lo accept; meta l4proto { icmp, icmpv6 } accept;
    }
    chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; }
}
"""
NFT_ESP_ONLY = """
table ip filter {
    chain in { type filter hook input priority -150; meta l4proto esp drop; }
    chain out { type filter hook output priority -150; udp dport 4500 drop; }
}
"""
NFT_EARLY = """
table inet early { chain pre { type filter hook prerouting priority -400; udp dport { 500, 4500 } drop; }; }
"""
NFT_LATE = """
table inet late {
    chain post { type filter hook postrouting priority 300; oifname "outside" udp sport { 500, 4500 } drop; }
}
"""
NFT_MASQUERADE = """
table ip nat { chain post { type nat hook postrouting priority 100; ip saddr 192.168.1.0/24 masquerade; }; }
"""
NFT_MASQUERADE_ANY = """
table inet nat { chain post { type nat hook postrouting priority 100; iifname "lan" masquerade; }; }
"""
FIREWALLD = """
table inet firewalld {
    chain filter_INPUT {
        type filter hook input priority 10; policy accept;
        ct state { established, related } accept; iifname "lo" accept; jump filter_INPUT_ZONES;
        ct state invalid drop; reject with icmpx admin-prohibited;
    }
    chain filter_FORWARD {
        type filter hook forward priority 10; policy accept;
        ct state { established, related } accept; iifname "lo" accept; reject with icmpx admin-prohibited;
    }
    chain filter_INPUT_ZONES { goto filter_IN_public; }
    chain filter_IN_public { tcp dport 22 accept; meta l4proto { icmp, icmpv6 } accept; }
}
"""
IPTABLES_CLOSED = [
    "iptables-nft -P INPUT DROP",
    "iptables-nft -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
    "iptables-nft -A INPUT -p icmp -j ACCEPT",
    "iptables-nft -P FORWARD DROP",
]
IPTABLES_TABLES = [
    "iptables-nft -t raw -A PREROUTING -p udp --dport 4500 -j DROP",
    "iptables-nft -t mangle -A FORWARD -i lan -j DROP",
    "iptables-nft -t mangle -A POSTROUTING -o lan -p icmp -j DROP",
]
NFT_FORWARDED_PORT = """
table ip nat { chain pre { type nat hook prerouting priority -100; udp dport { 500, 4500 } dnat to 192.168.1.20; }; }
"""
IPTABLES_MASQUERADE = ["iptables-nft -t nat -A POSTROUTING -s 192.168.1.0/24 -m comment --comment home -j MASQUERADE"]
DOCKER = [
    "iptables-nft -N DOCKER-USER",
    "iptables-nft -A DOCKER-USER -j RETURN",
    "iptables-nft -N DOCKER-ISOLATION-STAGE-1",
    "iptables-nft -A DOCKER-ISOLATION-STAGE-1 -j RETURN",
    "iptables-nft -P FORWARD DROP",
    "iptables-nft -A FORWARD -j DOCKER-USER",
    "iptables-nft -A FORWARD -j DOCKER-ISOLATION-STAGE-1",
    "iptables-nft -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
]
UFW = [
    "iptables-nft -P INPUT DROP",
    "iptables-nft -P FORWARD DROP",
    *(f"iptables-nft -N {chain}" for chain in ("ufw-before-input", "ufw-user-input", "ufw-user-forward")),
    "iptables-nft -A ufw-before-input -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
    "iptables-nft -A ufw-before-input -p icmp -j ACCEPT",
    "iptables-nft -A INPUT -j ufw-before-input",
    "iptables-nft -A INPUT -j ufw-user-input",
    "iptables-nft -A FORWARD -j ufw-user-forward",
]


def load(office: TestedOffice, rules: str | list[str]) -> None:
    if isinstance(rules, str):
        office.host.run(["nft", "-f", "-"], input=rules)
        return
    for line in rules:
        office.host.run(shlex.split(line))


def remedies(office: TestedOffice) -> list[str]:
    """Give the lines to add, as `status` shows them; each is whole, so that it can be pasted into a shell."""
    lines = []
    for warning in office.warnings():
        assert warning["reason"] == "FOREIGN_FIREWALL"
        assert warning["message"]
        assert warning["where"]
        assert warning["what_to_do"].startswith("Let it through: ")
        lines.append(warning["what_to_do"].removeprefix("Let it through: "))
    return lines


BLOCKING: dict[str, Any] = {
    "nft closed": NFT_CLOSED,
    "nft, only ESP and what we send": NFT_ESP_ONLY,
    "nft before everything": NFT_EARLY,
    "nft after everything": NFT_LATE,
    "nft forwards the ports": NFT_FORWARDED_PORT,
    "iptables closed": IPTABLES_CLOSED,
    "iptables, other tables": IPTABLES_TABLES,
    "docker": DOCKER,
}


@pytest.mark.parametrize("rules", BLOCKING.values(), ids=BLOCKING.keys())
def test_a_firewall_in_the_way_is_named_and_the_lines_it_proposes_are_enough(
    pair: Pair, rules: str | list[str]
) -> None:
    load(pair.a, rules)
    pair.b.write(peer='start = "passive"')
    pair.b.up()
    pair.a.up()
    lines = remedies(pair.a)
    assert lines, "nothing is said"
    for line in lines:
        assert line in pair.a.log(), "not said by `up`"
    for _ in range(4):
        for line in lines:
            pair.a.host.run(["sh", "-c", line])
        pair.a.culvert("reload")
        if not (lines := remedies(pair.a)):
            break
    assert lines == []
    pair.a.wait_up()
    assert pair.ping() == 2
    assert pair.ping(back=True) == 2


@pytest.mark.parametrize(
    "rules", [NFT_MASQUERADE, NFT_MASQUERADE_ANY, IPTABLES_MASQUERADE], ids=["nft", "nft, any", "iptables"]
)
def test_a_masquerade_rule_that_would_take_the_traffic_is_named(pair: Pair, rules: str | list[str]) -> None:
    load(pair.a, rules)
    pair.b.up()
    pair.a.up()
    lines = remedies(pair.a)
    assert lines
    assert "masquerade" in pair.a.warnings()[0]["message"].lower()
    for line in lines:
        pair.a.host.run(["sh", "-c", line])
    pair.a.culvert("reload")
    assert remedies(pair.a) == []
    pair.a.wait_up()
    assert pair.ping() == 2
    with Eavesdropper(pair.chapter.host_b, "eth0") as ear:
        assert pair.ping() == 2
        seen = {frame[26:30] for frame in ear.frames() if frame[12:14] == b"\x08\x00" and frame[23] == 1}
    assert bytes([192, 168, 1, 20]) in seen, "the source was changed"


@pytest.mark.parametrize(
    ("rules", "words"),
    [(UFW, ("ufw allow", "ufw route allow")), (FIREWALLD, ("firewall-cmd", "--add-service=ipsec"))],
    ids=["ufw", "firewalld"],
)
def test_the_programs_of_distributions_are_named_in_their_own_words(
    pair: Pair, rules: str | list[str], words: tuple[str, ...]
) -> None:
    load(pair.a, rules)
    pair.a.up()
    said = " ".join(remedies(pair.a))
    for word in words:
        assert word in said, pair.a.warnings()
    shown = pair.a.culvert("status", code=None).stdout
    assert words[0] in shown, "`status` for people does not show it"


def test_a_firewall_that_comes_later_is_named_in_the_status(pair: Pair) -> None:
    pair.join()
    assert pair.a.warnings() == []
    load(pair.a, NFT_CLOSED)
    assert remedies(pair.a) != []
    pair.a.host.run(["nft", "delete", "table", "inet", "filter"])
    assert pair.a.warnings() == []


def test_a_firewall_that_is_not_in_the_way_is_not_named(pair: Pair) -> None:
    load(
        pair.a,
        "table inet x { chain f { type filter hook forward priority 0; iifname docker0 drop; tcp dport 25 drop; }; }",
    )
    load(
        pair.a, f"table ip n {{ chain p {{ type nat hook postrouting priority 100; oifname {OUTSIDE} masquerade; }}; }}"
    )
    load(pair.a, ["iptables-nft -A INPUT -p tcp --dport 23 -j DROP"])
    load(pair.a, ["iptables-nft -t raw -A PREROUTING -m rpfilter --validmark --invert -j DROP"])
    load(
        pair.a,
        "table inet rp { chain p { type filter hook prerouting priority -160; fib saddr oif missing drop; }; }",
    )
    pair.join()
    assert pair.a.warnings() == []
    assert pair.ping() == 2
