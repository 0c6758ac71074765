"""`culvert log` against a gateway that runs: what it tells, who may read it, who may turn it up."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_B
from tests.netns.offices import PEER, Pair, TestedOffice, two_offices

pytestmark = [pytest.mark.root, pytest.mark.slow]

NOBODY = 65534


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with two_offices(tmp_path_factory.mktemp("offices")) as pair:
        pair.join()
        yield pair
        pair.a.down()
        pair.b.down()


class Follower:
    """One `culvert log -f`, whose lines are read as they come."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process, self.octets = process, b""

    def until(self, words: str, seconds: float = 15) -> str:
        """Return all that was told when `words` were among it."""
        deadline = time.monotonic() + seconds
        while words.encode() not in self.octets:
            left = deadline - time.monotonic()
            assert left > 0, f"{words!r} was not told: {self.octets.decode()}"
            if select.select([self.process.stdout], [], [], left)[0]:
                assert self.process.stdout is not None
                self.octets += os.read(self.process.stdout.fileno(), 65_536)
        return self.octets.decode()


@contextmanager
def following(office: TestedOffice, *arguments: str) -> Iterator[Follower]:
    """Begin once it follows: then it shows the line that was the last one before."""
    command = office.command("log", "-f", "-n", "1", *arguments)
    with office.host.start(command, stdout=subprocess.PIPE, text=False) as process:
        try:
            follower = Follower(process)
            follower.until("\n")
            yield follower
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(timeout=10)
        assert code == 0


def details(office: TestedOffice) -> int:
    """Count the lines of topics that are kept."""
    return office.culvert("log", "-n", "6000").stdout.count("[ike]")


def topics(office: TestedOffice) -> list[str]:
    """Ask what is told in detail; `log` of no line tells it as well."""
    return json.loads(office.culvert("log", "--debug", "none", "--json").stdout)["topics"]


def test_following_tells_messages_payload_by_payload_and_stops_with_the_follower(pair: Pair) -> None:
    with following(pair.a, "--debug", "ike", PEER) as follower:
        pair.a.culvert("rekey", PEER)
        told = follower.until("DELETE ESP SPIs")
    lines = [line[20:] for line in told.splitlines()]
    asked = next(at for at, line in enumerate(lines) if line.startswith("[ike] CREATE_CHILD_SA request "))
    assert "octets=" in lines[asked]
    rest = " ".join(lines[asked : asked + 12])
    for word in (
        "NOTIFY REKEY_SA about ESP SPI 0x",
        "SA proposal 1: ESP SPI 0x",
        "NONCE 32 octets",
        "KE x25519",
        "TSi ",
    ):
        assert word in rest, rest
    before, spi = details(pair.a), pair.a.peer_status()["children"][0]["spi_in"]
    pair.a.culvert("rekey", PEER)
    pair.a.until(lambda: pair.a.peer_status()["children"][0]["spi_in"] != spi, "another child")
    assert details(pair.a) == before
    assert "[ike]" not in pair.a.log(), "the log itself is written at its usual level"


def test_topics_stay_where_they_are_kept_and_go_when_told(pair: Pair) -> None:
    said = pair.a.culvert("log", "--debug", "ike,esp").stdout
    assert said == "Told in detail: ike, esp. Follow with: culvert log -f\n"
    pair.a.culvert("rekey", PEER)
    pair.a.until(lambda: "An association is removed." in pair.a.culvert("log", "-n", "200").stdout, "an end")
    told = pair.a.culvert("log", "-n", "200").stdout
    assert "[esp] An association is installed. peer=other child=other sa=esp 0x" in told
    assert "[ike]   KE x25519, 32 octets peer=other" in told
    assert pair.a.culvert("log", "--debug", "none").stdout == "Told in detail: nothing.\n"


def test_lines_of_json_are_objects(pair: Pair) -> None:
    lines = [json.loads(line) for line in pair.a.culvert("log", "--json", "-n", "20").stdout.splitlines()]
    assert lines
    assert all({"time", "level", "message"} <= line.keys() for line in lines)


def test_drops_are_told_with_their_reason_and_whose_they_are(pair: Pair) -> None:
    """A packet to a network that nobody protects, by the tunnel's own device."""
    with following(pair.a, "--debug", "esp") as follower:
        time.sleep(1.2)  # the counters are compared once a second, from the first look on
        pair.a.host.run(["ip", "route", "add", "198.18.0.0/15", "dev", "culvert0"])
        try:
            pair.a.host.run(["ping", "-c", "3", "-i", "0.05", "-W", "1", "198.18.0.1"], check=False)
            follower.until("packets=")
            told = follower.until("A packet was dropped. reason=NO_POLICY")
        finally:
            pair.a.host.run(["ip", "route", "del", "198.18.0.0/15", "dev", "culvert0"])
    assert "The packet entered the tunnel device and no policy protects it. packets=" in told
    shown = next(line for line in told.splitlines() if "A packet was dropped." in line)
    assert "-> 198.18.0.1 protocol=1 octets=84 way=out" in shown


def test_routes_and_fence_are_told_when_they_change(pair: Pair) -> None:
    with following(pair.a, "--debug", "net,spd") as follower:
        pair.a.host.run(["ip", "route", "flush", "table", "4500"])
        follower.until("[net]")
        pair.a.culvert("disconnect", PEER)
        pair.a.culvert("connect", PEER)
        told = follower.until("Ways to a peer are found.")
    assert f"ways={pair.a.site.outside[0]} -> {SITE_B.outside[0]}" in told


@pytest.fixture
def member(pair: Pair, tmp_path: Path) -> list[str]:
    """Let a user of the socket's group, who is not root, reach A's control socket."""
    run_dir = pair.a.run_dir
    socket = run_dir / "control.sock"
    os.chown(socket, 0, NOBODY)
    for folder in (run_dir, *run_dir.parents):
        if folder == Path("/"):
            break
        folder.chmod(folder.stat().st_mode | 0o011)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def test_who_is_in_the_group_reads_and_does_not_turn_up(pair: Pair, member: list[str]) -> None:
    run = pair.a.host.run
    read = run([*member, *pair.a.command("log", "-n", "5")], check=False)
    assert (read.returncode, read.stderr) == (0, "")
    assert len(read.stdout.splitlines()) == 5
    for arguments in (("--debug", "ike"), ("-f", "--debug", "ike")):
        refused = run([*member, *pair.a.command("log", *arguments)], check=False, timeout_s=20)
        assert refused.returncode == 1
        assert "only root may" in refused.stderr
    assert topics(pair.a) == []


def test_a_peer_that_is_not_configured_is_named_with_those_that_are(pair: Pair) -> None:
    done = pair.a.culvert("log", "nobody", code=1)
    assert "there is no peer 'nobody'" in done.stderr


def test_from_the_start_on(pair: Pair) -> None:
    """The first messages, too, can be told: those of the start."""
    pair.a.down()
    pair.a.culvert("up", "-c", str(pair.a.file), "-d", "--debug", "ike", "--debug", "net")
    pair.a.wait_up()
    told = pair.a.culvert("log", "-n", "500").stdout
    assert f"[ike] IKE_SA_INIT request 0 goes from {pair.a.site.outside[0]}:500" in told
    assert "[net] new: route " in told
    assert "[ike]" not in pair.a.log(), "the log itself is not told at its usual level"
