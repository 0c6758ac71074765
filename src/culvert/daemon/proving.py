"""What a proof is to be about: made of the configuration, the host's addresses and the SAs that are up."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from culvert.addresses import IPAddress, IPNetwork
from culvert.config.model import Child, Peer
from culvert.ike.status import PeerStatus
from culvert.ipsec.selectors import TrafficSelector
from culvert.plan.desired import TUN, HostFacts
from culvert.proof.subject import Subject


def subject_of(peer: Peer, status: PeerStatus, facts: HostFacts, outside: tuple[str, ...]) -> Subject:
    """Give the subject of a proof about `peer`; `outside` are the interfaces on which it is reached."""
    local = _networks(peer, lambda child: child.local)
    ends = (status.ike.local.ip, status.ike.remote.ip) if status.ike else ()
    return Subject(
        peer=peer.name,
        local_networks=local,
        remote_networks=_networks(peer, lambda child: child.remote),
        local_address=_own_inside(local, facts),
        remote_address=None,
        outside=outside,
        spis_in=tuple(child.inbound.spi for child in status.children),
        spis_out=tuple(child.outbound.spi for child in status.children),
        gateways=ends,
    )


def _networks(peer: Peer, side: Callable[[Child], Iterable[TrafficSelector]]) -> tuple[IPNetwork, ...]:
    found = (network for child in peer.children for selector in side(child) for network in selector.networks())
    return tuple(dict.fromkeys(found))


def _own_inside(networks: tuple[IPNetwork, ...], facts: HostFacts) -> IPAddress | None:
    """An address of this host in one of the networks: from there it may probe."""
    addresses = (address for one in facts.interfaces if one.name != TUN for address, _ in one.addresses)
    return next((address for address in addresses if any(address in network for network in networks)), None)
