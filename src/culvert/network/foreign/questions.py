"""The packets that must get through this host for the tunnel to work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_network
from itertools import islice

from culvert.addresses import IKE_PORT, NAT_PORT, IPNetwork
from culvert.network.foreign.packets import Packet
from culvert.plan.desired import MARK, TUN, Firewall, HostFacts, Pair

MOST_ASKED = 64
"""Peers and pairs asked about. With more, what stops one of them is likely to stop one of these."""

_UDP, _ESP = 17, 50


class Traffic(StrEnum):
    """What a question is about, as people call it."""

    IKE = "IKE and ESP in UDP (udp 500 and 4500)"
    ESP = "ESP (IP protocol 50)"
    BETWEEN = "traffic between the networks"


@dataclass(frozen=True, slots=True)
class Question:
    """A packet, the hook at which it is looked at, and the networks between which it goes, for the remedy."""

    traffic: Traffic
    hook: str
    packet: Packet
    inbound: bool
    here: IPNetwork | None = None
    there: IPNetwork | None = None


def questions(firewall: Firewall, facts: HostFacts, outside: str | None) -> Iterator[Question]:
    """Give what to ask of every firewall: IKE and ESP in and out, and the networks' traffic both ways.

    `outside` is the interface towards the peers, where it is known.
    """
    peers: list[IPNetwork] = list(firewall.peers) or [ip_network("0.0.0.0/0"), ip_network("::/0")]
    for peer in islice(peers, MOST_ASKED):
        yield from _with_peer(peer, outside)
    for pair in islice(firewall.fenced, MOST_ASKED):
        yield from _between(pair, facts)


def _with_peer(peer: IPNetwork, outside: str | None) -> Iterator[Question]:
    version = peer.version
    known_peer = peer if peer.prefixlen else None
    inward = Packet(version, _ESP, source=known_peer, in_interface=outside, mark=MARK, for_this_host=True)
    outward = Packet(version, _ESP, destination=known_peer, out_interface=outside, mark=MARK)
    yield Question(Traffic.ESP, "input", inward, inbound=True, there=known_peer)
    yield Question(Traffic.ESP, "output", outward, inbound=False, there=known_peer)
    for port in (IKE_PORT, NAT_PORT):
        ike_in = replace(inward, protocol=_UDP, destination_port=port)
        ike_out = replace(outward, protocol=_UDP, source_port=port, destination_port=port)
        yield Question(Traffic.IKE, "input", ike_in, inbound=True, there=known_peer)
        yield Question(Traffic.IKE, "output", ike_out, inbound=False, there=known_peer)


def _between(pair: Pair, facts: HostFacts) -> Iterator[Question]:
    version, inner = pair.local.version, _interface_of(pair.local, facts)
    outward = Packet(version, None, pair.local, pair.remote, in_interface=inner, out_interface=TUN, for_this_host=False)
    inward = Packet(version, None, pair.remote, pair.local, in_interface=TUN, out_interface=inner, for_this_host=False)
    yield Question(Traffic.BETWEEN, "forward", outward, inbound=False, here=pair.local, there=pair.remote)
    yield Question(Traffic.BETWEEN, "forward", inward, inbound=True, here=pair.local, there=pair.remote)
    yield Question(Traffic.BETWEEN, "postrouting", outward, inbound=False, here=pair.local, there=pair.remote)


def _interface_of(network: IPNetwork, facts: HostFacts) -> str | None:
    """Give the interface that has an address in the network."""
    return next(
        (
            one.name
            for one in facts.interfaces
            for address, _ in one.addresses
            if address in network and one.name != TUN
        ),
        None,
    )
