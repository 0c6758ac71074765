"""Plain hashes that the protocol asks for."""

from __future__ import annotations

import hashlib

from culvert.addresses import SocketAddress


def nat_detection_hash(spi_i: bytes, spi_r: bytes, address: SocketAddress) -> bytes:
    """Compute the 20 octets of NAT_DETECTION_*_IP: SHA-1 of SPIs, address and port (RFC 7296 section 2.23).

    SHA-1 is the RFC's; nothing here depends on its strength.
    """
    data = spi_i + spi_r + address.ip.packed + address.port.to_bytes(2, "big")
    return hashlib.sha1(data, usedforsecurity=False).digest()


def authority_hash(spki: bytes) -> bytes:
    """Compute the 20 octets that stand for an authority in a CERTREQ payload: SHA-1 of its SubjectPublicKeyInfo.

    SHA-1 is the RFC's (RFC 7296 section 3.7); it is a hint, and nothing depends on its strength.
    """
    return hashlib.sha1(spki, usedforsecurity=False).digest()
