"""Where the configuration and this host's own networks contradict each other: found when the host is known."""

from __future__ import annotations

from collections.abc import Iterator

from culvert.addresses import IPNetwork
from culvert.config.model import Gateway
from culvert.errors import Problem
from culvert.plan.desired import HostFacts
from culvert.plan.links import made
from culvert.plan.pairs import Protected, attached_networks, contains, own_addresses, protected


def conflicts(gateway: Gateway, facts: HostFacts) -> tuple[Problem, ...]:
    """Give what cannot work on this host, each with what to do."""
    pairs = protected(gateway)
    found = [*_attached(pairs, facts), *_attached_to_links(gateway, facts), *_missing_addresses(gateway, facts)]
    return tuple(dict.fromkeys(found))


def _attached(pairs: list[Protected], facts: HostFacts) -> Iterator[Problem]:
    """A peer's network on a wire of ours: the hosts there would be cut off."""
    for remote, peer in dict.fromkeys((pair.remote, pair.peer) for pair in pairs):
        yield from _on_a_wire(remote, f'peer "{peer.name}"', str(peer.origin), facts)


def _attached_to_links(gateway: Gateway, facts: HostFacts) -> Iterator[Problem]:
    """The same for a route into a gif link."""
    for gif in made(gateway):
        for network in gif.routes:
            yield from _on_a_wire(network, gif.name, str(gif.origin), facts)


def _on_a_wire(remote: IPNetwork, whose: str, where: str, facts: HostFacts) -> Iterator[Problem]:
    for interface, network in attached_networks(facts):
        if remote == network or (contains(network, remote) and remote.num_addresses > 1):
            yield Problem(
                f"{remote} of {whose} is also on {interface} of this machine ({network})",
                where,
                "Networks with the same addresses cannot be joined: renumber one of the two.",
            )


def _missing_addresses(gateway: Gateway, facts: HostFacts) -> Iterator[Problem]:
    present = set(own_addresses(facts))
    for address in gateway.addresses:
        if address not in present:
            yield Problem(
                f"this machine does not have the address {address}",
                str(gateway.origin),
                "Write one that it has (ip addr shows them), or leave address out: then the route to the peer decides.",
            )
