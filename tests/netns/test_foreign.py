"""What find_conflicts says of a real ruleset, and that its remedies are remedies."""

from __future__ import annotations

import asyncio
import shlex
from ipaddress import ip_network

import pytest

from culvert.lab.chapter import Chapter
from culvert.lab.host import Host
from culvert.network.facts import observe_facts
from culvert.network.firewall import Firewall as Driver
from culvert.network.foreign.findings import Finding, find_conflicts
from culvert.plan.desired import Firewall, Pair

pytestmark = pytest.mark.root

OURS = Firewall(
    fenced=(
        Pair(ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24")),
        Pair(ip_network("2001:db8:1::/64"), ip_network("2001:db8:2::/64")),
    ),
    peers=(ip_network("198.51.100.1/32"), ip_network("2001:db8:b::1/128")),
)

CLOSED = """
table inet filter {
    chain input { type filter hook input priority 0; policy drop; iifname "lo" accept; }
    chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; }
    chain output { type filter hook output priority 0; policy drop; ct state invalid drop; }
}
table inet nat {
    chain postrouting { type nat hook postrouting priority 100; iifname "lan" masquerade; }
}
"""


def conflicts(host: Host) -> tuple[Finding, ...]:
    async def main() -> tuple[Finding, ...]:
        return await find_conflicts(OURS, await observe_facts({}))

    return host.call(lambda: asyncio.run(main()))


def test_nothing_to_say(chapter: Chapter) -> None:
    chapter.gateway_a.call(lambda: asyncio.run(Driver().apply(OURS)))
    assert conflicts(chapter.gateway_a) == ()


def test_the_remedies_work(chapter: Chapter) -> None:
    """Run each line that is proposed; in the end nothing is left to say."""
    gateway = chapter.gateway_a
    gateway.run(["nft", "-f", "-"], input=CLOSED)
    rounds = 0
    while found := conflicts(gateway):
        assert all(finding.certain for finding in found)
        for finding in found:
            gateway.run(shlex.split(finding.remedy))
        rounds += 1
        assert rounds <= 4  # a line for each family and peer
    assert rounds >= 1
