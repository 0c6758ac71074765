"""The ECP groups of RFC 5903: a public value is x and y, the shared secret is x."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    SECP384R1,
    EllipticCurve,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from culvert.crypto.errors import InvalidKeyExchange
from culvert.crypto.transforms import KeyExchange
from culvert.entropy import Entropy, below

_CURVES: dict[int, EllipticCurve] = {64: SECP256R1(), 96: SECP384R1()}
_UNCOMPRESSED = b"\x04"


def draw_ecp(method: KeyExchange, entropy: Entropy) -> bytes:
    """Draw a private key: a number from 1 to the group's order less one."""
    octets = method.public_octets
    return (1 + below(entropy, _CURVES[octets].group_order - 1)).to_bytes(octets // 2, "big")


class EcpState:
    """One side of an exchange on a curve. Raise ValueError where `private` is no private key of it."""

    def __init__(self, method: KeyExchange, private: bytes) -> None:
        self.method, self.private = method, private
        self._octets, self._curve = method.public_octets, _CURVES[method.public_octets]
        if len(private) != self._octets // 2:
            raise ValueError(f"a private key of {len(private)} octets")
        self._private = derive_private_key(int.from_bytes(private, "big"), self._curve)
        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public = point[len(_UNCOMPRESSED) :]

    def shared(self, peer_public: bytes) -> bytes:
        """Give the x of the common point. Raise InvalidKeyExchange where the peer's is none (RFC 6989 section 2.3)."""
        if len(peer_public) != self._octets:
            raise InvalidKeyExchange(f"a public value of {len(peer_public)} octets where {self._octets} belong")
        try:
            peer = EllipticCurvePublicKey.from_encoded_point(self._curve, _UNCOMPRESSED + peer_public)
            return self._private.exchange(ECDH(), peer)
        except ValueError:
            raise InvalidKeyExchange("a public value that is no point of the curve") from None
