"""The largest packet that fits into a tunnel: what ESP or AH adds, to the octet (RFC 4302 and 4303, section 2).

On the wire: outer IP header, UDP header where ESP travels in UDP, SPI and sequence number, IV, then the inner packet
with padding, pad length and next header up to a multiple of four octets and of the cipher's block, and the ICV. AH is a
header of twelve octets and its ICV, a multiple of eight octets over IPv6. In transport mode the packet's own header is
the outer one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from culvert.addresses import IPAddress
from culvert.config.model import Child, Gateway, Peer
from culvert.config.values import literal
from culvert.crypto.transforms import Encryption, Integrity
from culvert.ipsec.associations import Mode, Protocol
from culvert.ipsec.proposals import Proposal
from culvert.plan.desired import HostFacts
from culvert.plan.pairs import Protected

IP_OCTETS = {4: 20, 6: 40}
"""Outer header without options (RFC 791 section 3.1, RFC 8200 section 3)."""
UDP_OCTETS = 8
ESP_HEADER_OCTETS = 8
ESP_TRAILER_OCTETS = 2
AH_HEADER_OCTETS = 12
ALIGNMENT_OCTETS = 4
"""RFC 4303 section 2.4: the ICV begins at a multiple of four octets."""
TCP_OCTETS = 20
LEAST_MTU = {4: 576, 6: 1280}
"""What every host takes (RFC 791 section 3.1, RFC 8200 section 5): below it the outer packet is cut into fragments."""
ETHERNET_MTU = 1500
"""Where the path is not known."""


@dataclass(frozen=True, slots=True)
class Suite:
    """How a child's packets travel: its cipher, and what is around it. `outer_version` is 4 or 6; AH has no cipher."""

    encryption: Encryption | None
    integrity: Integrity | None
    udp: bool
    outer_version: int
    mode: Mode = Mode.TUNNEL


Suites = Mapping[tuple[str, str], Suite]
"""Suites by the names of peer and child."""


def inner_mtu(path_mtu: int, suite: Suite) -> int:
    """Give the length of the longest inner packet that leaves as at most `path_mtu` octets; it can be below zero."""
    room = path_mtu - IP_OCTETS[suite.outer_version]
    inside = _inside_esp(room, suite.encryption, suite) if suite.encryption else room - _ah_octets(suite)
    return inside + (IP_OCTETS[suite.outer_version] if suite.mode is Mode.TRANSPORT else 0)


def _inside_esp(room: int, encryption: Encryption, suite: Suite) -> int:
    icv = suite.integrity.icv_octets if suite.integrity else encryption.icv_octets
    room -= UDP_OCTETS * suite.udp + ESP_HEADER_OCTETS + encryption.iv_octets + icv
    alignment = max(ALIGNMENT_OCTETS, encryption.block_octets)
    return room // alignment * alignment - ESP_TRAILER_OCTETS


def _ah_octets(suite: Suite) -> int:
    octets = AH_HEADER_OCTETS + (suite.integrity.icv_octets if suite.integrity else 0)
    unit = ALIGNMENT_OCTETS if suite.outer_version == 4 else 2 * ALIGNMENT_OCTETS
    return -(-octets // unit) * unit


@dataclass(frozen=True, slots=True)
class Sizes:
    """What sizes depend on. `suites` are what children have negotiated, by the names of peer and child."""

    gateway: Gateway
    facts: HostFacts
    suites: Suites
    _path_mtu: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_path_mtu", dict(self.facts.path_mtu))

    def mtu(self, pair: Protected) -> int:
        """Give the MTU for a pair's inner packets: the peer's `mtu`, or what fits its suite.

        Without a suite nothing is negotiated yet, and the worst that can come counts.
        """
        if pair.peer.mtu is not None:
            return pair.peer.mtu
        suite = self.suites.get((pair.peer.name, pair.child.name))
        possible = [suite] if suite else possible_suites(self.gateway, pair.peer, pair.child, self.facts)
        path_mtu = self._path_mtu.get(pair.peer.name, ETHERNET_MTU)
        return max(min(inner_mtu(path_mtu, one) for one in possible), LEAST_MTU[pair.remote.version])

    def mss(self, pair: Protected) -> int:
        """Give the largest TCP segment (RFC 9293 section 3.7.1): the peer's `mss`, or what fits the MTU."""
        if pair.peer.mss is not None:
            return pair.peer.mss
        return self.mtu(pair) - IP_OCTETS[pair.remote.version] - TCP_OCTETS


def possible_suites(gateway: Gateway, peer: Peer, child: Child, facts: HostFacts) -> Iterator[Suite]:
    """Every way in which a child's packets may come to travel. A NAT on the path makes it UDP, whatever was chosen."""
    for version in sorted(outer_versions(gateway, peer, facts)):
        for encryption, integrity in _ciphers(child.proposals):
            yield Suite(encryption, integrity, child.protocol is Protocol.ESP, version, child.mode)


def _ciphers(proposals: Iterable[Proposal]) -> Iterator[tuple[Encryption | None, Integrity | None]]:
    for proposal in proposals:
        for encryption in proposal.encryption or (None,):
            for integrity in proposal.integrity or (None,):
                yield encryption, integrity


def outer_versions(gateway: Gateway, peer: Peer, facts: HostFacts) -> set[int]:
    """The IP versions that can carry the tunnel: what the peer has and what we have; IPv4 where nothing is known."""
    theirs: set[int] = {address.version for text in peer.addresses if (address := literal(text))}
    if not theirs or any(literal(text) is None for text in peer.addresses):
        theirs = {4, 6}
    ours: set[int] = {address.version for address in gateway.addresses}
    if not ours or gateway.address_names:
        ours = {address.version for address in _outside_addresses(facts)}
    return (theirs & ours) or (theirs if len(theirs) == 1 else {4})


def _outside_addresses(facts: HostFacts) -> Iterator[IPAddress]:
    """Addresses that can be seen from elsewhere than this host and its wires."""
    for interface in facts.interfaces:
        for address, _ in interface.addresses:
            if not address.is_loopback and not address.is_link_local:
                yield address
