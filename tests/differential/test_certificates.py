"""Our judge of certificates beside OpenSSL's and strongSwan's: the same chains, the same verdicts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from culvert.crypto import pem
from culvert.crypto.certificates.certificate import Certificate, parse_pem
from culvert.crypto.certificates.judging import judge
from culvert.crypto.certificates.revocation import parse_crls
from culvert.crypto.certificates.store import Trusted, TrustStore
from tests.differential.certificate_cases import Case, Chance
from tests.unit.crypto.certificates.authorities import NOW_S

CASES_PER_ROUND = 50
OPENSSL = shutil.which("openssl")
STRONGSWAN = shutil.which("pki")

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="needs the program openssl")


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)


def write(path: Path, *certificates: Certificate) -> Path:
    path.write_bytes(b"".join(pem.write("CERTIFICATE", one.der) for one in certificates))
    return path


def openssl_says(case: Case, folder: Path, *, lists: bool) -> tuple[bool, str]:
    """Ask `openssl verify` at the instant of the tests."""
    words: list[str | Path] = ["openssl", "verify", "-attime", str(NOW_S), "-auth_level", "2"]
    words += ["-CAfile", write(folder / "anchor.pem", case.anchor)]
    if case.chain:
        words += ["-untrusted", write(folder / "chain.pem", *case.chain)]
    if lists:
        words += ["-crl_check_all"]
        if case.crls:
            (folder / "lists.pem").write_bytes(b"".join(pem.write("X509 CRL", crl.der) for crl in case.crls))
            words += ["-CRLfile", folder / "lists.pem"]
    done = run(*words, write(folder / "leaf.pem", case.leaf))
    return done.returncode == 0, done.stderr


@pytest.mark.parametrize("lists", [False, True], ids=["without lists", "with lists"])
@pytest.mark.parametrize("start", range(0, 4 * CASES_PER_ROUND, CASES_PER_ROUND))
def test_openssl_agrees_about_chains_by_chance(start: int, lists: bool, tmp_path: Path) -> None:
    good, differing = 0, []
    for seed in range(start, start + CASES_PER_ROUND):
        case = Chance(seed).case(lists=lists)
        store = TrustStore((case.anchor,), crls=tuple(case.crls), require_crl=lists)
        ours = judge(store, case.leaf, tuple(case.chain), NOW_S)
        theirs, why = openssl_says(case, tmp_path, lists=lists)
        good += theirs
        if isinstance(ours, Trusted) != theirs:
            differing.append((seed, case.done, str(ours)[:300], why))
    assert differing == []
    assert 5 < good < CASES_PER_ROUND - 5, "the cases must be of both kinds"


CONFIGURATION = """
[req]
distinguished_name = dn
prompt = no
[dn]
C = DE
O = Example
CN = placeholder
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[middle]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
nameConstraints = critical, permitted;DNS:example.org, permitted;IP:203.0.113.0/255.255.255.0
[leaf]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = 1.3.6.1.5.5.7.3.17
subjectAltName = DNS:gw1.example.org, IP:203.0.113.1
authorityKeyIdentifier = keyid:always
[other]
keyUsage = critical, digitalSignature
subjectAltName = DNS:gw1.example.com
[authority]
database = FOLDER/index.txt
crlnumber = FOLDER/crlnumber
default_md = sha256
default_crl_days = 30
"""
KEYS = {
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa-pss": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ecdsa": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "ed25519": ["-algorithm", "ED25519"],
}
PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]


class OpenSsl:
    """An authority of the program openssl's making."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self._kind = folder, kind
        self._options = PSS if kind == "rsa-pss" else []
        (folder / "openssl.cnf").write_text(CONFIGURATION.replace("FOLDER", str(folder)))
        (folder / "index.txt").touch()
        (folder / "crlnumber").write_text("01\n")

    def do(self, *words: str | Path) -> None:
        done = run("openssl", *words)
        assert done.returncode == 0, done.stderr

    def make(self, name: str, section: str, issuer: str | None = None) -> Certificate:
        at = self.folder / name
        self.do("genpkey", *KEYS[self._kind], "-out", f"{at}.key")
        subject = f"/C=DE/O=Example/CN={name}"
        config = ["-config", self.folder / "openssl.cnf"]
        if issuer is None:
            own = ["-x509", "-days", "30", "-extensions", section, "-key", f"{at}.key", "-out", f"{at}.pem"]
            self.do("req", "-new", *own, "-subj", subject, "-sha256", *config, *self._options)
        else:
            self.do("req", "-new", "-key", f"{at}.key", "-subj", subject, "-out", f"{at}.csr", *config)
            above = self.folder / issuer
            signing = ["-CA", f"{above}.pem", "-CAkey", f"{above}.key", "-CAcreateserial", "-days", "20"]
            extension = ["-extfile", self.folder / "openssl.cnf", "-extensions", section]
            self.do(
                "x509", "-req", "-in", f"{at}.csr", "-out", f"{at}.pem", "-sha256", *signing, *extension, *self._options
            )
        return parse_pem(Path(f"{at}.pem").read_bytes())[0]

    def revoke(self, name: str, issuer: str) -> None:
        above = self.folder / issuer
        words = ["-config", self.folder / "openssl.cnf", "-name", "authority", "-keyfile", f"{above}.key"]
        self.do("ca", *words, "-cert", f"{above}.pem", "-revoke", self.folder / f"{name}.pem")

    def crl(self, issuer: str) -> bytes:
        above = self.folder / issuer
        words = ["-config", self.folder / "openssl.cnf", "-name", "authority", "-keyfile", f"{above}.key"]
        self.do("ca", *words, "-cert", f"{above}.pem", "-gencrl", "-out", self.folder / "crl.pem")
        return (self.folder / "crl.pem").read_bytes()


@pytest.mark.parametrize("kind", KEYS)
def test_chains_and_lists_of_openssls_making(kind: str, tmp_path: Path) -> None:
    peer = OpenSsl(tmp_path, kind)
    anchor = peer.make("root", "ca")
    middle, leaf = peer.make("middle", "middle", "root"), peer.make("gw1", "leaf", "middle")
    outside, below = peer.make("gw2", "other", "middle"), peer.make("deep", "middle", "middle")
    deep = peer.make("gw3", "leaf", "deep")
    now_s = leaf.not_before_s + 5
    store = TrustStore((anchor,))
    assert isinstance(judge(store, leaf, (middle,), now_s), Trusted)
    for one, chain in ((leaf, ()), (outside, (middle,)), (deep, (below, middle))):
        verdict = judge(store, one, chain, now_s)
        assert not isinstance(verdict, Trusted), str(one)
    clean = TrustStore((anchor,), crls=parse_crls(peer.crl("middle")))
    assert isinstance(judge(clean, leaf, (middle,), now_s), Trusted)
    peer.revoke("gw1", "middle")
    revoking = TrustStore((anchor,), crls=parse_crls(peer.crl("middle")))
    assert not isinstance(judge(revoking, leaf, (middle,), now_s), Trusted)


@pytest.mark.parametrize("kind", ["ecdsa256", "rsa3072", "ed25519"])
def test_others_believe_what_culvert_pki_makes(kind: str, tmp_path: Path) -> None:
    from culvert.clock import RealClock
    from culvert.entropy import RealEntropy
    from culvert.pki.authority import Edge, make_authority, make_gateway, revoke
    from culvert.pki.directory import Directory

    folder, edge = Directory(tmp_path), Edge(RealClock().utc_s(), RealEntropy())
    make_authority(folder, "O=Example, CN=Example CA", edge, kind=kind)
    for name in ("gw1", "gw2"):
        make_gateway(folder, name, ["203.0.113.1", "gw.example.org"], edge, kind=kind)
    revoke(folder, "gw2", edge)
    for name, good in (("gw1", True), ("gw2", False)):
        for words in others(tmp_path, tmp_path / f"{name}.pem"):
            done = run(*words)
            assert (done.returncode == 0) == good, (words, done.stdout, done.stderr)


def others(folder: Path, leaf: Path) -> list[list[str | Path]]:
    """Give the commands of OpenSSL, and of strongSwan where its pki is installed, that judge a certificate."""
    ca, crl = folder / "ca.pem", folder / "crl.pem"
    found: list[list[str | Path]] = [
        ["openssl", "verify", "-x509_strict", "-crl_check", "-CAfile", ca, "-CRLfile", crl, leaf],
    ]
    if STRONGSWAN is not None:
        found.append([STRONGSWAN, "--verify", "--in", leaf, "--cacert", ca, "--crl", crl])
    return found
