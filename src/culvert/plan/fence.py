"""The fence and what the firewall lets through, as one value."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from culvert.addresses import IPNetwork
from culvert.config.model import Gateway
from culvert.config.values import literal
from culvert.plan.desired import Clamp, Firewall, Pair
from culvert.plan.mtu import Sizes
from culvert.plan.pairs import Protected, attached_inside, network_key, protected


def firewall(sizes: Sizes) -> Firewall:
    """Give the nftables table of ours: every protected pair is fenced, whatever its protocol and ports."""
    pairs = protected(sizes.gateway)
    return Firewall(
        fenced=tuple(sorted({Pair(pair.local, pair.remote) for pair in pairs}, key=_key)),
        attached=attached_inside(pairs, sizes.facts),
        peers=_peers(sizes.gateway),
        clamps=tuple(_clamps(pairs, sizes)),
        accept=sizes.gateway.firewall,
    )


def _peers(gateway: Gateway) -> tuple[IPNetwork, ...]:
    """Who may speak IKE and ESP with us. A peer by name, or one that calls from anywhere, makes that anybody."""
    known = [[literal(text) for text in peer.addresses] for peer in gateway.peers]
    if any(not addresses or None in addresses for addresses in known):
        return ()
    hosts = {ip_network(str(address)) for addresses in known for address in addresses}
    return tuple(sorted(hosts, key=network_key))


def _clamps(pairs: list[Protected], sizes: Sizes) -> Iterator[Clamp]:
    """The largest TCP segment of each pair; where two children share one, the smaller."""
    largest: dict[Pair, int] = {}
    for pair in pairs:
        key = Pair(pair.local, pair.remote)
        mss = sizes.mss(pair)
        largest[key] = min(mss, largest.get(key, mss))
    for key in sorted(largest, key=_key):
        yield Clamp(key, largest[key])


def _key(pair: Pair) -> tuple[int, ...]:
    return *network_key(pair.local), *network_key(pair.remote)
