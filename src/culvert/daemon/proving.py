"""What a proof is to be about: made of the configuration, the host's addresses and the SAs that are up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from culvert.addresses import IPAddress, IPNetwork
from culvert.config.model import Child, Peer
from culvert.ike.status import PeerStatus
from culvert.ipsec.associations import Mode, Protocol
from culvert.ipsec.selectors import TrafficSelector, decompose
from culvert.plan.desired import HostFacts
from culvert.plan.pairs import own_addresses
from culvert.proof.choice import choose
from culvert.proof.subject import Subject


def subject_of(peer: Peer, status: PeerStatus, facts: HostFacts, outside: tuple[str, ...]) -> Subject:
    """Give the subject of a proof about `peer`; `outside` are the interfaces on which it is reached."""
    selectors = (selector for child in peer.children for selector in decompose(child.local, child.remote))
    subject = Subject(
        peer=peer.name,
        local_networks=_networks(peer, lambda child: child.local),
        remote_networks=_networks(peer, lambda child: child.remote),
        local_address=None,
        remote_address=None,
        outside=outside,
        spis_in=tuple(child.inbound.spi for child in status.children),
        spis_out=tuple(child.outbound.spi for child in status.children),
        gateways=(status.ike.local.ip, status.ike.remote.ip) if status.ike else (),
        selectors=tuple(dict.fromkeys(selectors)),
        transport=any(child.mode is Mode.TRANSPORT for child in peer.children),
        readable=tuple(child.name for child in peer.children if child.protocol is Protocol.AH),
    )
    return min(
        (replace(subject, local_address=one) for one in _own_inside(subject, facts)), key=_worth, default=subject
    )


def _networks(peer: Peer, side: Callable[[Child], Iterable[TrafficSelector]]) -> tuple[IPNetwork, ...]:
    found = (network for child in peer.children for selector in side(child) for network in selector.networks())
    return tuple(dict.fromkeys(found))


def _own_inside(subject: Subject, facts: HostFacts) -> Iterator[IPAddress]:
    """Addresses of this host in one of the networks: from there it may probe."""
    for address in own_addresses(facts):
        nowhere_else = address.is_loopback or address.is_link_local
        if not nowhere_else and any(address in network for network in subject.local_networks):
            yield address


def _worth(subject: Subject) -> int:
    """Sort an address that can ping before one that can send something, and that before others."""
    flow = choose(subject)
    return 2 if flow is None else int(not flow.icmp)
