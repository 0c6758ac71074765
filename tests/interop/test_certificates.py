"""Culvert and strongSwan prove themselves to each other by certificates, each as initiator and as responder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B, build_chapter
from culvert.lab.demo.office import Office
from culvert.lab.lab import Lab
from tests.interop.charon import Charon, certified
from tests.interop.papers import Authority, Paper, below, paper, revoking, root, text, write
from tests.interop.test_strongswan import NETWORKS, PEER, Joined, lab
from tests.unit.crypto.certificates.authorities import key

__all__ = ["lab"]
pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

OURS, THEIRS = "culvert.example.org", "strongswan.example.org"
BOTH = pytest.mark.parametrize("initiator", ["culvert", "strongswan"])
PSS = "rsa_pss = yes"
OLD = "signature_authentication = no"


@dataclass
class Two:
    """What both gateways have and expect; what a test changes before they meet."""

    authority: Authority
    ours: Paper
    theirs: Paper
    trusted_by_us: bytes = b""
    trusted_by_them: bytes = b""
    between: tuple[Authority, ...] = ()
    we_expect: str = THEIRS
    they_expect: str = OURS
    our_list: bytes = b""
    their_list: bytes = b""
    peer: str = ""
    settings: str = ""
    revocation: str = "relaxed"
    auth: str = "pubkey"
    _started: list[Office | Charon] = field(default_factory=list)

    def meet(self, lab: Lab, tmp_path: Path, initiator: str) -> Joined:
        """Start both; nothing is known yet about whether they come together."""
        chapter = build_chapter(lab)
        office = Office(chapter.gateway_a, SITE_A, SITE_B, PEER, tmp_path / "office")
        self._configure(office, initiator)
        chapter.gateway_b.forward()
        charon = Charon(
            chapter.gateway_b.namespace,
            tmp_path / "charon",
            certified(
                (SITE_B.outside[0], THEIRS),
                (SITE_A.outside[0], self.they_expect),
                (SITE_B.network[0], SITE_A.network[0]),
                revocation=self.revocation,
                auth=self.auth,
            ),
            settings=self.settings,
            files=self._of_charon(),
        )
        self._started.append(charon)
        office.ready(office.begin())
        self._started.append(office)
        return Joined(chapter, office, charon)

    def _configure(self, office: Office, initiator: str) -> None:
        office.directory.mkdir(mode=0o700)
        start = "always" if initiator == "culvert" else "passive"
        crl = 'crl = ["list.pem"]' if self.our_list else ""
        office.file.write_text(f"""[gateway]
address  = "{SITE_A.outside[0]}"
networks = ["{NETWORKS[0]}"]
identity = "{OURS}"
certificate = "gw.pem"
key = "gw.key"
ca = "root.pem"
{crl}

[peers.{PEER}]
address  = "{SITE_B.outside[0]}"
networks = ["{NETWORKS[1]}"]
identity = "{self.we_expect}"
auth = "certificate"
start = "{start}"
{self.peer}
""")
        files = {"gw.pem": self.ours.chain, "gw.key": self.ours.key, "root.pem": self.trusted_by_us or self._root}
        write(office.directory, files | ({"list.pem": self.our_list} if self.our_list else {}))

    @property
    def _root(self) -> bytes:
        return text(self.authority.certificate)

    def _of_charon(self) -> dict[str, bytes]:
        files = {
            "x509/gateway.pem": text(self.theirs.credential.certificate),
            "x509ca/root.pem": self.trusted_by_them or self._root,
            "private/gateway.pem": self.theirs.key,
        }
        files |= {f"x509/between{n}.pem": text(one.certificate) for n, one in enumerate(self.between)}
        return files | ({"x509crl/list.pem": self.their_list} if self.their_list else {})

    def end(self) -> None:
        for one in self._started:
            one.stop() if isinstance(one, Charon) else one.end()


@pytest.fixture
def two(lab: Lab) -> Iterator[Two]:
    authority = root()
    both = Two(authority, paper(OURS, "ecdsa256", (authority,)), paper(THEIRS, "ecdsa256", (authority,)))
    yield both
    both.end()  # before the lab, which their namespaces belong to


def connect(joined: Joined, initiator: str) -> None:
    try:
        if initiator == "strongswan":
            joined.charon.initiate("net")
        joined.office.connect()
    except Exception:
        print(joined.log())
        raise


def refused(joined: Joined, initiator: str, phrase: str) -> None:
    """See that the tunnel does not come, and that our status says why."""
    if initiator == "strongswan":
        joined.charon.swanctl("--initiate", "--child", "net", "--timeout", "10", check=False)
    joined.until(lambda: phrase in joined.peer()["message"], f"“{phrase}”")
    assert joined.peer()["state"] != "up"
    assert joined.peer()["ike"] is None


KINDS = [
    ("rsa2048", "rsa2048", "", "sha256WithRSAEncryption"),
    ("rsa3072", "rsa2048", PSS, "RSASSA-PSS-SHA256"),
    ("ecdsa256", "ecdsa384", "", "ecdsa-with-SHA384"),
    ("ecdsa521", "ecdsa256", "", "ecdsa-with-SHA256"),
    ("ed25519", "ed25519", "", "Ed25519"),
    ("rsa2048", "ed25519", "", "Ed25519"),
    ("ed25519", "ecdsa256", "", "ecdsa-with-SHA256"),
]


@BOTH
@pytest.mark.parametrize("kinds", KINDS, ids=lambda value: "-".join(value[:2]))
def test_keys_of_all_kinds(
    two: Two, lab: Lab, tmp_path: Path, initiator: str, kinds: tuple[str, str, str, str]
) -> None:
    ours, theirs, two.settings, algorithm = kinds
    two.ours, two.theirs = paper(OURS, ours, (two.authority,)), paper(THEIRS, theirs, (two.authority,))
    joined = two.meet(lab, tmp_path, initiator)
    connect(joined, initiator)
    joined.ping()
    assert f'of "C=DE, O=Example, CN=Root", with {algorithm}' in joined.log()
    assert re.search(r"authentication of 'culvert.example.org' with \S+ successful", joined.charon.text())


@BOTH
def test_a_chain_so_long_that_it_goes_in_fragments(two: Two, lab: Lab, tmp_path: Path, initiator: str) -> None:
    authority = root("rsa4096")
    upper = below(authority, "C=DE, O=Example, CN=Upper", "rsa4096")
    lower = below(upper, "C=DE, O=Example, CN=Lower", "rsa4096")
    two.authority, two.between = authority, (upper, lower)
    two.ours = paper(OURS, "rsa4096", (authority, upper, lower))
    two.theirs = paper(THEIRS, "rsa4096", (authority, upper, lower), key("rsa4096", 700))
    joined = two.meet(lab, tmp_path, initiator)
    connect(joined, initiator)
    joined.ping()
    log = joined.charon.text()
    assert re.search(r"parsed IKE_AUTH (request|response) 1 \[ EF\([0-9]+/[3-9]\) \]", log)
    assert re.search(r"generating IKE_AUTH (request|response) 1 \[ EF\([0-9]+/[3-9]\) \]", log)
    assert "by the certificate" in joined.log()


@BOTH
def test_we_expect_somebody_else(two: Two, lab: Lab, tmp_path: Path, initiator: str) -> None:
    two.we_expect = "somebody.example.org"
    joined = two.meet(lab, tmp_path, initiator)
    if initiator == "culvert":
        refused(joined, initiator, "it does not accept our certificate or our identity; we say that we are")
        assert "peer config" in joined.charon.text()
    else:
        refused(
            joined,
            initiator,
            f"says it is {THEIRS}: nobody is configured with this identity; expected from there: somebody.example.org",
        )
        assert "received AUTHENTICATION_FAILED notify error" in joined.charon.text()


@BOTH
def test_they_expect_somebody_else(two: Two, lab: Lab, tmp_path: Path, initiator: str) -> None:
    two.they_expect = "somebody.example.org"
    joined = two.meet(lab, tmp_path, initiator)
    if initiator == "culvert":
        refused(joined, initiator, f"it does not accept our certificate or our identity; we say that we are {OURS}")
    else:
        refused(joined, initiator, f"asks for somebody.example.org, and we are {OURS} for it")


@BOTH
def test_a_name_that_is_not_in_the_certificate(two: Two, lab: Lab, tmp_path: Path, initiator: str) -> None:
    two.theirs = paper("other.example.org", "ecdsa256", (two.authority,))
    joined = two.meet(lab, tmp_path, initiator)
    refused(joined, initiator, "that does not stand in its certificate, which is for other.example.org")


@BOTH
def test_their_certificate_is_revoked(two: Two, lab: Lab, tmp_path: Path, initiator: str) -> None:
    two.our_list = revoking(two.authority, two.theirs)
    joined = two.meet(lab, tmp_path, initiator)
    refused(joined, initiator, f'CN=Root" revoked the certificate of "C=DE, O=Example, CN={THEIRS}"')


@BOTH
def test_our_certificate_is_revoked(two: Two, lab: Lab, tmp_path: Path, initiator: str) -> None:
    two.their_list = revoking(two.authority, two.ours)
    joined = two.meet(lab, tmp_path, initiator)
    refused(joined, initiator, f"it does not accept our certificate or our identity; we say that we are {OURS}")
    assert "certificate was revoked" in joined.charon.text()


@BOTH
def test_a_list_that_revokes_others_is_no_hindrance(two: Two, lab: Lab, tmp_path: Path, initiator: str) -> None:
    other = paper("other.example.org", "ecdsa256", (two.authority,))
    two.our_list = two.their_list = revoking(two.authority, other)
    two.peer, two.revocation = "require_crl = true", "strict"
    joined = two.meet(lab, tmp_path, initiator)
    connect(joined, initiator)
    joined.ping()


@BOTH
def test_an_authority_that_we_do_not_trust(two: Two, lab: Lab, tmp_path: Path, initiator: str) -> None:
    stranger = below(two.authority, "C=DE, O=Elsewhere, CN=Stranger", "ecdsa384")
    two.trusted_by_us = text(stranger.certificate)
    joined = two.meet(lab, tmp_path, initiator)
    refused(joined, initiator, "no authority that is trusted here")


@BOTH
def test_a_peer_that_does_not_know_rfc_7427(two: Two, lab: Lab, tmp_path: Path, initiator: str) -> None:
    """ECDSA then goes by the methods of RFC 4754."""
    two.settings = OLD
    two.theirs = paper(THEIRS, "ecdsa384", (two.authority,))
    joined = two.meet(lab, tmp_path, initiator)
    connect(joined, initiator)
    joined.ping()
    assert "with ECDSA P-384" in joined.log()


@BOTH
def test_rsa_to_an_old_peer_means_sha1_and_must_be_asked_for(
    two: Two, lab: Lab, tmp_path: Path, initiator: str
) -> None:
    two.settings, two.peer = OLD, "legacy = true"
    two.ours, two.theirs = paper(OURS, "rsa2048", (two.authority,)), paper(THEIRS, "rsa2048", (two.authority,))
    joined = two.meet(lab, tmp_path, initiator)
    connect(joined, initiator)
    joined.ping()
    assert "with RSA with SHA-1" in joined.log()


def test_rsa_to_an_old_peer_is_refused_by_name(two: Two, lab: Lab, tmp_path: Path) -> None:
    two.settings = OLD
    two.ours = paper(OURS, "rsa2048", (two.authority,))
    joined = two.meet(lab, tmp_path, "culvert")
    refused(joined, "culvert", "the peer does not know RFC 7427: our key (RSA 2048) makes no signature for it")
    assert joined.peer()["reason"] == "NO_SIGNATURE"
