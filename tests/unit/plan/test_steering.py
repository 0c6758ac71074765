"""Routes and rules."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from culvert.plan.desired import STEERED_METRIC, TUN, UNREACHABLE_METRIC, HostFacts, Route, RouteKind, Rule
from culvert.plan.mtu import Sizes
from culvert.plan.steering import routes, rules


def test_the_chapter(office: Any, facts: Any) -> None:
    remote = ip_network("192.168.2.0/24")
    assert routes(Sizes(office, facts, {})) == (
        Route(remote, RouteKind.TUN, STEERED_METRIC, ip_address("192.168.1.1"), 1422),
        Route(remote, RouteKind.UNREACHABLE, UNREACHABLE_METRIC),
    )
    assert rules(office, facts) == (
        Rule(ip_network("192.168.1.0/24")),
        Rule(ip_network("0.0.0.0/32"), own=True),
    )


def test_a_gateway_without_an_address_of_its_own_networks(office: Any, build: Any) -> None:
    """Its own traffic is not protected by any policy, so it is not led into the tunnel either."""
    facts = HostFacts((build.interface("eth0", "203.0.113.1/24"),))
    assert [route.preferred_source for route in routes(Sizes(office, facts, {}))] == [None, None]
    assert rules(office, facts) == (Rule(ip_network("192.168.1.0/24")),)


def test_addresses_of_the_tun_are_not_the_gateways(office: Any, build: Any) -> None:
    facts = HostFacts((build.interface(TUN, "192.168.1.9/24"), build.interface("eth1", "192.168.1.1/24")))
    assert routes(Sizes(office, facts, {}))[0].preferred_source == ip_address("192.168.1.1")


def test_what_is_attached_stays_local_in_a_wider_range(build: Any) -> None:
    child = build.child("p", "p", "10.1.0.0/16", "10.0.0.0/8")
    facts = HostFacts(
        (
            build.interface("lo", "127.0.0.1/8"),
            build.interface("eth0", "203.0.113.1/24"),
            build.interface("eth1", "10.1.0.1/16", "10.7.7.7/32"),
            build.interface("eth2", "10.9.0.1/24"),
            build.interface("eth3", "10.0.0.1/8"),
            build.interface(TUN, "10.99.0.1/16"),
        )
    )
    found = routes(Sizes(build.gateway(build.peer("p", "198.51.100.1", child)), facts, {}))
    thrown = [str(route.destination) for route in found if route.kind is RouteKind.THROW]
    assert thrown == ["10.1.0.0/16", "10.9.0.0/24"]


def test_the_metric_and_mtu_of_a_peer(office: Any, facts: Any, build: Any) -> None:
    peer = build.replace(office.peers[0], metric=50, mtu=1300)
    tun, unreachable = routes(Sizes(build.replace(office, peers=(peer,)), facts, {}))
    assert (tun.metric, tun.mtu) == (50, 1300)
    assert (unreachable.metric, unreachable.mtu) == (UNREACHABLE_METRIC, None)


def test_one_route_for_a_network_behind_two_peers(build: Any, facts: Any) -> None:
    one = build.peer("a", "198.51.100.1", build.child("a", "a", "10.1.0.0/16", "10.2.0.0/16"), mtu=1300)
    other = build.peer("b", "198.51.100.2", build.child("b", "b", "192.168.1.0/24", "10.2.0.0/16"), mtu=1200)
    tun, _ = routes(Sizes(build.gateway(one, other), facts, {}))
    assert (tun.mtu, tun.preferred_source) == (1200, ip_address("192.168.1.1"))


def test_rules_name_the_destination_where_not_every_pair_is_protected(build: Any, facts: Any) -> None:
    one = build.peer("a", "198.51.100.1", build.child("a", "a", "10.1.0.0/16", "10.2.0.0/16"))
    other = build.peer("b", "198.51.100.2", build.child("b", "b", "192.168.1.0/24", "10.3.0.0/16"))
    assert rules(build.gateway(one, other), facts) == (
        Rule(ip_network("10.1.0.0/16"), destination=ip_network("10.2.0.0/16")),
        Rule(ip_network("192.168.1.0/24"), destination=ip_network("10.3.0.0/16")),
        Rule(ip_network("0.0.0.0/32"), own=True, destination=ip_network("10.3.0.0/16")),
    )


def test_each_family_has_rules_of_its_own(build: Any) -> None:
    child = build.child("p", "p", "192.168.1.0/24 2001:db8:1::/48", "10.0.0.0/8 2001:db8:2::/48")
    facts = HostFacts((build.interface("eth1", "192.168.1.1/24", "2001:db8:1::1/64"),))
    assert rules(build.gateway(build.peer("p", "198.51.100.1", child)), facts) == (
        Rule(ip_network("192.168.1.0/24")),
        Rule(ip_network("0.0.0.0/32"), own=True),
        Rule(ip_network("2001:db8:1::/48")),
        Rule(ip_network("::/128"), own=True),
    )


def test_nothing_is_steered_without_peers(build: Any, facts: Any) -> None:
    assert routes(Sizes(build.gateway(), facts, {})) == ()
    assert rules(build.gateway(), facts) == ()


def test_an_address_that_means_nothing_elsewhere_is_no_source(build: Any) -> None:
    """A network as wide as this covers the loopback too, which comes first."""
    child = build.child("x", "x", "0.0.0.0/0 ::/0", "192.168.2.0/24 2001:db8:2::/64")
    gateway = build.gateway(build.peer("x", "198.51.100.1", child))
    lo, wire = build.interface("lo", "127.0.0.1/8", "::1/128"), ("fe80::1/64", "192.168.1.1/24", "2001:db8:1::1/64")
    sources = {
        route.destination.version: route.preferred_source
        for route in routes(Sizes(gateway, HostFacts((lo, build.interface("eth1", *wire))), {}))
        if route.preferred_source
    }
    assert sources == {4: ip_address("192.168.1.1"), 6: ip_address("2001:db8:1::1")}
