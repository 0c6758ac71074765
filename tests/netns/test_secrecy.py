"""Where the secrets of two running gateways are not to be found, and who may open their files.

Everything is told that can be told: all topics, the log at its loudest, as JSON. What came out of any command, of the
log's memory and of whoever follows it, and what lies in any file of the gateway, is searched for every key of the run.
"""

from __future__ import annotations

import asyncio
import base64
import json
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from culvert.ike.v2.checkpoint import Parser
from culvert.wire.plain import UnreadableError
from culvert.xfrm.client import XfrmClient
from tests.netns.offices import PEER, SECRET, Pair, TestedOffice, two_offices

pytestmark = [pytest.mark.root, pytest.mark.slow]

LEAST_OCTETS = 8
"""A shorter piece of a key would be found by chance."""


@dataclass
class Joined:
    """Two offices whose tunnel is up. `said` is what A's commands printed, `keys` every key of A's that was seen."""

    pair: Pair
    said: list[bytes] = field(default_factory=list)
    keys: set[bytes] = field(default_factory=set)

    @property
    def a(self) -> TestedOffice:
        return self.pair.a

    @property
    def followed(self) -> Path:
        """What somebody who follows the log was told."""
        return self.a.directory / "followed"

    def culvert(self, *arguments: str, code: int | None = 0) -> str:
        done = self.a.culvert(*arguments, code=code)
        self.said += [done.stdout.encode(), done.stderr.encode()]
        return str(done.stdout)

    def learn_keys(self) -> None:
        """Read the keys that are in use now, as only root can: of child SAs and, in the checkpoints, of IKE SAs."""
        self.keys |= asyncio.run(_keys_of(self.a.run_dir / "engine.sock"))


async def _keys_of(socket: Path) -> set[bytes]:
    client = await XfrmClient.connect(socket)
    try:
        found: set[bytes] = set()
        for state in await client.associations(keys=True):
            assert state.keys is not None
            found |= {state.keys.encryption, state.keys.integrity}
        parser = Parser(lambda known: known.peer)
        for blob in (await client.blobs()).values():
            try:
                snapshot = parser.parse(blob).snapshot
            except UnreadableError:
                continue
            for sa in snapshot.sas:
                keys = sa.keys
                found |= {getattr(keys, one.name) for one in fields(keys)} if keys is not None else set()
    finally:
        client.close()
    return {key for key in found if len(key) >= LEAST_OCTETS}


def _by_certificate(directory: Path, pair: Pair) -> bytes:
    """Let both prove themselves by certificates of a small authority; give A's private key."""
    folder = directory / "pki"
    pair.a.culvert("pki", "ca", "--dir", str(folder))
    for office, name in ((pair.a, "gw-a"), (pair.b, "gw-b")):
        address = office.site.outside[0]
        pair.a.culvert("pki", "gateway", name, "--address", address, "--dir", str(folder))
        for file, mode in ((f"{name}.pem", 0o644), (f"{name}.key", 0o600), ("ca.pem", 0o644)):
            (found,) = folder.rglob(file)
            (office.directory / file).write_bytes(found.read_bytes())
            (office.directory / file).chmod(mode)
        lines = f'certificate = "{name}.pem"\nkey = "{name}.key"\nca = "ca.pem"\n'
        office.write(gateway=lines, peer='auth = "certificate"')
    return (pair.a.directory / "gw-a.key").read_bytes()


@pytest.fixture(params=["secret", "certificate"])
def joined(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Joined]:
    """Two offices whose tunnel is up, with everything told that can be, and their keys made anew."""
    with two_offices(tmp_path) as pair:
        joined = Joined(pair)
        if request.param == "certificate":
            joined.keys |= _pieces(_by_certificate(tmp_path, pair))
        loud = ("--log-level", "debug", "--log-json", "--debug", "all")
        joined.culvert("up", "-c", str(pair.a.file), "-d", *loud)
        following = pair.a.command("log", "-f", "--json", "--debug", "all", "-n", "5000")
        with (
            joined.followed.open("wb") as output,
            pair.a.host.start(following, stdout=output, stderr=subprocess.STDOUT) as follower,
        ):
            try:
                pair.b.up()
                joined.culvert("connect", PEER, "--timeout", "25s")
                joined.learn_keys()
                for arguments in (("rekey", PEER), ("rekey", PEER, "--ike"), ("rekey", PEER)):
                    before = _spis(joined)
                    joined.culvert(*arguments)
                    pair.a.until(lambda before=before: _spis(joined) != before, "other keys")
                    joined.learn_keys()
                assert pair.ping()
                yield joined
                joined.culvert("down")
                follower.wait(timeout=20)
            finally:
                follower.terminate()


def _spis(joined: Joined) -> tuple[str, ...]:
    status = joined.a.peer_status()
    return (status["ike"]["spi_i"], *(child["spi_in"] for child in status["children"]))


def _pieces(pem: bytes) -> set[bytes]:
    """Give what of a private key must not be seen: its lines, its octets, its one secret number."""
    key = serialization.load_pem_private_key(pem, None)
    number = key.private_numbers().private_value  # type: ignore[union-attr]
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    lines = [line for line in pem.splitlines() if len(line) >= 32 and not line.startswith(b"-")]
    return {*lines, der, number.to_bytes(32, "big")}


def _forms(secret: bytes) -> list[bytes]:
    """Give a secret as it may be written: raw, in hexadecimal, in base64, as Python or JSON would show it."""
    text = secret.decode("latin-1")
    plain = base64.b64encode(secret).rstrip(b"=")
    return [
        secret,
        secret.hex().encode(),
        secret.hex().upper().encode(),
        plain[: len(plain) // 4 * 4],
        repr(secret)[2:-1].encode(),
        json.dumps(text)[1:-1].encode(),
    ]


def _outputs(joined: Joined) -> dict[str, bytes]:
    """Give all that came out of A, by where."""
    found = {f"output {number}": octets for number, octets in enumerate(joined.said)}
    found["followed"] = joined.followed.read_bytes()
    for folder in (joined.a.run_dir, joined.a.directory / "state"):
        found |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for pid in joined.a.pids():
        found |= {f"/proc/{pid}/{what}": Path(f"/proc/{pid}/{what}").read_bytes() for what in ("cmdline", "environ")}
    return found


def test_no_key_of_the_run_is_in_anything_that_it_puts_out(joined: Joined) -> None:
    for arguments in (
        ("status", "--json"),
        ("status",),
        ("log", "-n", "6000", "--json"),
        ("log", "-n", "6000"),
        ("log", "--debug", "all", "--json"),
        ("prove", PEER, "--json"),
        ("routes", "--json"),
        ("connect", "nobody"),
    ):
        joined.culvert(*arguments, code=None)
    log = (joined.a.run_dir / "culvert.log").read_bytes()
    for topic in ("ike", "esp", "spd", "net"):
        assert f'"topic": "{topic}"'.encode() in log, f"nothing was told of {topic}"
    assert b"KE x25519" in log
    assert b"KE x25519" in joined.followed.read_bytes()
    assert len(joined.keys) >= 16, "the keys of four children and two IKE SAs were to be seen"
    outputs = _outputs(joined)
    assert len(outputs) >= 20
    for secret in (SECRET.encode(), *joined.keys):
        for form in _forms(secret):
            assert [where for where, octets in outputs.items() if form in octets] == [], secret.hex()


def test_what_is_searched_for_would_be_found(joined: Joined) -> None:
    """The search itself can fail: a key that somebody writes to the log is seen."""
    leaked = next(iter(joined.keys))
    joined.said.append(b"the key is " + base64.b64encode(b"xyz" + leaked + b"z"))
    joined.said.append(b"the key is " + leaked.hex().encode())
    assert any(form in octets for form in _forms(leaked) for octets in _outputs(joined).values())


def test_neither_process_leaves_its_memory_in_a_core_file(joined: Joined) -> None:
    for pid in joined.a.pids():
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        soft, hard = next(line.split()[4:6] for line in limits if line.startswith("Max core file size"))
        assert (soft, hard) == ("0", "0"), pid


def test_sockets_and_log_are_not_for_everybody(joined: Joined) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in joined.a.run_dir.iterdir()}
    assert modes["control.sock"] == modes["engine.sock"] == 0o660
    assert modes["culvert.log"] == 0o640
    assert not any(mode & 0o022 for name, mode in modes.items() if not name.endswith(".sock"))
