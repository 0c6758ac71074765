"""Curve25519 (RFC 7748 section 5, RFC 8031)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from culvert.crypto.errors import InvalidKeyExchange
from culvert.crypto.transforms import KeyExchange
from culvert.entropy import Entropy

PUBLIC_OCTETS = PRIVATE_OCTETS = 32


def draw_x25519(entropy: Entropy) -> bytes:
    """Draw a private key; any 32 octets are one."""
    return entropy.octets(PRIVATE_OCTETS)


class X25519State:
    """One side of an exchange. Raise ValueError where `private` is no private key."""

    def __init__(self, method: KeyExchange, private: bytes) -> None:
        if len(private) != PRIVATE_OCTETS:
            raise ValueError(f"a private key of {len(private)} octets")
        self.method, self.private = method, private
        self._private = X25519PrivateKey.from_private_bytes(private)
        self.public = self._private.public_key().public_bytes_raw()

    def shared(self, peer_public: bytes) -> bytes:
        """Give the common 32 octets. Raise InvalidKeyExchange, also where they would all be zero (RFC 7748 6.1)."""
        if len(peer_public) != PUBLIC_OCTETS:
            raise InvalidKeyExchange(f"a public value of {len(peer_public)} octets where {PUBLIC_OCTETS} belong")
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(peer_public))
        except ValueError:
            raise InvalidKeyExchange("a public value of small order") from None
