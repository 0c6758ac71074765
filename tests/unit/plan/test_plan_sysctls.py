"""Kernel settings."""

from __future__ import annotations

from typing import Any

from culvert.plan.desired import HostFacts
from culvert.plan.sysctls import host_sysctls, tun_sysctls


def pairs(found: Any) -> dict[str, str]:
    return {sysctl.name: sysctl.value for sysctl in found}


def test_the_chapter(office: Any, facts: Any) -> None:
    assert pairs(host_sysctls(office, facts)) == {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.all.src_valid_mark": "1",
    }
    assert pairs(tun_sysctls(office, facts)) == {
        "net.ipv4.conf.culvert0.rp_filter": "2",
        "net.ipv4.conf.culvert0.send_redirects": "0",
        "net.ipv4.conf.culvert0.accept_redirects": "0",
        "net.ipv6.conf.culvert0.disable_ipv6": "1",
    }


def test_a_host_without_ipv6_is_left_without(office: Any, build: Any) -> None:
    facts = HostFacts((build.interface("eth1", "192.168.1.1/24"),))
    assert not [name for name in pairs(tun_sysctls(office, facts)) if "ipv6" in name]


def test_forwarding_ipv6_does_not_cut_the_host_off(build: Any) -> None:
    peer = build.peer("p", "198.51.100.1", build.child("p", "p", "2001:db8:1::/48", "2001:db8:2::/48"))
    facts = HostFacts(
        (
            build.interface("eth0.100", "2001:db8:9::7/64", router_advertisements=True),
            build.interface("eth1", "2001:db8:1::1/64"),
        )
    )
    found = host_sysctls(build.gateway(peer), facts)
    assert [(sysctl.name, sysctl.value) for sysctl in found] == [
        ("net.ipv6.conf.eth0/100.accept_ra", "2"),
        ("net.ipv6.conf.all.forwarding", "1"),
        ("net.ipv4.conf.all.src_valid_mark", "1"),
    ]
    assert pairs(tun_sysctls(build.gateway(peer), facts))["net.ipv6.conf.culvert0.addr_gen_mode"] == "1"


def test_a_gateway_that_protects_only_itself_forwards_nothing(build: Any) -> None:
    peer = build.peer("p", "198.51.100.1", build.child("p", "p", "203.0.113.1/32", "198.51.100.1/32"))
    facts = HostFacts((build.interface("eth0", "203.0.113.1/24"),))
    assert pairs(host_sysctls(build.gateway(peer), facts)) == {"net.ipv4.conf.all.src_valid_mark": "1"}
