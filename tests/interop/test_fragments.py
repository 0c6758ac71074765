"""IKE messages in fragments, to strongSwan and from it (RFC 7383)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from culvert.lab.lab import Lab
from tests.interop.test_strongswan import join, lab

__all__ = ["lab"]
pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

SMALL = "fragment_size = 150"
"""For strongSwan, whose messages are all longer than that."""


@pytest.mark.parametrize("initiator", ["culvert", "strongswan"])
@pytest.mark.parametrize("ike", ["aes128gcm16-prfsha256-x25519", "aes256-sha256-modp2048"], ids=["aead", "cbc"])
def test_fragments_of_strongswan_are_put_together(lab: Lab, tmp_path: Path, initiator: str, ike: str) -> None:
    proposals = f'proposals = ["{ike}"]'
    joined = join(lab, tmp_path, initiator=initiator, settings=SMALL, ike=ike, extra=proposals)
    try:
        joined.ping()
        assert re.search(r"generating \w+ (request|response) [12] \[ EF\(1/[2-9]\) \]", joined.charon.text())
        joined.charon.swanctl("--rekey", "--ike", "culvert")
        joined.ping()
        assert joined.charon.text().count("EF(") > 3
    finally:
        joined.office.end()
        joined.charon.stop()
