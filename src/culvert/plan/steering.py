"""Routes and rules that lead protected traffic into the TUN, and nothing else.

Each remote network has a route into the TUN and behind it an unreachable one, so that what is protected never falls
through to the main table when the TUN is gone. A network on a wire of this host inside a peer's wider range is
thrown back to the main table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from culvert.addresses import IPAddress, IPNetwork
from culvert.config.model import Gateway
from culvert.plan.desired import STEERED_METRIC, UNREACHABLE_METRIC, HostFacts, Route, RouteKind, Rule
from culvert.plan.mtu import Sizes
from culvert.plan.pairs import Protected, attached_inside, network_key, own_addresses, protected


def routes(sizes: Sizes) -> tuple[Route, ...]:
    """Give the routes of our table, in order."""
    pairs = protected(sizes.gateway)
    found = [route for remote, owners in _by_remote(pairs) for route in _towards(sizes, remote, owners)]
    staying = dict.fromkeys(attached.network for attached in attached_inside(pairs, sizes.facts))
    found += [Route(network, RouteKind.THROW, STEERED_METRIC) for network in staying]
    return tuple(sorted(found, key=lambda route: (*network_key(route.destination), route.metric)))


def _by_remote(pairs: list[Protected]) -> Iterable[tuple[IPNetwork, list[Protected]]]:
    owners: dict[IPNetwork, list[Protected]] = defaultdict(list)
    for pair in pairs:
        owners[pair.remote].append(pair)
    return owners.items()


def _towards(sizes: Sizes, remote: IPNetwork, owners: list[Protected]) -> tuple[Route, Route]:
    metric = min(owner.peer.metric or STEERED_METRIC for owner in owners)
    mtu = min(sizes.mtu(owner) for owner in owners)
    return (
        Route(remote, RouteKind.TUN, metric, preferred_source(owners, sizes.facts), mtu),
        Route(remote, RouteKind.UNREACHABLE, UNREACHABLE_METRIC),
    )


def preferred_source(owners: list[Protected], facts: HostFacts) -> IPAddress | None:
    """The gateway's own address that the policies protect, if it has one: the first, in the host's order.

    Not one that means nothing elsewhere, which a network as wide as 0.0.0.0/0 would cover too.
    """
    for owner in owners:
        for address in own_addresses(facts):
            if address.is_loopback or address.is_link_local:
                continue
            if address.version == owner.local.version and address in owner.local:
                return address
    return None


def rules(gateway: Gateway, facts: HostFacts) -> tuple[Rule, ...]:
    """Give the rules that lead to our table: by source, and for the gateway's own traffic that has none yet.

    The latter only where the gateway has an address that is protected: else nothing of its own goes through the tunnel.
    Where not every network of ours may talk with every one of the peers', rules name the destination as well, so that
    what no policy protects never enters the TUN.
    """
    pairs = protected(gateway)
    found: dict[Rule, None] = {}
    for version, anything in ((4, IPv4Network("0.0.0.0/32")), (6, IPv6Network("::/128"))):
        ours = [pair for pair in pairs if pair.remote.version == version]
        for rule in _by_source(ours):
            found[rule] = None
        for rule in _of_the_gateway(ours, facts, anything):
            found[rule] = None
    return tuple(found)


def _of_the_gateway(pairs: list[Protected], facts: HostFacts, anything: IPNetwork) -> list[Rule]:
    remotes = list(_by_remote(pairs))
    reached = [remote for remote, owners in remotes if preferred_source(owners, facts) is not None]
    if reached and len(reached) == len(remotes):
        return [Rule(anything, own=True)]
    return [Rule(anything, own=True, destination=remote) for remote in reached]


def _by_source(pairs: list[Protected]) -> list[Rule]:
    combinations = dict.fromkeys((pair.local, pair.remote) for pair in pairs)
    sources = sorted({pair.local for pair in pairs}, key=network_key)
    remotes = {pair.remote for pair in pairs}
    if len(combinations) == len(sources) * len(remotes):
        return [Rule(source) for source in sources]
    return [Rule(source, destination=remote) for source, remote in combinations]
