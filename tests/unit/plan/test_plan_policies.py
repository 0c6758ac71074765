"""The policies of a gateway."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from culvert.addresses import unspecified_like
from culvert.ipsec.associations import Direction, Mode, Protocol, reqid_of
from culvert.ipsec.policies import Action, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.plan.policies import PRIORITY, policies, priority


def test_the_chapter_has_one_policy_each_way(office: Any) -> None:
    anybody = unspecified_like(ip_address("192.0.2.1"))
    template = Template(anybody, anybody, reqid_of("warehouse", "warehouse"))
    out = Selector(ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24"))
    number = PRIORITY + 64 + 40 - 48
    assert policies(office) == (
        Policy(out, Direction.OUT, Action.PROTECT, number, (template,)),
        Policy(out.reversed, Direction.IN, Action.PROTECT, number, (template,)),
    )


def test_a_tunnel_over_ipv6_has_templates_of_that_family(build: Any) -> None:
    child = build.child("p", "p", "10.1.0.0/16", "10.2.0.0/16")
    for addresses, ours in (("2001:db8::1", "203.0.113.1"), ("gw.example.org", "2001:db8::2")):
        found = policies(build.gateway(build.peer("p", addresses, child), addresses=ours))
        assert {template.source for policy in found for template in policy.templates} == {ip_address("::")}


def test_mode_and_protocol_stand_in_the_template(build: Any) -> None:
    """In transport mode the template is of the packets' family, whatever else is known of the peer."""
    hosts = build.child("p", "p", "2001:db8::1/128", "2001:db8::2/128", mode=Mode.TRANSPORT, protocol=Protocol.AH)
    found = policies(build.gateway(build.peer("p", "198.51.100.1", hosts)))
    (template,) = {template for policy in found for template in policy.templates}
    anybody = ip_address("::")
    assert template == Template(anybody, anybody, hosts.reqid, Protocol.AH, Mode.TRANSPORT)


def test_every_pair_of_one_family(build: Any) -> None:
    child = build.child("p", "p", "10.1.0.0/16 2001:db8:1::/48", "10.2.0.0/16 10.3.0.0-10.3.0.2 2001:db8:2::/48")
    found = policies(build.gateway(build.peer("p", "198.51.100.1", child)))
    out = [str(policy.selector) for policy in found if policy.direction is Direction.OUT]
    assert out == [
        "10.1.0.0/16 -> 10.3.0.2/32",
        "10.1.0.0/16 -> 10.3.0.0/31",
        "10.1.0.0/16 -> 10.2.0.0/16",
        "2001:db8:1::/48 -> 2001:db8:2::/48",
    ]
    assert [policy.selector.reversed for policy in found[4:]] == [policy.selector for policy in found[:4]]


def test_more_specific_is_looked_at_first() -> None:
    wide = Selector(ip_network("10.0.0.0/8"), ip_network("0.0.0.0/0"))
    narrow = Selector(ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16"))
    tcp = Selector(ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16"), 6)
    https = Selector(ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16"), 6, (0, 0), (443, 0xFFFF))
    numbers = [priority(selector) for selector in (https, tcp, narrow, wide)]
    assert numbers == sorted(set(numbers))
    host = Selector(ip_network("10.0.0.1/32"), ip_network("10.0.0.2/32"), 6, (1, 0xFFFF), (2, 0xFFFF))
    assert priority(host) == PRIORITY
