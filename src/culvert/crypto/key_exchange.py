"""Key exchange methods behind one interface (RFC 7296 section 3.4)."""

from __future__ import annotations

from typing import Protocol

from culvert.crypto.ecp import EcpState
from culvert.crypto.errors import InvalidKeyExchange
from culvert.crypto.modp import ModpState, check_modp
from culvert.crypto.transforms import KeyExchange
from culvert.crypto.x25519 import X25519State
from culvert.entropy import Entropy


class KeyExchangeState(Protocol):
    """One side of one exchange. It holds a private key: use it once, then let it go.

    `public` is the KE payload's data. `shared` gives the common secret, of a length fixed by the method, or raises
    InvalidKeyExchange.
    """

    public: bytes

    def shared(self, peer_public: bytes) -> bytes: ...


def check(method: KeyExchange, public: bytes) -> None:
    """Refuse what costs nothing to refuse, before a private key is drawn. Raise InvalidKeyExchange.

    Values that only the computation itself exposes are left to `shared`.
    """
    if len(public) != method.public_octets:
        raise InvalidKeyExchange(f"a public value of {len(public)} octets where {method.public_octets} belong")
    if method.name.startswith("modp"):
        check_modp(public)


def begin(method: KeyExchange, entropy: Entropy) -> KeyExchangeState:
    """Draw a fresh private key. Raise ValueError where `method` is none."""
    if method.name == "x25519":
        return X25519State(entropy)
    if method.name.startswith("ecp"):
        return EcpState(method.public_octets, entropy)
    if method.name.startswith("modp"):
        return ModpState(method.public_octets, entropy)
    raise ValueError(f"{method.name} is no key exchange")
