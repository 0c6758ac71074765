"""What must hold of every plan."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from culvert.config.model import Child, Gateway, Peer
from culvert.ipsec.associations import Direction
from culvert.ipsec.selectors import TrafficSelector
from culvert.plan.desired import HostFacts, HostInterface, Pair, Route, RouteKind
from culvert.plan.desired_state import desired


@st.composite
def networks(draw: st.DrawFn) -> IPv4Network:
    """Networks close to each other, so that they often nest."""
    length = draw(st.sampled_from([8, 16, 22, 24, 32]))
    address = IPv4Address("10.0.0.0") + draw(st.integers(0, 3)) * 65_536 + draw(st.integers(0, 7)) * 256
    return IPv4Network((address, length), strict=False)


sides = st.lists(networks().map(TrafficSelector.of_network), min_size=1, max_size=2, unique=True).map(tuple)


@st.composite
def gateways(draw: st.DrawFn) -> Gateway:
    peers = []
    for number in range(draw(st.integers(0, 3))):
        name = f"p{number}"
        children = [Child(name, f"c{index}", draw(sides), draw(sides)) for index in range(draw(st.integers(1, 2)))]
        addresses = draw(st.sampled_from([("198.51.100.1",), ("gw.example.org",), ()]))
        peers.append(Peer(name, addresses, None, None, tuple(children), mtu=draw(st.sampled_from([None, 1400]))))
    return Gateway("g", (), (), tuple(peers))


@st.composite
def hosts(draw: st.DrawFn) -> HostFacts:
    interfaces = [HostInterface("eth0", 1500, ((ip_address("203.0.113.1"), 24),))]
    for number, network in enumerate(draw(st.lists(networks(), max_size=2))):
        interfaces.append(HostInterface(f"eth{number + 1}", 1500, ((network[-1], network.prefixlen),)))
    return HostFacts(tuple(interfaces))


@given(gateways(), hosts(), st.randoms(use_true_random=False))
def test_the_order_of_things_in_the_file_does_not_matter(gateway: Gateway, facts: HostFacts, random: Random) -> None:
    shuffled = []
    for peer in random.sample(gateway.peers, len(gateway.peers)):
        children = [
            replace(
                child,
                local=tuple(random.sample(child.local, len(child.local))),
                remote=tuple(random.sample(child.remote, len(child.remote))),
            )
            for child in random.sample(peer.children, len(peer.children))
        ]
        shuffled.append(replace(peer, children=tuple(children)))
    assert desired(replace(gateway, peers=tuple(shuffled)), facts) == desired(gateway, facts)


def longest(routes: tuple[Route, ...], address: IPv4Address) -> Route | None:
    """What the kernel takes: the longest prefix, then the lowest metric."""
    fitting = [route for route in routes if address in route.destination]
    return max(fitting, key=lambda route: (route.destination.prefixlen, -route.metric), default=None)


@given(gateways(), hosts(), st.data())
def test_what_a_policy_protects_is_fenced_and_steered(gateway: Gateway, facts: HostFacts, data: st.DataObject) -> None:
    state = desired(gateway, facts)
    out = [policy for policy in state.policies if policy.direction is Direction.OUT]
    inward = {(policy.selector, policy.priority) for policy in state.policies if policy.direction is Direction.IN}
    assert inward == {(policy.selector.reversed, policy.priority) for policy in out}
    for policy in out:
        source, destination = policy.selector.source, policy.selector.destination
        assert Pair(source, destination) in state.firewall.fenced
        assert any(rule.source == source and rule.destination in (None, destination) for rule in state.rules)
        address = destination[data.draw(st.integers(0, destination.num_addresses - 1))]
        route = longest(state.routes, address)
        assert route is not None
        if route.kind is RouteKind.THROW:
            assert any(attached.network == route.destination for attached in state.firewall.attached)
            assert route.destination != destination
            assert route.destination.subnet_of(destination)
        else:
            assert route.kind is RouteKind.TUN
            without_tun = tuple(one for one in state.routes if one.kind is not RouteKind.TUN)
            fallen_to = longest(without_tun, address)
            assert fallen_to is not None
            assert fallen_to.kind is RouteKind.UNREACHABLE


@given(gateways(), hosts(), st.data())
def test_nothing_enters_the_tun_that_no_policy_knows(gateway: Gateway, facts: HostFacts, data: st.DataObject) -> None:
    state = desired(gateway, facts)
    sources = [rule for rule in state.rules if not rule.own]
    if not sources:
        return
    rule = data.draw(st.sampled_from(sources))
    routes = [route for route in state.routes if route.kind is RouteKind.TUN]
    route = data.draw(st.sampled_from(routes))
    if rule.destination in (None, route.destination):
        assert any(
            rule.source.subnet_of(policy.selector.source) and route.destination.subnet_of(policy.selector.destination)
            for policy in state.policies
        )
