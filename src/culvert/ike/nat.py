"""NAT detection and the choice of how ESP travels (RFC 7296 section 2.23, RFC 3948)."""

from __future__ import annotations

import hashlib

from culvert.addresses import IKE_PORT, NAT_PORT, SocketAddress
from culvert.config.model import EncapsulationChoice
from culvert.crypto.digests import nat_detection_hash
from culvert.ipsec.associations import Encapsulation

DIGEST_OCTETS = 20
VENDOR_ID = hashlib.sha256(b"culvert gateway, IKEv2").digest()[:16]
"""What we say to be known by another Culvert (RFC 7296 section 3.12)."""


def false_hash(nonce: bytes) -> bytes:
    """Give data that matches no address, so that the other end sees a NAT and encapsulates.

    Our nonce makes it: a first message that goes out again with a cookie must not change (RFC 7296 section 2.6).
    """
    return hashlib.sha256(b"no address" + nonce).digest()[:DIGEST_OCTETS]


def mismatch(hashes: tuple[bytes, ...], spi_i: bytes, spi_r: bytes, seen: SocketAddress) -> bool:
    """Tell whether hashes were given and none is that of the address as we see it: a NAT is in between."""
    return bool(hashes) and nat_detection_hash(spi_i, spi_r, seen) not in hashes


def wants_udp(choice: EncapsulationChoice, nat: bool, peer_is_culvert: bool) -> bool:
    """Tell whether our ESP goes in UDP."""
    if nat or choice is EncapsulationChoice.UDP:
        return True
    return choice is EncapsulationChoice.AUTO and peer_is_culvert


def outbound_encapsulation(remote: SocketAddress) -> Encapsulation:
    """Give the ports of our ESP in UDP to a peer whose IKE comes from `remote`."""
    return Encapsulation(NAT_PORT, NAT_PORT if remote.port == IKE_PORT else remote.port)


def inbound_encapsulation(remote: SocketAddress) -> Encapsulation:
    """Give the ports of the peer's ESP in UDP to us."""
    out = outbound_encapsulation(remote)
    return Encapsulation(out.destination_port, out.source_port)


def describe(local: bool, remote: bool) -> str:
    """Name who is behind a NAT, as `status` shows it."""
    return {(False, False): "none", (True, False): "local", (False, True): "remote", (True, True): "both"}[
        local, remote
    ]
