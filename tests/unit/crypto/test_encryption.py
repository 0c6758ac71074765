"""Sealing of IKE messages: published vectors, lengths, and what must not open."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from culvert.crypto.encryption import IkeCipher, protect, protected_length, unprotect
from culvert.crypto.errors import NotAuthentic
from culvert.crypto.transforms import ENCRYPTION, INTEGRITY, Encryption, Integrity, transform_named

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors/ike_crypto.json").read_text())
HMAC_SHA256 = INTEGRITY[0]
CIPHERS, MACS = [one for one in ENCRYPTION if one.ike], [one for one in INTEGRITY if one.ike]
SUITES: list[tuple[Encryption, Integrity | None]] = [(one, None) for one in CIPHERS if one.aead]
SUITES += [(one, integrity) for one in CIPHERS if not one.aead for integrity in MACS]
every_suite = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: "-".join(one.name for one in suite if one))


def cipher_for(suite: tuple[Encryption, Integrity | None], fill: int = 0x42) -> IkeCipher:
    encryption, integrity = suite
    key = bytes((fill,)) * (encryption.key_octets + encryption.salt_octets)
    return IkeCipher(encryption, integrity, key, bytes((fill,)) * (integrity.key_octets if integrity else 0))


def named(name: str) -> Encryption:
    transform = transform_named(name)
    assert isinstance(transform, Encryption)
    return transform


@pytest.mark.parametrize("case", VECTORS["sealing"]["gcm"], ids=lambda case: case["encryption"])
def test_gcm_vectors(case: dict[str, str]) -> None:
    cipher = IkeCipher(named(case["encryption"]), None, bytes.fromhex(case["key"]))
    iv, associated, plaintext = (bytes.fromhex(case[name]) for name in ("iv", "associated", "plaintext"))
    assert cipher.seal(iv, associated, plaintext).hex() == case["sealed"]
    assert cipher.open(iv, associated, bytes.fromhex(case["sealed"])) == plaintext


def test_cbc_vector_under_an_icv_over_everything() -> None:
    case = {name: bytes.fromhex(value) for name, value in VECTORS["sealing"]["cbc"].items()}
    cipher = IkeCipher(named("aes128"), HMAC_SHA256, case["key"], b"a" * 32)
    sealed = cipher.seal(case["iv"], b"header", case["plaintext"])
    icv = hmac.digest(b"a" * 32, b"header" + case["iv"] + case["ciphertext"], "sha256")[:16]
    assert sealed == case["ciphertext"] + icv


def test_rfc_7634_message() -> None:
    case = {name: bytes.fromhex(value) for name, value in VECTORS["ike_message"].items() if name != "source"}
    cipher = IkeCipher(named("chacha20poly1305"), None, case["key"])
    assert protected_length(cipher, len(case["payloads"])) == len(case["message"]) - 32
    assert protect(cipher, case["message"][:32], case["iv"], case["payloads"]) == case["message"]
    assert unprotect(cipher, case["message"], 32) == case["payloads"]


@every_suite
@pytest.mark.parametrize("octets", [0, 1, 15, 16, 17, 300])
def test_what_is_protected_comes_out_again(suite: tuple[Encryption, Integrity | None], octets: int) -> None:
    cipher, payloads = cipher_for(suite), bytes(range(256)) * 2
    message = protect(cipher, b"p" * 32, bytes(cipher.iv_octets), payloads[:octets])
    assert len(message) == 32 + protected_length(cipher, octets)
    assert unprotect(cipher_for(suite), message, 32) == payloads[:octets]


@every_suite
def test_every_changed_octet_is_noticed(suite: tuple[Encryption, Integrity | None]) -> None:
    cipher = cipher_for(suite)
    message = protect(cipher, b"p" * 32, bytes(cipher.iv_octets), b"payloads")
    for at in range(len(message)):
        forged = bytearray(message)
        forged[at] ^= 0x80
        with pytest.raises(NotAuthentic):
            unprotect(cipher, bytes(forged), 32)


@every_suite
def test_every_shorter_message_is_refused(suite: tuple[Encryption, Integrity | None]) -> None:
    cipher = cipher_for(suite)
    message = protect(cipher, b"p" * 32, bytes(cipher.iv_octets), b"payloads")
    for end in range(len(message)):
        with pytest.raises(NotAuthentic):
            unprotect(cipher, message[:end], 32)


@every_suite
def test_another_key_does_not_open(suite: tuple[Encryption, Integrity | None]) -> None:
    cipher = cipher_for(suite)
    message = protect(cipher, b"p" * 32, bytes(cipher.iv_octets), b"payloads")
    with pytest.raises(NotAuthentic):
        unprotect(cipher_for(suite, 0x43), message, 32)


@every_suite
def test_longer_padding_than_needed_is_accepted(suite: tuple[Encryption, Integrity | None]) -> None:
    cipher, iv = cipher_for(suite), bytes(suite[0].iv_octets)
    plaintext = b"payloads" + bytes(23) + b"\x17"
    message = b"p" * 32 + iv + cipher.seal(iv, b"p" * 32, plaintext)
    assert unprotect(cipher, message, 32) == b"payloads"


@every_suite
def test_padding_longer_than_the_message_is_refused(suite: tuple[Encryption, Integrity | None]) -> None:
    cipher, iv = cipher_for(suite), bytes(suite[0].iv_octets)
    message = b"p" * 32 + iv + cipher.seal(iv, b"p" * 32, bytes(15) + b"\x10")
    with pytest.raises(NotAuthentic):
        unprotect(cipher, message, 32)


@every_suite
def test_a_sealed_nothing_is_refused(suite: tuple[Encryption, Integrity | None]) -> None:
    """Whoever has the keys can seal a message without even the octet of the padding's length."""
    cipher, iv = cipher_for(suite), bytes(suite[0].iv_octets)
    with pytest.raises(NotAuthentic):
        unprotect(cipher, b"p" * 32 + iv + cipher.seal(iv, b"p" * 32, b""), 32)


@pytest.mark.parametrize(
    ("name", "integrity", "key", "integrity_key"),
    [
        ("aes128gcm16", None, 16, 0),
        ("aes128gcm16", HMAC_SHA256, 20, 32),
        ("aes128gcm16", None, 20, 32),
        ("aes128", None, 16, 0),
        ("aes128", HMAC_SHA256, 16, 0),
        ("aes128", HMAC_SHA256, 32, 32),
    ],
)
def test_keys_that_do_not_fit_are_refused(name: str, integrity: Integrity | None, key: int, integrity_key: int) -> None:
    with pytest.raises(ValueError, match=r"key|with"):
        IkeCipher(named(name), integrity, bytes(key), bytes(integrity_key))


def test_sealing_wants_an_iv_and_whole_blocks() -> None:
    cipher = cipher_for((named("aes128"), HMAC_SHA256))
    for iv, plaintext in ((bytes(8), bytes(16)), (bytes(16), bytes(15))):
        with pytest.raises(ValueError, match="wrong length"):
            cipher.seal(iv, b"", plaintext)
