"""A confused administrator: what the real commands say about bad files and bad hosts, and that nothing is half done."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B, TO_A
from culvert.lab.eavesdropper import Eavesdropper
from culvert.wire.isakmp.header import read_header
from culvert.wire.isakmp.numbers import ExchangeType
from tests.netns.forge import overheard
from tests.netns.offices import PEER, Pair, TestedOffice, two_offices

pytestmark = [pytest.mark.root, pytest.mark.slow]

SEALED = 46
"""The Encrypted payload (RFC 7296 section 3.14)."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with two_offices(tmp_path) as built:
        yield built


def wait_until(look: Callable[[], bool], patience_s: float = 30.0) -> None:
    give_up = time.monotonic() + patience_s
    while not look():
        assert time.monotonic() < give_up


# --- files ---


def unreadable_secret(office: TestedOffice) -> None:
    office.write_secrets(f'{SITE_B.outside[0]} "long enough to be a secret"\n', mode=0o644)


def no_secret(office: TestedOffice) -> None:
    office.write_secrets('192.0.2.77 "long enough to be a secret"\n')


def no_secrets_file(office: TestedOffice) -> None:
    (office.directory / "psk.txt").unlink()


def same_network(office: TestedOffice) -> None:
    office.write(theirs=SITE_A.network[0])


def no_network(office: TestedOffice) -> None:
    office.write(theirs="192.168.2.0/33")


def host_bits(office: TestedOffice) -> None:
    office.write(theirs="192.168.2.34/24")


def unknown_key(office: TestedOffice) -> None:
    office.write(peer='adress = "198.51.100.1"')


def unknown_table(office: TestedOffice) -> None:
    office.file.write_text(office.file.read_text().replace("[peers.other]", "[peer.other]"))


def toml_error(office: TestedOffice) -> None:
    office.file.write_text(
        office.file.read_text().replace('networks = ["192.168.2.0/24"]', "networks = [192.168.2.0/24]")
    )


def no_utf8(office: TestedOffice) -> None:
    office.file.write_bytes(office.file.read_bytes() + b"# caf\xe9\n")


def no_file(office: TestedOffice) -> None:
    office.file.unlink()


def directory_for_file(office: TestedOffice) -> None:
    office.file.unlink()
    office.file.mkdir()


BAD_FILES: list[tuple[Callable[[TestedOffice], None], tuple[str, ...]]] = [
    (unreadable_secret, ("psk.txt", "chmod 600")),
    (no_secret, ("no secret", SITE_B.outside[0], "psk.txt", "gateway.toml:5")),
    (no_secrets_file, ("psk.txt", SITE_B.outside[0])),
    (same_network, ("192.168.1.0/24", "both", "gateway.toml:7")),
    (no_network, ("192.168.2.0/33", "gateway.toml:7")),
    (host_bits, ("192.168.2.34/24", "192.168.2.0/24", "gateway.toml:7")),
    (unknown_key, ("adress", "address", "gateway.toml:8")),
    (unknown_table, ("peer", "peers", "gateway.toml:5")),
    (toml_error, ("gateway.toml:7",)),
    (no_utf8, ("UTF-8", "gateway.toml")),
    (no_file, ("gateway.toml",)),
    (directory_for_file, ("gateway.toml",)),
]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A host for what is refused before anything is done; every test must leave it as it was."""
    with two_offices(tmp_path_factory.mktemp("bad")) as built:
        yield built


@pytest.mark.parametrize(("spoil", "words"), BAD_FILES, ids=[spoil.__name__ for spoil, _ in BAD_FILES])
def test_a_bad_file_is_named_by_check_and_by_up(
    host: Pair, tmp_path: Path, spoil: Callable[[TestedOffice], None], words: tuple[str, ...]
) -> None:
    office = TestedOffice(host.a.host, SITE_A, SITE_B, tmp_path / "office")
    office.write()
    spoil(office)
    before = office.standing()
    for command in (("check", str(office.file)), ("up", "-d", "-c", str(office.file)), ("up", "-c", str(office.file))):
        said = office.culvert(*command, code=1).stderr
        for word in words:
            assert word in said, f"{command[0]}: {said}"
        assert "long enough to be a secret" not in said
    assert office.standing() == before
    left = [path.name for path in office.run_dir.iterdir()] if office.run_dir.exists() else []
    assert set(left) <= {"culvert.log"}


def test_everything_wrong_is_said_at_once_with_its_lines(host: Pair, tmp_path: Path) -> None:
    office = TestedOffice(host.a.host, SITE_A, SITE_B, tmp_path / "office")
    office.file.write_text(
        '[gateway]\naddress = "203.0.113.1"\nnetworks = ["192.168.1.0/24"]\nnam = "x"\n'
        '[peers.one]\naddress = "198.51.100.1"\nnetworks = ["192.168.1.0/24"]\n'
        '[peers.two]\naddress = "198.51.100.2"\nnetworks = ["300.1.2.0/24"]\nstart = "sometimes"\n'
        '[peers.three]\naddress = "198.51.100.3"\nnetworks = ["10.3.0.0/16"]\ndpd = "soon"\nproposals = "rot13-md5"\n'
    )
    office.write_secrets('198.51.100.1 "long enough to be a secret"\n', mode=0o604)
    before = office.standing()
    checked = office.culvert("check", str(office.file), code=1).stderr
    refused = office.culvert("up", "-d", "-c", str(office.file), code=1).stderr
    for said in (checked, refused):
        for line, word in ((4, "nam"), (7, "192.168.1.0/24"), (10, "300.1.2.0/24"), (11, "sometimes")):
            assert re.search(rf"gateway\.toml:{line}\b[^\n]*", said), said
            assert word in said, said
        for line, word in ((15, "soon"), (16, "rot13")):
            assert re.search(rf"gateway\.toml:{line}\b", said), said
            assert word in said, said
        assert "psk.txt" in said
    document = json.loads(office.culvert("check", "--json", str(office.file), code=1).stdout)
    assert document["good"] is False
    assert len(document["problems"]) >= 7
    assert all(problem["what"] and problem["where"] for problem in document["problems"])
    assert office.standing() == before


# --- the two do not agree ---


def auth_messages(frames: list[bytes], destination: str) -> list[bytes]:
    return [message for message in overheard(frames, destination).ike if read_header(message).exchange != 34]


def refusal_on_the_wire(pair: Pair) -> set[int]:
    """Let both fail, and give the lengths of the answers to IKE_AUTH; nothing outside is readable."""
    with Eavesdropper(pair.chapter.internet, TO_A) as ear:
        pair.b.up()
        pair.a.up()
        for office in (pair.a, pair.b):
            office.culvert("connect", PEER, "--timeout", "20s", code=1)
        frames = ear.frames()
    lengths: set[int] = set()
    for to in (SITE_A.outside[0], SITE_B.outside[0]):
        messages = auth_messages(frames, to)
        assert messages
        for message in messages:
            header = read_header(message)
            assert message[16] == SEALED, f"exchange {header.exchange} in clear"
            if header.exchange == ExchangeType.IKE_AUTH and header.response:
                lengths.add(len(message))
        assert not any(word in message for message in messages for word in (b"AUTH", SITE_A.outside[0].encode()))
    return lengths


def test_a_wrong_secret_and_an_unknown_identity_look_the_same_outside(pair: Pair, tmp_path: Path) -> None:
    pair.b.write(secret="another secret than the other side has")
    wrong = refusal_on_the_wire(pair)
    for office in (pair.a, pair.b):
        status = office.peer_status()
        assert status["reason"] == "AUTHENTICATION_FAILED", office.log()
        assert status["message"]
        office.down()
    pair.b.write()
    pair.b.write_secrets(f'{SITE_A.outside[0]} "the secret of these two, and of nobody else"\n')
    pair.a.write(peer='local_identity = "somebody@example.org"')
    pair.b.file.write_text(pair.b.file.read_text())
    pair.b.write(peer='start = "passive"')
    with Eavesdropper(pair.chapter.internet, TO_A) as ear:
        pair.b.up()
        pair.a.up()
        pair.a.culvert("connect", PEER, "--timeout", "20s", code=1)
        answers = [m for m in auth_messages(ear.frames(), SITE_A.outside[0]) if read_header(m).response]
    assert pair.a.peer_status()["reason"] == "AUTHENTICATION_FAILED"
    assert {len(answer) for answer in answers} <= wrong, "the length tells which part was wrong"


def test_networks_that_do_not_mirror_are_in_both_statuses(pair: Pair) -> None:
    pair.b.write(ours="10.2.0.0/24", theirs="10.1.0.0/24", peer='start = "passive"')
    pair.b.up()
    pair.a.up()
    pair.a.culvert("connect", PEER, "--timeout", "10s", code=1)
    refused = pair.a.peer_status()
    assert refused["reason"] == "TS_UNACCEPTABLE"
    for network in (SITE_A.network[0], SITE_B.network[0]):
        assert network in refused["message"]
    refusing = pair.b.peer_status()
    assert refusing["reason"] == "TS_UNACCEPTABLE", refusing
    for network in (SITE_A.network[0], SITE_B.network[0], "10.2.0.0/24", "10.1.0.0/24"):
        assert network in refusing["message"], refusing


# --- the host ---


def test_a_name_that_resolves_later_brings_the_tunnel_up_later(pair: Pair, tmp_path: Path) -> None:
    """The daemon runs with an /etc/hosts of its own."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    pair.a.write(address="warehouse.test", peer=f'identity = "{SITE_B.outside[0]}"')
    pair.a.write_secrets(f'{SITE_B.outside[0]} "the secret of these two, and of nobody else"\n')
    pair.b.write(peer='start = "passive"')
    pair.b.up()
    inside = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside, "sh", str(hosts)]
    started = pair.a.host.run([*command, *pair.a.command("up", "-d", "-c", str(pair.a.file))], check=False)
    assert started.returncode == 0, started.stderr
    wait_until(lambda: pair.a.peer_status()["reason"] == "NAME_NOT_RESOLVED")
    assert "warehouse.test" in pair.a.peer_status()["message"]
    hosts.write_text(f"127.0.0.1 localhost\n{SITE_B.outside[0]} warehouse.test\n")
    wait_until(lambda: pair.a.peer_status()["state"] == "up")
    assert pair.ping() == 2


def test_without_a_route_it_says_so_and_comes_up_when_there_is_one(pair: Pair) -> None:
    pair.a.host.ip("route", "del", "default")
    pair.b.write(peer='start = "passive"')
    pair.b.up()
    pair.a.up()
    wait_until(lambda: pair.a.peer_status()["reason"] == "NO_ROUTE")
    assert SITE_B.outside[0] in pair.a.peer_status()["message"]
    pair.a.host.add_default_route(SITE_A.router[0])
    wait_until(lambda: pair.a.peer_status()["state"] == "up")
    assert pair.ping() == 2


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])  # noqa: S104
@pytest.mark.parametrize("port", [500, 4500])
def test_another_daemon_on_a_port_is_named_with_its_program(
    host: Pair, tmp_path: Path, port: int, address: str
) -> None:
    office = TestedOffice(host.a.host, SITE_A, SITE_B, tmp_path / "office")
    office.write()
    before = office.standing()
    family = 10 if ":" in address else 2
    bind = f"s=socket.socket({family},2); s.bind(({address!r},{port}))"
    script = f"import socket,sys; {bind}; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script]
    with office.host.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        said = office.up(code=1).stderr
        holder.stdin.close()
        holder.wait(10)
    for word in ("PORT_TAKEN", str(port), str(holder.pid), "python"):
        assert word in said, said
    assert office.standing() == before


NOBODY = [
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    # The interpreter may stand where nobody else can look.
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that anybody can enter, as pytest's are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_nobody_is_told_which_privilege_is_missing(host: Pair, open_folder: Path) -> None:
    office = TestedOffice(host.a.host, SITE_A, SITE_B, open_folder / "office")
    office.write()
    before = office.standing()
    for detach in (["-d"], []):
        done = office.host.run([*NOBODY, *office.command("up", *detach, "-c", str(office.file))], check=False)
        assert done.returncode == 1, done.stderr
        assert "run directory" in done.stderr
        assert "root" in done.stderr
        assert "Traceback" not in done.stderr
    office.run_dir.mkdir()
    office.run_dir.chmod(0o777)
    for detach in (["-d"], []):
        done = office.host.run([*NOBODY, *office.command("up", *detach, "-c", str(office.file))], check=False)
        assert done.returncode == 1, done.stderr
        for word in ("NO_PERMISSION", "CAP_NET_ADMIN", "sudo"):
            assert word in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert office.standing() == before
