"""`culvert pki`: what it says, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.hashes import SHA256

from culvert.cli import pki as command
from culvert.cli.failures import WordsError
from culvert.cli.main import culvert
from culvert.config.load import load
from culvert.config.model import Authentication
from culvert.crypto.public_keys import KEY_KINDS
from culvert.errors import CulvertError
from culvert.pki import authority


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Result:
        return CliRunner().invoke(culvert, ["pki", *words])

    return call


def said(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_the_whole_way_in_a_command_each(run: Any, tmp_path: Path) -> None:
    text = said(run("ca", "--name", "Example CA"))
    assert 'The authority "CN=Example CA" lives in pki/' in text
    assert "Next: culvert pki gateway NAME --address ADDRESS\n" in text
    text = said(run("gateway", "gw1", "--address", "203.0.113.1"))
    assert "The gateway gw1 (gw1, 203.0.113.1) has a certificate until" in text
    assert "scp -p pki/gw1.key pki/gw1.pem pki/ca.pem pki/crl.pem root@gw1:/etc/culvert/" in text
    text = said(run("revoke", "gw1"))
    assert 'The certificate of "CN=gw1"' in text
    assert "run `culvert reload` there" in text
    assert "was revoked before" in said(run("revoke", "gw1"))


def test_what_it_says_to_write_is_a_configuration(run: Any, tmp_path: Path) -> None:
    """The lines of `pki gateway`, pasted, and the files copied: that loads without a warning."""
    said(run("ca"))
    said(run("gateway", "gw2.example.org", "--address", "198.51.100.1"))
    ours, theirs = said(run("gateway", "gw1")), said(run("gateway", "gw3.example.org"))
    own = ours.partition("[gateway]")[2].partition("In the")[0]
    peer = theirs.partition("  [peers.")[2]
    where = 'address = "198.51.100.1"\nnetworks = ["10.2.0.0/16"]\n'
    text = f'[gateway]\nnetworks = ["10.1.0.0/16"]{own}[peers.{peer}\n{where}'
    file = tmp_path / "pki" / "gateway.toml"
    file.write_text(text)
    from culvert.clock import RealClock

    loaded = load(file, now_s=RealClock().utc_s())
    (found,) = loaded.gateway.peers
    assert loaded.warnings == ()
    assert (found.name, found.auth) == ("gw3.example.org", Authentication.CERTIFICATE)
    assert str(found.identity) == "gw3.example.org"
    assert str(found.local_identity) == "gw1"
    assert found.credential is not None
    assert found.trust is not None
    assert len(found.trust.crls) == 1


def test_json(run: Any) -> None:
    made = json.loads(said(run("ca", "--json")))
    assert made["subject"] == "CN=Culvert CA"
    assert made["files"] == ["pki/ca.key", "pki/ca.pem", "pki/crl.pem"]
    made = json.loads(said(run("gateway", "gw1", "--json")))
    assert made["names"] == ["gw1"]
    gone = json.loads(said(run("revoke", "gw1", "--json")))
    assert gone["serials"] == [made["serial"]]
    assert (gone["anew"], gone["revoked_count"]) == (1, 1)
    shown = json.loads(said(run("show", "--json", "pki/gw1.pem", "pki/crl.pem", "pki/gw1.key")))
    assert [entry["kind"] for entry in shown] == ["certificate", "list", "key"]
    assert shown[1]["revoked"] == [made["serial"]]
    assert shown[0]["sha256"] == made["sha256"]


def test_show(run: Any) -> None:
    said(run("ca", "--name", "O=Example, CN=CA"))
    said(run("gateway", "gw1", "--address", "2001:db8::1", "--key", "ed25519"))
    text = said(run("show", "pki/ca.pem", "pki/gw1.pem", "pki/crl.pem", "pki/gw1.key"))
    for line in (
        "pki/ca.pem: certificate of O=Example, CN=CA",
        "  issuer        itself",
        "  authority     yes, with no authorities below it",
        "pki/gw1.pem: certificate of CN=gw1",
        "  names         gw1, 2001:db8::1",
        "  key           Ed25519",
        "  purposes      ipsecIKE, serverAuth, clientAuth",
        "pki/crl.pem: list of revocations of O=Example, CN=CA",
        "  revoked       0",
        "pki/gw1.key: private key",
    ):
        assert line in text.splitlines()
    assert "BEGIN" not in text


def test_a_private_key_is_never_shown(run: Any, tmp_path: Path) -> None:
    said(run("ca"))
    secret = "".join((tmp_path / "pki/ca.key").read_text().splitlines()[1:-1])
    import base64

    for words in (("show", "pki/ca.key"), ("show", "--json", "pki/ca.key")):
        text = said(run(*words))
        assert secret[20:60] not in text
        assert base64.b64decode(secret)[36:68].hex() not in text


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("gateway", "../x"), WordsError),
        (("gateway", "gw1", "--address", "a b"), WordsError),
        (("gateway", "gw1", "--days", "0"), WordsError),
        (("ca", "--name", "", "--dir", "other"), WordsError),
        (("ca",), CulvertError),
        (("revoke", "nobody"), CulvertError),
        (("show", "nothing.pem"), CulvertError),
        (("gateway", "gw1", "--dir", "nowhere"), CulvertError),
    ],
)
def test_what_cannot_be_done_is_said(run: Any, words: tuple[str, ...], kind: type[CulvertError]) -> None:
    said(run("ca"))
    result = run(*words)
    assert isinstance(result.exception, kind)
    assert isinstance(result.exception, WordsError) == (kind is WordsError)
    assert all(problem.what for problem in result.exception.problems)


@pytest.mark.parametrize(
    "words", [(), ("gateway",), ("revoke",), ("show",), ("gateway", "gw1", "--key", "dsa"), ("cas",)]
)
def test_words_that_make_no_sense(run: Any, words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2


def test_what_is_no_file_of_ours(run: Any, tmp_path: Path) -> None:
    for data in (b"", b"text", bytes(100), b"-----BEGIN CERTIFICATE-----\nAA"):
        (tmp_path / "x").write_bytes(data)
        assert isinstance(run("show", "x").exception, CulvertError)


def test_der_is_shown_too(run: Any, tmp_path: Path) -> None:
    import base64

    said(run("ca"))
    for name, kind in (("ca.pem", "certificate"), ("crl.pem", "list"), ("ca.key", "key")):
        lines = (tmp_path / "pki" / name).read_text().splitlines()
        (tmp_path / "x").write_bytes(base64.b64decode("".join(lines[1:-1])))
        assert json.loads(said(run("show", "--json", "x")))[0]["kind"] == kind


def test_dates_far_away_are_shown(run: Any, tmp_path: Path) -> None:
    from tests.unit.crypto.certificates.authorities import certificate, constraint, key

    for span in ((-631_152_000, 253_402_300_799), (0, 1)):
        made = certificate("CN=x", "CN=x", key(), key(), [constraint()], validity=span, hash_=SHA256())
        (tmp_path / "x").write_bytes(made.der)
        (entry,) = json.loads(said(run("show", "--json", "x")))
        assert entry["valid_until"] in ("9999-12-31T23:59:59Z", "1970-01-01T00:00:01Z")
        assert "NOT NOW" in said(run("show", "x")) or entry["valid"]


def test_the_words_of_the_command_are_those_of_the_rooms_below() -> None:
    assert command.KINDS == KEY_KINDS
    assert (command.AUTHORITY_DAYS, command.GATEWAY_DAYS) == (authority.AUTHORITY_DAYS, authority.GATEWAY_DAYS)
