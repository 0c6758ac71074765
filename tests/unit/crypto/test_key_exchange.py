"""Key exchange: published vectors, the groups' primes, and every public value that must be refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gmpy2
import pytest

from culvert.crypto.errors import InvalidKeyExchange
from culvert.crypto.key_exchange import begin, resume
from culvert.crypto.modp import PRIMES
from culvert.crypto.transforms import KEY_EXCHANGE, NO_KEY_EXCHANGE, KeyExchange, transform_named
from culvert.entropy import SeededEntropy

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors/ike_crypto.json").read_text())
METHODS = [method for method in KEY_EXCHANGE if method is not NO_KEY_EXCHANGE]
by_name = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


class Drawn:
    """Entropy that makes the private key `value`: ECP draws a number and adds one, X25519 takes the octets."""

    def __init__(self, method: KeyExchange, value: bytes) -> None:
        self._value = (
            value if method.name == "x25519" else (int.from_bytes(value, "big") - 1).to_bytes(len(value), "big")
        )

    def octets(self, count: int) -> bytes:
        return self._value.rjust(count, b"\x00")


def method_named(name: str) -> KeyExchange:
    method = transform_named(name)
    assert isinstance(method, KeyExchange)
    return method


@pytest.mark.parametrize("case", VECTORS["key_exchange"]["cases"], ids=lambda case: case["method"])
def test_vectors(case: dict[str, str]) -> None:
    method = method_named(case["method"])
    one = begin(method, Drawn(method, bytes.fromhex(case["private_i"])))
    other = begin(method, Drawn(method, bytes.fromhex(case["private_r"])))
    assert (one.public.hex(), other.public.hex()) == (case["public_i"], case["public_r"])
    assert one.shared(other.public).hex() == other.shared(one.public).hex() == case["shared"]


@by_name
def test_both_sides_agree(method: KeyExchange) -> None:
    one, other = begin(method, SeededEntropy(1)), begin(method, SeededEntropy(2))
    assert len(one.public) == method.public_octets
    assert one.public != other.public
    assert one.shared(other.public) == other.shared(one.public)


@by_name
def test_public_values_of_another_length_are_refused(method: KeyExchange) -> None:
    state = begin(method, SeededEntropy(1))
    good = begin(method, SeededEntropy(2)).public
    for public in (b"", good[:-1], good + b"\x00", b"\x00" + good, b"\x04" + good, good[: len(good) // 2]):
        with pytest.raises(InvalidKeyExchange):
            state.shared(public)


@by_name
def test_zero_is_refused(method: KeyExchange) -> None:
    with pytest.raises(InvalidKeyExchange):
        begin(method, SeededEntropy(1)).shared(bytes(method.public_octets))


@by_name
def test_private_keys_do_not_show(method: KeyExchange) -> None:
    assert "object at" in repr(begin(method, SeededEntropy(1)))


@pytest.mark.parametrize("octets", PRIMES)
def test_the_modp_primes_are_safe_primes(octets: int) -> None:
    prime = PRIMES[octets]
    assert prime.bit_length() == 8 * octets
    assert gmpy2.is_prime(prime, 20)
    assert gmpy2.is_prime((prime - 1) // 2, 20)
    assert gmpy2.jacobi(2, prime) == 1, "2 generates the subgroup of prime order"
    # RFC 3526: all of these primes begin and end with 64 ones, and pi follows the first.
    assert prime >> (8 * octets - 128) == 0xFFFFFFFFFFFFFFFFC90FDAA22168C234
    assert prime & (1 << 64) - 1 == (1 << 64) - 1


def test_the_modp2048_prime_ends_as_printed_in_rfc_3526() -> None:
    assert hex(PRIMES[256]).endswith("3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff")


@pytest.mark.parametrize("name", ["modp2048", "modp3072", "modp4096"])
@pytest.mark.parametrize("offset", [-1, 0, 1, 5])
def test_trivial_and_outside_values_are_refused(name: str, offset: int) -> None:
    method = method_named(name)
    state, prime = begin(method, SeededEntropy(1)), PRIMES[method.public_octets]
    for value in (1, prime + offset):
        with pytest.raises(InvalidKeyExchange):
            state.shared(value.to_bytes(method.public_octets, "big"))


@pytest.mark.parametrize("name", ["modp2048", "modp3072", "modp4096"])
def test_the_ends_of_the_group_are_accepted(name: str) -> None:
    method = method_named(name)
    state, prime = begin(method, SeededEntropy(1)), PRIMES[method.public_octets]
    for value in (2, prime - 2):
        assert len(state.shared(value.to_bytes(method.public_octets, "big"))) == method.public_octets


@pytest.mark.parametrize("name", ["ecp256", "ecp384"])
def test_points_off_the_curve_are_refused(name: str) -> None:
    method = method_named(name)
    state, point = begin(method, SeededEntropy(1)), bytearray(begin(method, SeededEntropy(2)).public)
    point[-1] ^= 1
    for public in (bytes(point), b"\xff" * method.public_octets):
        with pytest.raises(InvalidKeyExchange):
            state.shared(public)


@pytest.mark.parametrize(
    "public",
    [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ],
)
def test_points_of_small_order_are_refused(public: str) -> None:
    """The points of order 1, 2, 4 and 8 that RFC 7748 section 6.1 warns of."""
    with pytest.raises(InvalidKeyExchange):
        begin(method_named("x25519"), SeededEntropy(1)).shared(bytes.fromhex(public))


def test_none_is_no_method() -> None:
    with pytest.raises(ValueError, match="no key exchange"):
        begin(NO_KEY_EXCHANGE, SeededEntropy(1))


@by_name
def test_an_exchange_goes_on_with_a_private_key_that_was_written_down(method: KeyExchange) -> None:
    ours, theirs = begin(method, SeededEntropy(1)), begin(method, SeededEntropy(2))
    again = resume(method, ours.private)
    assert (again.public, again.method) == (ours.public, method)
    assert again.shared(theirs.public) == theirs.shared(ours.public)


@by_name
@pytest.mark.parametrize("private", [b"", bytes(7), bytes(600), b"\xff" * 600])
def test_octets_that_are_no_private_key_are_refused(method: KeyExchange, private: bytes) -> None:
    with pytest.raises(ValueError, match="private"):
        resume(method, private)
