"""docs/guide/certificates.md does what it says: its commands, in their order, and its configurations."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from culvert.cli.main import culvert
from culvert.clock import RealClock
from culvert.config.dialects.toml_tables import GatewayTable, PeerTable
from culvert.config.load import Loaded, load
from culvert.crypto.certificates.judging import judge
from culvert.crypto.certificates.store import Distrusted, Trusted
from culvert.identities import Identity
from culvert.reasons import Refusal

DOCS = Path(__file__).parents[3] / "docs"
GUIDE = (DOCS / "guide/certificates.md").read_text()
REFERENCE = (DOCS / "reference/certificates.md").read_text()
FENCED = re.compile(r"^```(\S+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[str]:
    return [text for found, _, text in FENCED.findall(GUIDE) if found == kind]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The guide's authority, made by its own commands."""
    monkeypatch.chdir(tmp_path)
    for line in blocks("sh")[0].splitlines():
        run(line)
    return tmp_path / "pki"


def run(line: str) -> None:
    words = shlex.split(line)
    assert words[:2] == ["culvert", "pki"]
    done = CliRunner().invoke(culvert, words[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def office(folder: Path) -> Loaded:
    file = folder / "gateway.toml"
    file.write_text(blocks("toml")[0])
    return load(file, now_s=RealClock().utc_s())


def test_the_office_believes_the_warehouse_until_it_is_revoked(folder: Path) -> None:
    from culvert.crypto.certificates.certificate import parse_pem

    loaded = office(folder)
    assert loaded.warnings == ()
    (peer,) = loaded.gateway.peers
    (warehouse,) = parse_pem((folder / "warehouse.pem").read_bytes())
    now_s = RealClock().utc_s()
    assert peer.trust is not None
    assert isinstance(judge(peer.trust, warehouse, (), now_s), Trusted)
    run(next(block for block in blocks("sh") if "revoke" in block).strip())
    trust = office(folder).gateway.peers[0].trust
    assert trust is not None
    verdict = judge(trust, warehouse, (), now_s)
    assert isinstance(verdict, Distrusted)
    assert verdict.reason is Refusal.CERTIFICATE_REVOKED
    run("culvert pki gateway warehouse")
    run("culvert pki gateway warehouse --renew")


def test_whichever_of_many_gateways_may_be_one_peer(folder: Path) -> None:
    file = folder / "gateway.toml"
    ours = blocks("toml")[0].partition("[peers")[0]
    file.write_text(ours + blocks("toml")[1])
    (peer,) = load(file).gateway.peers
    assert peer.identity is not None
    assert peer.identity.matches(Identity.parse("b7.vans.example.org"))
    assert peer.addresses == ()


def test_every_key_of_the_reference_is_one_of_the_tables_and_the_reverse() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|", REFERENCE, re.MULTILINE)
    written = {(key, table.strip()) for key, tables in rows for table in tables.split(",")}
    keys = ("auth", "local_auth", "certificate", "key", "ca", "crl", "require_crl", "legacy")
    tables: dict[str, Any] = {"gateway": GatewayTable, "peer": PeerTable}
    there = {(key, name) for name, table in tables.items() for key in keys if key in table.model_fields}
    assert written == there


def test_every_reason_of_the_reference_is_one() -> None:
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", REFERENCE))
    assert named <= {str(one) for one in Refusal}
    about = {str(one) for one in Refusal if str(one).startswith(("CERTIFICATE_", "REVOCATION_"))}
    assert about <= named


def test_the_authoritys_key_stays_where_it_is(folder: Path) -> None:
    """No file that the guide says to copy is the authority's key, and a gateway works without it."""
    (folder / "ca.key").unlink()
    shutil.rmtree(folder / "issued")
    assert office(folder).warnings == ()
