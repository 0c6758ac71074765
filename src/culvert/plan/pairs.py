"""What every part of the plan is made of: the pairs of prefixes that the children protect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import cast

from culvert.addresses import IPAddress, IPNetwork
from culvert.config.model import Child, Gateway, Peer
from culvert.ipsec.selectors import Selector, decompose
from culvert.plan.desired import TUN, Attached, HostFacts


@dataclass(frozen=True, slots=True)
class Protected:
    """One pair of prefixes: `selector` as packets go out, ours first."""

    peer: Peer
    child: Child
    selector: Selector

    @property
    def local(self) -> IPNetwork:
        return self.selector.source

    @property
    def remote(self) -> IPNetwork:
        return self.selector.destination


def protected(gateway: Gateway) -> list[Protected]:
    """Give all pairs in an order that depends on nothing but themselves. Raise SelectorError as `decompose` does."""
    pairs = [
        Protected(peer, child, selector)
        for peer in gateway.peers
        for child in peer.children
        for selector in decompose(child.local, child.remote)
    ]
    return sorted(pairs, key=lambda pair: (*selector_key(pair.selector), pair.peer.name, pair.child.name))


def network_key(network: IPNetwork) -> tuple[int, int, int]:
    """Sort by family, then address, the wider network first."""
    return network.version, int(network.network_address), network.prefixlen


def selector_key(selector: Selector) -> tuple[object, ...]:
    ports = (selector.source_port, selector.destination_port)
    return (*network_key(selector.destination), *network_key(selector.source), selector.protocol, *ports)


def attached_inside(pairs: Sequence[Protected], facts: HostFacts) -> tuple[Attached, ...]:
    """Networks on interfaces of this host that lie strictly inside a peer's wider range: they stay local.

    What a peer claims for itself within such a network does not: there the fence holds.
    """
    remotes = sorted({pair.remote for pair in pairs}, key=network_key)
    inside = {
        Attached(interface, part)
        for interface, network in attached_networks(facts)
        if any(remote != network and contains(remote, network) for remote in remotes)
        for part in _without(network, [remote for remote in remotes if contains(network, remote)])
    }
    return tuple(sorted(inside, key=lambda one: (*network_key(one.network), one.interface)))


def _without(network: IPNetwork, claimed: list[IPNetwork]) -> list[IPNetwork]:
    """Give the prefixes that are left of `network` without those within it that are `claimed`."""
    parts = [network]
    for hole in claimed:
        parts = [left for part in parts for left in _minus(part, hole)]
    return parts


def _minus(network: IPNetwork, hole: IPNetwork) -> list[IPNetwork]:
    if contains(hole, network):
        return []
    if not contains(network, hole):
        return [network]
    if isinstance(network, IPv4Network) and isinstance(hole, IPv4Network):
        return list(network.address_exclude(hole))
    return list(cast(IPv6Network, network).address_exclude(cast(IPv6Network, hole)))


def attached_networks(facts: HostFacts) -> Iterator[tuple[str, IPNetwork]]:
    """Give each interface's networks. Single addresses are the host's own, the loopback and our TUN are nobody's."""
    for interface in facts.interfaces:
        for address, prefix_length in interface.addresses:
            network = ip_network(f"{_bare(address)}/{prefix_length}", strict=False)
            if interface.name != TUN and not address.is_loopback and network.num_addresses > 1:
                yield interface.name, network


def own_addresses(facts: HostFacts) -> Iterator[IPAddress]:
    """Give the host's addresses in the order in which the host has them, ours on the TUN left out."""
    for interface in facts.interfaces:
        if interface.name != TUN:
            yield from (address for address, _ in interface.addresses)


def contains(wide: IPNetwork, narrow: IPNetwork) -> bool:
    """Tell whether all of `narrow` lies in `wide`; networks of two families never do."""
    if isinstance(wide, IPv4Network):
        return isinstance(narrow, IPv4Network) and narrow.subnet_of(wide)
    return isinstance(narrow, IPv6Network) and narrow.subnet_of(wide)


def _bare(address: IPAddress) -> str:
    """Without the zone that IPv6 link-local addresses may carry."""
    return str(address).partition("%")[0]
