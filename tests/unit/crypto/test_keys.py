"""Key derivation against NIST's vectors, and the order in which keys are cut."""

from __future__ import annotations

import hmac
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from culvert.crypto.keys import (
    RekeyedFrom,
    derive_child_keys,
    derive_ike_keys,
    psk_auth,
    signed_octets,
)
from culvert.crypto.prf import prf, prf_plus
from culvert.crypto.transforms import ENCRYPTION, INTEGRITY, Encryption, Integrity, Prf

VECTOR: dict[str, str] = json.loads((Path(__file__).parents[2] / "vectors/ike_crypto.json").read_text())["ikev2_kdf"]
SHA1 = Prf("prfsha1", 2, "sha1", 20, 20)
SHA256 = Prf("prfsha256", 5, "sha256", 32, 32)
AES128 = next(one for one in ENCRYPTION if one.name == "aes128")
AES128GCM = next(one for one in ENCRYPTION if one.name == "aes128gcm16")
HMAC_SHA256 = next(one for one in INTEGRITY if one.name == "sha256")
SHA1_96 = Integrity("sha1", 2, "sha1", 20, 12, "hmac(sha1)")


def octets(name: str) -> bytes:
    return bytes.fromhex(VECTOR[name])


def exchange() -> dict[str, Any]:
    return {name: octets(name) for name in ("nonce_i", "nonce_r", "spi_i", "spi_r")}


def in_order(keys: object) -> list[bytes]:
    return [getattr(keys, field.name) for field in fields(keys)]  # type: ignore[arg-type]


def test_ike_keys_are_nists() -> None:
    keys = derive_ike_keys(SHA1, AES128, SHA1_96, shared=octets("shared"), **exchange())
    assert b"".join(in_order(keys)) == octets("ike")
    assert [len(key) for key in in_order(keys)] == [20, 20, 20, 16, 16, 20, 20]


def test_child_keys_are_nists() -> None:
    ike = derive_ike_keys(SHA1, AES128, SHA1_96, shared=octets("shared"), **exchange())
    nonces = {"nonce_i": octets("nonce_i"), "nonce_r": octets("nonce_r")}
    wide = Encryption("wide", 0, 46, 0, 16, 16, 0, "")
    plain = derive_child_keys(SHA1, wide, SHA1_96, sk_d=ike.sk_d, **nonces)
    fresh = derive_child_keys(SHA1, wide, SHA1_96, sk_d=ike.sk_d, **nonces, shared=octets("shared_new"))
    assert b"".join(in_order(plain)) == octets("child")
    assert b"".join(in_order(fresh)) == octets("child_with_shared")


def test_a_rekeyed_ike_sa_begins_with_nists_seed() -> None:
    ike = derive_ike_keys(SHA1, AES128, SHA1_96, shared=octets("shared"), **exchange())
    old = RekeyedFrom(SHA1, ike.sk_d)
    keys = derive_ike_keys(SHA256, AES128GCM, None, shared=octets("shared_new"), rekeyed_from=old, **exchange())
    seed = octets("nonce_i") + octets("nonce_r") + octets("spi_i") + octets("spi_r")
    expected = prf_plus(SHA256, octets("skeyseed_rekey"), seed, 32 + 2 * 20 + 2 * 32)
    assert b"".join(in_order(keys)) == expected


def test_an_aead_has_salts_and_no_integrity_keys() -> None:
    ike = derive_ike_keys(SHA256, AES128GCM, None, shared=b"shared", **exchange())
    assert [len(key) for key in in_order(ike)] == [32, 0, 0, 20, 20, 32, 32]
    child = derive_child_keys(SHA256, AES128GCM, None, sk_d=ike.sk_d, nonce_i=b"i" * 16, nonce_r=b"r" * 16)
    assert [len(key) for key in in_order(child)] == [20, 0, 20, 0]


def test_child_keys_are_cut_by_direction_then_encryption_before_integrity() -> None:
    keys = derive_child_keys(SHA256, AES128, HMAC_SHA256, sk_d=b"d" * 32, nonce_i=b"i" * 16, nonce_r=b"r" * 16)
    material = prf_plus(SHA256, b"d" * 32, b"i" * 16 + b"r" * 16, 96)
    assert in_order(keys) == [material[:16], material[16:48], material[48:64], material[64:]]


def test_psk_auth_follows_section_2_15() -> None:
    octets_signed = signed_octets(SHA256, b"message", b"nonce", b"p" * 32, b"\x01\x00\x00\x00\xc0\x00\x02\x01")
    assert octets_signed == b"messagenonce" + prf(SHA256, b"p" * 32, b"\x01\x00\x00\x00\xc0\x00\x02\x01")
    padded = prf(SHA256, b"secret", b"Key Pad for IKEv2")
    assert psk_auth(SHA256, b"secret", octets_signed) == prf(SHA256, padded, octets_signed)


@pytest.mark.parametrize("octets", [63, 64, 65, 200])
def test_nothing_is_appended_to_a_secret(octets: int) -> None:
    """HMAC fills a short key up with zeros, so that only one of a block's length shows what was appended."""
    secret = b"x" * octets
    padded = hmac.digest(secret, b"Key Pad for IKEv2", "sha256")
    assert psk_auth(SHA256, secret, b"signed") == hmac.digest(padded, b"signed", "sha256")


@pytest.mark.parametrize("kind", ["ike", "child", "old"])
def test_keys_do_not_show_in_representations(kind: str) -> None:
    ike = derive_ike_keys(SHA256, AES128, HMAC_SHA256, shared=b"shared", **exchange())
    shown: object = {
        "ike": ike,
        "child": derive_child_keys(SHA256, AES128, HMAC_SHA256, sk_d=ike.sk_d, nonce_i=b"i", nonce_r=b"r"),
        "old": RekeyedFrom(SHA256, ike.sk_d),
    }[kind]
    keys = [key for key in in_order(shown) if isinstance(key, bytes)]
    assert keys
    assert all(repr(key)[2:-1] not in repr(shown) and key.hex() not in repr(shown) for key in keys)
