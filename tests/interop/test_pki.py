"""strongSwan takes what `culvert pki` makes: certificates of every kind, and its lists of revocations, strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from culvert.clock import RealClock
from culvert.config.model import Credential
from culvert.crypto.public_keys import KEY_KINDS
from culvert.entropy import RealEntropy
from culvert.lab.lab import Lab
from culvert.pki.authority import Edge, make_authority, make_gateway, revoke
from culvert.pki.directory import Directory
from tests.interop.papers import Paper
from tests.interop.test_certificates import BOTH, OURS, THEIRS, Two, connect, refused, two
from tests.interop.test_strongswan import lab
from tests.unit.crypto.certificates.authorities import Authority

__all__ = ["lab", "two"]
pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]


def edge() -> Edge:
    return Edge(RealClock().utc_s(), RealEntropy())


def made(folder: Directory, two: Two, kind: str) -> None:
    """Give both gateways what the commands make, lists included."""
    issuer = make_authority(folder, "O=Example, CN=Example CA", edge(), kind=kind)
    two.authority = Authority(issuer.certificate, folder.key(folder.path / "ca.key"))
    two.ours, two.theirs = (_paper(folder, name, kind) for name in (OURS, THEIRS))
    two.our_list = two.their_list = (folder.path / "crl.pem").read_bytes()
    two.revocation = "strict"


def _paper(folder: Directory, name: str, kind: str) -> Paper:
    certificate = make_gateway(folder, name, [], edge(), kind=kind).certificate
    return Paper(name, Credential(certificate, (), folder.key(folder.path / f"{name}.key")))


@pytest.mark.parametrize(("kind", "initiator"), list(zip(KEY_KINDS, ("culvert", "strongswan", "culvert"), strict=True)))
def test_both_believe_each_other(lab: Lab, tmp_path: Path, two: Two, kind: str, initiator: str) -> None:
    made(Directory(tmp_path / "pki"), two, kind)
    joined = two.meet(lab, tmp_path, initiator)
    connect(joined, initiator)
    assert "0% packet loss" in joined.ping()


@BOTH
def test_strongswan_refuses_whom_we_revoked(lab: Lab, tmp_path: Path, two: Two, initiator: str) -> None:
    folder = Directory(tmp_path / "pki")
    made(folder, two, KEY_KINDS[0])
    revoke(folder, OURS, edge())
    two.their_list = (folder.path / "crl.pem").read_bytes()
    joined = two.meet(lab, tmp_path, initiator)
    if initiator == "culvert":
        refused(joined, initiator, "does not accept our certificate")
        joined.until(lambda: "certificate was revoked" in joined.charon.text(), "strongSwan's reason")
    else:
        joined.charon.swanctl("--initiate", "--child", "net", "--timeout", "10", check=False)
        joined.until(lambda: "certificate was revoked" in joined.charon.text(), "strongSwan's reason")
    assert joined.peer()["state"] != "up"
