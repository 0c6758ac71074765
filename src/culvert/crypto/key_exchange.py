"""Key exchange methods behind one interface (RFC 7296 section 3.4)."""

from __future__ import annotations

from typing import Protocol

from culvert.crypto.ecp import EcpState, draw_ecp
from culvert.crypto.errors import InvalidKeyExchange
from culvert.crypto.modp import ModpState, check_modp, draw_modp
from culvert.crypto.transforms import KeyExchange
from culvert.crypto.x25519 import X25519State, draw_x25519
from culvert.entropy import Entropy


class KeyExchangeState(Protocol):
    """One side of one exchange. It holds a private key: use it once, then let it go.

    `public` is the KE payload's data. `shared` gives the common secret, of a length fixed by the method, or raises
    InvalidKeyExchange. `private` is the private key as octets, for `resume`.
    """

    method: KeyExchange
    private: bytes
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
    return resume(method, _draw(method, entropy))


def resume(method: KeyExchange, private: bytes) -> KeyExchangeState:
    """Go on with a private key that was drawn before. Raise ValueError where it is none of this method's."""
    if method.name == "x25519":
        return X25519State(method, private)
    if method.name.startswith("ecp"):
        return EcpState(method, private)
    if method.name.startswith("modp"):
        return ModpState(method, private)
    raise ValueError(f"{method.name} is no key exchange")


def _draw(method: KeyExchange, entropy: Entropy) -> bytes:
    if method.name.startswith("ecp"):
        return draw_ecp(method, entropy)
    if method.name.startswith("modp"):
        return draw_modp(method, entropy)
    return draw_x25519(entropy)


STATES: tuple[type[KeyExchangeState], ...] = (X25519State, EcpState, ModpState)
