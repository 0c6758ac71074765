"""Pseudorandom functions against published vectors, and the bound of prf+."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from culvert.crypto.prf import MAX_ROUNDS, prf, prf_plus
from culvert.crypto.transforms import Prf, transform_named

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors/ike_crypto.json").read_text())
SHA256 = Prf("prfsha256", 5, "sha256", 32, 32)


@pytest.mark.parametrize("case", VECTORS["hmac"]["cases"], ids=lambda case: f"{case['prf']}-{len(case['key']) // 2}")
def test_hmac_vectors(case: dict[str, str]) -> None:
    transform = transform_named(case["prf"])
    assert isinstance(transform, Prf)
    output = prf(transform, bytes.fromhex(case["key"]), bytes.fromhex(case["data"]))
    assert output.hex() == case["output"]
    assert len(output) == transform.output_octets


def test_prf_plus_chains_its_blocks() -> None:
    first = prf(SHA256, b"key", b"seed\x01")
    second = prf(SHA256, b"key", first + b"seed\x02")
    assert prf_plus(SHA256, b"key", b"seed", 40) == (first + second)[:40]
    assert prf_plus(SHA256, b"key", b"seed", 64) == first + second
    assert prf_plus(SHA256, b"key", b"seed", 0) == b""


def test_prf_plus_ends_with_its_counter() -> None:
    assert len(prf_plus(SHA256, b"key", b"seed", MAX_ROUNDS * 32)) == MAX_ROUNDS * 32
    with pytest.raises(ValueError, match="more than"):
        prf_plus(SHA256, b"key", b"seed", MAX_ROUNDS * 32 + 1)
    with pytest.raises(ValueError, match="more than"):
        prf_plus(SHA256, b"key", b"seed", -64)
