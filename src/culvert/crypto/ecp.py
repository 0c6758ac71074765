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
from culvert.entropy import Entropy, below

_CURVES: dict[int, EllipticCurve] = {64: SECP256R1(), 96: SECP384R1()}
_UNCOMPRESSED = b"\x04"


class EcpState:
    """One side of an exchange on the curve whose points have `octets` octets; `entropy` gives the private key."""

    def __init__(self, octets: int, entropy: Entropy) -> None:
        self._octets, self._curve = octets, _CURVES[octets]
        self._private = derive_private_key(1 + below(entropy, self._curve.group_order - 1), self._curve)
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
