"""IKE messages in fragments, to strongSwan and from it (RFC 7383); long chains are in test_certificates.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from culvert.lab.lab import Lab
from tests.interop.papers import below, paper, root
from tests.interop.test_certificates import BOTH, OURS, THEIRS, Two, connect, two
from tests.interop.test_strongswan import join, lab

__all__ = ["lab", "two"]
pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

SMALL = "fragment_size = 150"
"""For strongSwan, whose messages are all longer than that."""
NARROW = "table inet narrow { chain way { type filter hook forward priority 0; ip length > 576 counter drop; }; }"


@BOTH
@pytest.mark.parametrize("ike", ["aes128gcm16-prfsha256-x25519", "aes256-sha256-modp2048"], ids=["aead", "cbc"])
def test_fragments_of_strongswan_are_put_together(lab: Lab, tmp_path: Path, initiator: str, ike: str) -> None:
    proposals = f'proposals = ["{ike}"]'
    joined = join(lab, tmp_path, initiator=initiator, settings=SMALL, ike=ike, extra=proposals)
    try:
        joined.ping()
        assert re.search(r"generating \w+ (request|response) [12] \[ EF\(1/[0-9]+\) \]", joined.charon.text())
        joined.charon.swanctl("--rekey", "--ike", "culvert")
        joined.ping()
        assert joined.charon.text().count("EF(") > 3
    finally:
        joined.office.end()
        joined.charon.stop()


@BOTH
def test_a_path_that_carries_576_octets(two: Two, lab: Lab, tmp_path: Path, initiator: str) -> None:
    """Our first fragments are lost; smaller ones arrive, in both directions."""
    authority = root("rsa2048")
    lower = below(authority, "C=DE, O=Example, CN=Lower", "rsa2048")
    two.authority, two.between, two.settings = authority, (lower,), "fragment_size = 560"
    two.ours, two.theirs = (paper(name, "rsa2048", (authority, lower)) for name in (OURS, THEIRS))
    joined = two.meet(lab, tmp_path, "strongswan")
    joined.chapter.internet.run(["nft", NARROW])
    connect(joined, initiator)
    joined.ping()
    totals = [
        int(one) for one in re.findall(r"parsed IKE_AUTH \w+ 1 \[ EF\([0-9]+/([0-9]+)\) \]", joined.charon.text())
    ]
    assert totals
    assert min(totals) > 3
