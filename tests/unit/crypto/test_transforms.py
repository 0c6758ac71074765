"""The table of transforms: what IANA, the kernel and setkey call them, and what is refused."""

from __future__ import annotations

import re

import pytest

from culvert.crypto.transforms import (
    ALIASES,
    BY_NAME,
    ENCRYPTION,
    INTEGRITY,
    REFUSED,
    SETKEY_ALIASES,
    Encryption,
    setkey_encryption,
    setkey_integrity,
)

NUMBERS = {
    "3des": 3,
    "null": 11,
    "aes128": 12,
    "aes192ctr": 13,
    "aes256ccm8": 14,
    "aes128ccm12": 15,
    "aes128ccm16": 16,
    "aes128gcm8": 18,
    "aes128gcm12": 19,
    "aes192gcm16": 20,
    "aes256gmac": 21,
    "camellia256": 23,
    "chacha20poly1305": 28,
    "md5": 1,
    "sha1": 2,
    "aesxcbc": 5,
    "aescmac": 8,
    "sha256": 12,
    "sha384": 13,
    "sha512": 14,
}
"""IANA "IKEv2 Parameters", transform types 1 and 3."""


def test_numbers_are_ianas() -> None:
    assert {name: getattr(BY_NAME[name], "id", None) for name in NUMBERS} == NUMBERS


def test_every_transform_has_one_name_and_one_number() -> None:
    names = [one.name for one in (*ENCRYPTION, *INTEGRITY)]
    assert len(set(names)) == len(names)
    assert len({(one.id, one.key_octets) for one in ENCRYPTION}) == len(ENCRYPTION)
    assert len({one.id for one in INTEGRITY}) == len(INTEGRITY)
    assert len({(one.xfrm_name, one.icv_octets) for one in INTEGRITY}) == len(INTEGRITY)
    assert set(ALIASES.values()) <= set(BY_NAME)
    assert not set(ALIASES) & set(BY_NAME)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("aes256", (32, 0, 16, 16, 0)),
        ("aes128ctr", (16, 4, 8, 1, 0)),
        ("aes256ccm16", (32, 3, 8, 1, 16)),
        ("aes128gcm8", (16, 4, 8, 1, 8)),
        ("aes256gmac", (32, 4, 8, 1, 16)),
        ("chacha20poly1305", (32, 4, 8, 1, 16)),
        ("3des", (24, 0, 8, 8, 0)),
        ("camellia192", (24, 0, 16, 16, 0)),
        ("null", (0, 0, 0, 1, 0)),
    ],
)
def test_sizes(name: str, sizes: tuple[int, ...]) -> None:
    one = BY_NAME[name]
    assert isinstance(one, Encryption)
    assert (one.key_octets, one.salt_octets, one.iv_octets, one.block_octets, one.icv_octets) == sizes


def test_what_rfc_8221_advises_against_is_marked() -> None:
    assert [one.name for one in (*ENCRYPTION, *INTEGRITY) if one.legacy] == ["3des", "md5"]


def test_setkeys_names_find_all_lengths_of_key() -> None:
    assert [one.key_octets for one in setkey_encryption("rijndael-cbc")] == [16, 24, 32]
    assert [one.name for one in setkey_encryption("aes-gcm-12")] == ["aes128gcm12", "aes192gcm12", "aes256gcm12"]
    assert [one.name for one in setkey_encryption("null")] == ["null"]
    assert setkey_encryption("hmac-sha1") == ()
    assert setkey_integrity("hmac-sha256") is BY_NAME["sha256"]
    assert setkey_integrity("aes-cbc") is None
    assert all(one.setkey_name for one in (*ENCRYPTION, *INTEGRITY))
    assert all(setkey_encryption(name) or setkey_integrity(name) for name in SETKEY_ALIASES)


def test_what_is_refused_is_nowhere_else_and_says_why() -> None:
    for name, why in REFUSED.items():
        assert not setkey_encryption(name)
        assert setkey_integrity(name) is None
        assert re.fullmatch(r"[^.]+(\. [^.]+)?", why.replace("RFC 8221 section 5 says MUST NOT", ""))


def test_counter_modes() -> None:
    modes = {re.sub(r"[0-9]+", "", one.name) for one in ENCRYPTION if one.counter}
    assert modes == {"aesctr", "aesccm", "aesgcm", "aesgmac", "chachapoly"}
