"""The fence and what the firewall lets through, as one value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from culvert.addresses import IPNetwork
from culvert.config.model import Gateway
from culvert.config.values import literal
from culvert.plan.desired import Clamp, Firewall, Pair
from culvert.plan.division import Division, divide
from culvert.plan.entries import NOBODY, Others
from culvert.plan.links import made
from culvert.plan.mtu import Sizes
from culvert.plan.pairs import Protected, attached_inside, attached_networks, network_key


def firewall(sizes: Sizes, division: Division | None = None, others: Others = NOBODY) -> Firewall:
    """Give the nftables table of ours: every protected pair is fenced, and the runs judge the rest."""
    division = division or divide(sizes.gateway, sizes.facts, others)
    return Firewall(
        fenced=_networks(division.simple),
        attached=attached_inside(division.simple, sizes.facts),
        peers=_peers(sizes.gateway, others),
        clamps=tuple(_clamps(division.pairs, sizes)),
        accept=sizes.gateway.firewall,
        guarded=_networks(division.marked),
        out=division.out,
        inward=division.inward,
        forward=division.forward,
        gifs=made(sizes.gateway),
        near=_near(sizes) if made(sizes.gateway) else (),
    )


def _near(sizes: Sizes) -> tuple[IPNetwork, ...]:
    found = {network for _, network in attached_networks(sizes.facts) if not network.is_link_local}
    return tuple(sorted(found, key=network_key))


def _networks(pairs: Iterable[Protected]) -> tuple[Pair, ...]:
    return tuple(sorted({Pair(pair.local, pair.remote) for pair in pairs}, key=_key))


def _peers(gateway: Gateway, others: Others) -> tuple[IPNetwork, ...]:
    """Who may speak IKE and ESP with us. A peer by name, or one that calls from anywhere, makes that anybody."""
    known = [[literal(text) for text in peer.addresses] for peer in gateway.peers]
    if others.ends is None or any(not addresses or None in addresses for addresses in known):
        return ()
    hosts = {ip_network(str(address)) for addresses in known for address in addresses}
    # Without a peer of the configuration it is for the others alone to say, and associations need no policy.
    return tuple(sorted({*hosts, *others.ends}, key=network_key)) if hosts else ()


def _clamps(pairs: Iterable[Protected], sizes: Sizes) -> Iterator[Clamp]:
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
