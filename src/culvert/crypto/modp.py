"""The MODP groups of RFC 2409 and RFC 3526: Diffie-Hellman modulo a safe prime, generator 2."""

from __future__ import annotations

import gmpy2

from culvert.crypto.errors import InvalidKeyExchange
from culvert.crypto.transforms import KeyExchange
from culvert.entropy import Entropy

GENERATOR = 2
_SPARE_BITS = 64
"""Bits of pi beyond those that count, so that rounding cannot reach them."""


def _prime(bits: int, addend: int) -> int:
    """Compute 2^bits - 2^(bits-64) - 1 + 2^64 * (floor(2^(bits-130) * pi) + addend)."""
    with gmpy2.context(precision=bits + _SPARE_BITS):
        pi = int(gmpy2.floor(gmpy2.mul_2exp(gmpy2.const_pi(), bits - 130)))
    return (1 << bits) - (1 << (bits - 64)) - 1 + (pi + addend << 64)


PRIMES = {
    128: _prime(1024, 129_093),
    192: _prime(1536, 741_804),
    256: _prime(2048, 124_476),
    384: _prime(3072, 1_690_314),
    512: _prime(4096, 240_904),
}
"""The primes by their octets: RFC 2409 section 6.2, RFC 3526 sections 2 to 5, from the formulas given there."""
_EXPONENT_OCTETS = {128: 40, 192: 40, 256: 40, 384: 53, 512: 60}
"""Twice the higher strength estimate of RFC 3526 section 8 (160, 210, 240 bits), in whole octets; never fewer."""


def check_modp(public: bytes) -> int:
    """Give a public value as a number. Raise InvalidKeyExchange where it is none of its group's."""
    value = int.from_bytes(public, "big")
    if not 1 < value < PRIMES[len(public)] - 1:
        raise InvalidKeyExchange("a public value outside of the group, or one of its two trivial members")
    return value


def draw_modp(method: KeyExchange, entropy: Entropy) -> bytes:
    """Draw a private exponent. Its highest bit is always set: the time that the power takes shows the length."""
    octets = entropy.octets(_EXPONENT_OCTETS[method.public_octets])
    return bytes((octets[0] | 0x80,)) + octets[1:]


class ModpState:
    """One side of an exchange modulo a prime. Raise ValueError where `private` is no exponent of `draw_modp`."""

    def __init__(self, method: KeyExchange, private: bytes) -> None:
        self.method, self.private = method, private
        self._octets, self._prime = method.public_octets, PRIMES[method.public_octets]
        if len(private) != _EXPONENT_OCTETS[self._octets] or private[0] < 0x80:
            raise ValueError(f"a private exponent of {len(private)} octets")
        self._private = int.from_bytes(private, "big")
        self.public = self._power(GENERATOR)

    def shared(self, peer_public: bytes) -> bytes:
        """Give g^ir, as long as the prime. Raise InvalidKeyExchange (RFC 6989 section 2.1)."""
        if len(peer_public) != self._octets:
            raise InvalidKeyExchange(f"a public value of {len(peer_public)} octets where {self._octets} belong")
        return self._power(check_modp(peer_public))

    def _power(self, base: int) -> bytes:
        return int(gmpy2.powmod_sec(base, self._private, self._prime)).to_bytes(self._octets, "big")
