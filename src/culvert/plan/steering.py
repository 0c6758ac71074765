"""Routes and rules that lead protected traffic into the TUN, and nothing else.

Each remote network has a route into the TUN and behind it an unreachable one, so that what is protected never falls
through to the main table when the TUN is gone. A network on a wire of this host inside a peer's wider range is
thrown back to the main table.

What carries a mark of the steering looks into a table of its own, in which everything goes into the TUN: the mark has
said already that it is protected. Networks of the configuration have routes there as well, for their MTU.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network

from culvert.addresses import IPAddress, IPNetwork
from culvert.config.model import Gateway
from culvert.ipsec.selectors import MAX_PORT
from culvert.plan.desired import (
    MARKED_TABLE,
    ROUTING_TABLE,
    STEERED_METRIC,
    UNREACHABLE_METRIC,
    HostFacts,
    Marked,
    Route,
    RouteKind,
    Rule,
    Unbound,
)
from culvert.plan.division import Division, divide
from culvert.plan.entries import PORTED
from culvert.plan.mtu import Sizes
from culvert.plan.pairs import Protected, attached_inside, network_key, own_addresses

_ANYWHERE: dict[int, IPNetwork] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}


def routes(sizes: Sizes, division: Division | None = None) -> tuple[Route, ...]:
    """Give the routes of our tables, in order."""
    division = division or divide(sizes.gateway, sizes.facts)
    found = [*_towards_all(sizes, division.simple, ROUTING_TABLE), *_towards_all(sizes, division.marked, MARKED_TABLE)]
    staying = dict.fromkeys(attached.network for attached in attached_inside(division.simple, sizes.facts))
    found += [Route(network, RouteKind.THROW, STEERED_METRIC) for network in staying]
    marked = {pair.remote for pair in division.marked}
    everything = [_ANYWHERE[version] for version in division.steered if _ANYWHERE[version] not in marked]
    found += [route for network in everything for route in _into_the_tun(network, STEERED_METRIC, MARKED_TABLE)]
    return tuple(sorted(found, key=lambda route: (route.table, *network_key(route.destination), route.metric)))


def _towards_all(sizes: Sizes, pairs: Sequence[Protected], table: int) -> Iterator[Route]:
    for remote, owners in _by_remote(pairs):
        metric = min(owner.peer.metric or STEERED_METRIC for owner in owners)
        mtu = min(sizes.mtu(owner) for owner in owners)
        yield from _into_the_tun(remote, metric, table, preferred_source(owners, sizes.facts), mtu)


def _into_the_tun(
    remote: IPNetwork, metric: int, table: int, source: IPAddress | None = None, mtu: int | None = None
) -> tuple[Route, Route]:
    return (
        Route(remote, RouteKind.TUN, metric, source, mtu, table),
        Route(remote, RouteKind.UNREACHABLE, UNREACHABLE_METRIC, table=table),
    )


def _by_remote(pairs: Sequence[Protected]) -> Iterable[tuple[IPNetwork, list[Protected]]]:
    owners: dict[IPNetwork, list[Protected]] = defaultdict(list)
    for pair in pairs:
        owners[pair.remote].append(pair)
    return owners.items()


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


def rules(gateway: Gateway, facts: HostFacts, division: Division | None = None) -> tuple[Rule | Unbound | Marked, ...]:
    """Give the rules that lead to our tables: by source, and for the gateway's own traffic that has none yet.

    The latter only where the gateway has an address that is protected: else nothing of its own goes through the tunnel.
    Where not every network of ours may talk with every one of the peers', rules name the destination as well, so that
    what no policy protects never enters the TUN.
    """
    division = division or divide(gateway, facts)
    pairs = division.simple
    found: dict[Rule | Unbound | Marked, None] = {}
    for version, anything in ((4, IPv4Network("0.0.0.0/32")), (6, IPv6Network("::/128"))):
        ours = [pair for pair in pairs if pair.remote.version == version]
        for rule in _by_source(ours):
            found[rule] = None
        for rule in _of_the_gateway(ours, facts, anything):
            found[rule] = None
    found |= dict.fromkeys(_unbound(division.marked, facts))
    return (*found, *(Marked(version) for version in division.steered))


def _unbound(pairs: Sequence[Protected], facts: HostFacts) -> Iterator[Unbound]:
    """The gateway's own traffic of a protocol that is protected: the route gives it a source that is protected too."""
    for pair in pairs:
        selector = pair.selector
        if selector.protocol and preferred_source([pair], facts) is not None:
            ports = _range(selector.source_port), _range(selector.destination_port)
            yield Unbound(selector.destination, selector.protocol, *(ports if selector.protocol in PORTED else ()))


def _range(port: tuple[int, int]) -> tuple[int, int] | None:
    """Masks come from ranges (`PortRange.masks`), so they are ranges again. The kernel has no rule for 0 and 65,535."""
    value, mask = port
    return (max(value, 1), min(value | (mask ^ MAX_PORT), MAX_PORT - 1)) if mask else None


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
