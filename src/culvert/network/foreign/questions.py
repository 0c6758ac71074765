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

_TCP, _UDP, _ESP = 6, 17, 50
_ECHO = {4: 1, 6: 58}
_NO_SERVICE = 49_151
"""The last registered port, reserved by IANA: no rule is about it."""


class Traffic(StrEnum):
    """What a question is about, as people call it."""

    IKE = "IKE and ESP in UDP (udp 500 and 4500)"
    ESP = "ESP (IP protocol 50)"
    BETWEEN = "traffic between the networks"


@dataclass(frozen=True, slots=True)
class Question:
    """A packet, the hook at which it is looked at, and the networks between which it goes, for the remedy.

    `translation`: it is asked of the chains that change addresses, not of those that drop.
    """

    traffic: Traffic
    hook: str
    packet: Packet
    inbound: bool
    here: IPNetwork | None = None
    there: IPNetwork | None = None
    translation: bool = False


def questions(firewall: Firewall, facts: HostFacts, outside: str | None) -> Iterator[Question]:
    """Give what to ask of every firewall: IKE and ESP in and out, and the networks' traffic both ways.

    Each at every hook that it passes. The later ones come first: a rule for one of them is the usual one.

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
    yield from _both_ways(Traffic.ESP, inward, outward, known_peer)
    for port in (IKE_PORT, NAT_PORT):
        ike_in = replace(inward, protocol=_UDP, destination_port=port)
        ike_out = replace(outward, protocol=_UDP, source_port=port, destination_port=port)
        yield from _both_ways(Traffic.IKE, ike_in, ike_out, known_peer)


def _both_ways(traffic: Traffic, inward: Packet, outward: Packet, peer: IPNetwork | None) -> Iterator[Question]:
    for hook in ("input", "prerouting"):
        yield Question(traffic, hook, inward, inbound=True, there=peer)
    yield Question(traffic, "prerouting", inward, inbound=True, there=peer, translation=True)
    for hook in ("output", "postrouting"):
        yield Question(traffic, hook, outward, inbound=False, there=peer)


def _between(pair: Pair, facts: HostFacts) -> Iterator[Question]:
    """Ask for an echo request and for a TCP connection to no service in particular.

    So a rule about one service, which is somebody's policy, is not taken for one that stops the tunnel.
    """
    inner, here, there = _interface_of(pair.local, facts), pair.local, pair.remote
    for protocol, port in ((_ECHO[here.version], None), (_TCP, _NO_SERVICE)):
        common = Packet(here.version, protocol, source_port=port, destination_port=port, for_this_host=False)
        outward = replace(common, source=here, destination=there, in_interface=inner, out_interface=TUN)
        inward = replace(common, source=there, destination=here, in_interface=TUN, out_interface=inner)
        for hook in ("forward", "prerouting", "postrouting"):
            for packet, inbound in ((outward, False), (inward, True)):
                known = replace(packet, out_interface=None) if hook == "prerouting" else packet
                yield Question(Traffic.BETWEEN, hook, known, inbound=inbound, here=here, there=there)
        yield Question(Traffic.BETWEEN, "postrouting", outward, inbound=False, here=here, there=there, translation=True)


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
