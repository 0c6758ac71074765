"""`culvert up` on the two gateways of the handbook's chapter: real links, routes, firewall, engine and key exchange."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B, TO_A, Chapter, Site, build_chapter
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.host import Host
from culvert.lab.lab import Lab
from culvert.xfrm.associations import AssociationState
from culvert.xfrm.client import XfrmClient

pytestmark = pytest.mark.root

SECRET = "correct horse battery staple of the lab"
MARKER = "c0ffee5ec2e7"
"""Fills the packets that must not be seen outside."""


@dataclass
class Gateway:
    """One of the two, with its files and its commands."""

    host: Host
    site: Site
    other: Site
    folder: Path

    def write(self, *, secret: str = SECRET, gateway: str = "", peer: str = "", **changes: str) -> None:
        ours = changes.get("networks", self.site.network[0])
        theirs = changes.get("remote", self.other.network[0])
        address = changes.get("address", self.other.outside[0])
        self.folder.mkdir(exist_ok=True)
        secrets = self.folder / "psk.txt"
        secrets.write_text(f'{address} "{secret}"\n')
        secrets.chmod(0o600)
        self.file.write_text(
            f'[gateway]\naddress = "{self.site.outside[0]}"\nnetworks = ["{ours}"]\n{gateway}\n'
            f'[peers.other]\naddress = "{address}"\nnetworks = ["{theirs}"]\n{peer}\n'
        )

    @property
    def file(self) -> Path:
        return self.folder / "gateway.toml"

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    def command(self, *arguments: str) -> list[str]:
        directories = ["--run-dir", str(self.run_dir), "--state-dir", str(self.folder / "state")]
        return [sys.executable, "-m", "culvert", *directories, *arguments]

    def culvert(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = self.host.run(self.command(*arguments), check=False, timeout_s=60)
        assert code is None or done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}\n{self.log()}"
        assert "Traceback" not in done.stderr
        return done

    def up(self) -> None:
        self.culvert("up", "-c", str(self.file), "-d")

    def down(self) -> None:
        self.culvert("down")

    def connect(self) -> None:
        self.culvert("connect", "other", "--timeout", "20s")

    def status(self) -> dict:
        return json.loads(self.culvert("status", "--json", code=None).stdout)

    def peer(self) -> dict:
        return self.status()["peers"]["other"]

    def log(self) -> str:
        with contextlib.suppress(OSError):
            return (self.run_dir / "culvert.log").read_text()
        return ""

    def associations(self) -> list[AssociationState]:
        """What the engine holds, asked from outside of the daemon."""

        async def ask() -> list[AssociationState]:
            client = await XfrmClient.connect(self.run_dir / "engine.sock")
            try:
                return await client.associations()
            finally:
                client.close()

        return asyncio.run(ask())

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
        """Wait for something that no event of the gateway tells."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come\n{self.log()}"
            time.sleep(0.2)

    def daemon_pid(self) -> int:
        return int((self.run_dir / "culvert.pid").read_text())

    def engine_pid(self) -> int:
        pids = self.host.run(["ip", "netns", "pids", self.host.namespace]).stdout.split()
        return next(int(pid) for pid in pids if Path(f"/proc/{pid}/comm").read_text().startswith("culvert-engine"))

    def standing(self) -> dict[str, str]:
        """All that a gateway could leave on its host."""
        looks = {
            "links": ["ip", "-o", "link", "show", "type", "tun"],
            "rules": ["ip", "rule"],
            "routes": ["ip", "route", "show", "table", "all"],
            "firewall": ["nft", "list", "ruleset"],
            "forwarding": ["sysctl", "net.ipv4.ip_forward", "net.ipv4.conf.all.src_valid_mark"],
            "sockets": ["ss", "-Hulnw"],
        }
        return {name: self.host.run(look, check=False).stdout for name, look in looks.items()}

    def kill(self, pid: int) -> None:
        """Kill a process and return when it is gone."""
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            subprocess.run(["tail", f"--pid={pid}", "-s", "0.01", "-f", "/dev/null"], check=True, timeout=10)
        finally:
            os.close(descriptor)


@dataclass
class Picture:
    """The chapter's picture with a gateway at each site."""

    chapter: Chapter
    a: Gateway
    b: Gateway

    def up(self) -> None:
        self.a.up()
        self.b.up()
        self.a.connect()
        self.b.connect()

    def ping(self, count: int = 3, source: Host | None = None, to: str = SITE_B.host[0], wait_s: int = 2) -> int:
        """Give how many of `count` pings came back."""
        host = source or self.chapter.host_a
        ping = ["ping", "-n", "-c", str(count), "-i", "0.05", "-W", str(wait_s), "-p", MARKER, to]
        said = host.run(ping, check=False, timeout_s=60).stdout
        return int(next(line for line in said.splitlines() if "received" in line).split()[3])


@contextlib.contextmanager
def built(tmp_path: Path, **changes: bool) -> Iterator[Picture]:
    with Lab(f"cvd{os.getpid()}") as lab:
        chapter = build_chapter(lab, **changes)
        a = Gateway(chapter.gateway_a, SITE_A, SITE_B, tmp_path / "a")
        b = Gateway(chapter.gateway_b, SITE_B, SITE_A, tmp_path / "b")
        a.write()
        b.write()
        yield Picture(chapter, a, b)


@pytest.fixture
def picture(tmp_path: Path) -> Iterator[Picture]:
    with built(tmp_path) as picture:
        yield picture


def in_clear(frame: bytes) -> bool:
    """A private address in an IPv4 header that is not protected, or the marker anywhere."""
    private = frame[12:14] == b"\x08\x00" and (frame[26:28] == b"\xc0\xa8" or frame[30:32] == b"\xc0\xa8")
    return private or bytes.fromhex(MARKER) in frame


@contextlib.contextmanager
def nothing_in_clear(picture: Picture) -> Iterator[Eavesdropper]:
    with Eavesdropper(picture.chapter.internet, TO_A) as ear:
        yield ear
        assert ear.matching(in_clear) == []


@contextlib.contextmanager
def steady_ping(picture: Picture) -> Iterator[None]:
    """From host to host all the time, whether it arrives or not."""
    ping = ["ping", "-n", "-q", "-i", "0.005", "-p", MARKER, SITE_B.host[0]]
    process = picture.chapter.host_a.start(ping, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


def lost_of(said: str) -> int:
    """Count the gaps in what ping said; the last one may have been on its way when it ended."""
    answered = [int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", said)]
    return max(answered) - len(dict.fromkeys(answered))


@contextlib.contextmanager
def counted_ping(picture: Picture, interval_s: float) -> Iterator[Callable[[], int]]:
    """From host to host all the time; what is given tells afterwards how many did not come back."""
    ping = ["ping", "-n", "-i", str(interval_s), "-p", MARKER, SITE_B.host[0]]
    process = picture.chapter.host_a.start(ping, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: list[str] = []
    try:
        yield lambda: lost_of(said[0])
    finally:
        process.send_signal(signal.SIGINT)
        said.append(process.communicate(timeout=10)[0])


def send_file(picture: Picture, data: bytes) -> bytes:
    """Send over TCP from host A to host B and give what arrived."""
    with picture.chapter.host_b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.settimeout(20)
        listener.bind((SITE_B.host[0], 8000))
        listener.listen()
        with ThreadPoolExecutor() as threads:
            arrived = threads.submit(receive_file, listener)
            with picture.chapter.host_a.socket(socket.AF_INET, socket.SOCK_STREAM) as sender:
                sender.settimeout(20)
                sender.connect((SITE_B.host[0], 8000))
                sender.sendall(data)
            return arrived.result()


def receive_file(listener: socket.socket) -> bytes:
    receiver, _ = listener.accept()
    with receiver:
        receiver.settimeout(20)
        return b"".join(iter(lambda: receiver.recv(65536), b""))


def test_two_networks_are_joined_and_parted_again(picture):
    before = picture.a.standing(), picture.b.standing()
    with nothing_in_clear(picture) as ear:
        picture.up()
        assert picture.ping() == 3
        assert picture.ping(source=picture.chapter.gateway_a, to=SITE_B.gateway[0]) == 3
        data = bytes.fromhex(MARKER) * 100_000
        assert send_file(picture, data) == data
        assert len(ear.frames()) > 20

    for gateway in (picture.a, picture.b):
        peer = gateway.peer()
        assert peer["state"] == "up"
        assert peer["address"] == gateway.other.outside[0]
        (child,) = peer["children"]
        assert (child["local"], child["remote"]) == ([gateway.site.network[0]], [gateway.other.network[0]])
        assert child["packets_in"] > 6
        assert child["bytes_out"] > 0
        assert gateway.culvert("status").stdout.count("up") >= 1
    assert picture.a.peer()["children"][0]["spi_out"] == picture.b.peer()["children"][0]["spi_in"]

    for gateway in (picture.a, picture.b):
        proof = json.loads(gateway.culvert("prove", "--json").stdout)
        assert proof["ok"]
        assert proof["peers"]["other"]["evidence"]["esp_out"] > 0
    assert "proven" in picture.a.culvert("prove", "other").stdout

    picture.a.down()
    assert picture.b.peer()["state"] != "up"  # told by DELETE, at once
    picture.b.down()
    assert (picture.a.standing(), picture.b.standing()) == before
    assert [path.name for path in picture.a.run_dir.iterdir()] == ["culvert.log"]


def test_a_wrong_secret_is_said_at_both_ends(picture):
    picture.b.write(secret="another secret that is long enough")
    picture.b.up()
    picture.a.up()
    for gateway in (picture.a, picture.b):
        done = gateway.culvert("connect", "other", "--timeout", "20s", code=1)
        assert "AUTHENTICATION_FAILED" in done.stderr
        assert gateway.peer()["reason"] == "AUTHENTICATION_FAILED", gateway.log()
        assert "AUTHENTICATION_FAILED" in gateway.culvert("status", code=1).stdout
    for _ in range(20):
        for gateway in (picture.a, picture.b):
            peer = gateway.peer()
            assert (peer["reason"], "secret" in peer["message"]) == ("AUTHENTICATION_FAILED", True), peer


def test_networks_that_do_not_mirror_are_shown_at_both_sides(picture):
    picture.b.write(networks="10.2.0.0/24", remote="10.1.0.0/24")
    picture.b.up()
    picture.a.up()
    done = picture.a.culvert("connect", "other", "--timeout", "10s", code=1)
    assert "TS_UNACCEPTABLE" in done.stderr
    assert SITE_A.network[0] in done.stderr
    for gateway in (picture.a, picture.b):
        gateway.until(
            lambda gateway=gateway: "10.2.0.0/24" in gateway.peer()["message"], "word of the other's networks"
        )
    for _ in range(20):
        for gateway in (picture.a, picture.b):
            peer = gateway.peer()
            assert peer["reason"] == "TS_UNACCEPTABLE"
            for network in (SITE_A.network[0], SITE_B.network[0], "10.1.0.0/24", "10.2.0.0/24"):
                assert network in peer["message"], peer


def test_a_port_that_is_taken_names_its_holder_and_leaves_nothing(picture):
    before = picture.a.standing()
    script = "import socket,sys; s=socket.socket(2,2); s.bind(('0.0.0.0',500)); print(flush=True); sys.stdin.read()"
    with picture.a.host.start([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        done = picture.a.culvert("up", "-c", str(picture.a.file), "-d", code=1)
        assert "500" in done.stderr
        assert str(holder.pid) in done.stderr
        holder.stdin.close()
        holder.wait(10)
    assert picture.a.standing() == before


def test_without_a_tun_device_it_says_how_to_get_one(picture):
    before = picture.a.standing()
    hidden = 'mount -t tmpfs none /dev/net && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", hidden, "sh", *picture.a.command("up", "-c", str(picture.a.file))]
    done = picture.a.host.run(command, check=False)
    assert done.returncode == 1
    assert "NO_TUN_DEVICE" in done.stderr
    assert "mknod" in done.stderr
    assert picture.a.standing() == before


def test_a_second_gateway_in_the_same_place_is_refused(picture):
    picture.a.up()
    done = picture.a.culvert("up", "-c", str(picture.a.file), "-d", code=1)
    assert f"process {picture.a.daemon_pid()}" in done.stderr
    assert picture.a.status()["gateway"]["state"] == "ready"


def test_a_name_without_an_address_is_said_and_the_gateway_stands(picture):
    picture.a.write(address="nowhere.invalid")
    picture.a.up()
    done = picture.a.culvert("connect", "other", "--timeout", "15s", code=1)
    assert "nowhere.invalid" in done.stderr
    assert picture.a.peer()["reason"] == "NAME_NOT_RESOLVED"
    with nothing_in_clear(picture):
        assert picture.ping(count=1, wait_s=1) == 0


def test_a_daemon_that_is_killed_leaves_the_traffic_running_and_is_taken_over(picture):
    picture.up()
    before = picture.b.peer()["ike"]["spi_i"]
    with nothing_in_clear(picture), counted_ping(picture, 0.05) as lost:
        picture.a.kill(picture.a.daemon_pid())
        assert picture.ping() == 3
        assert "no gateway runs here" in picture.a.culvert("status", code=1).stderr
        picture.a.up()
        picture.a.connect()
        assert picture.ping() == 3
        for gateway in (picture.a, picture.b):
            gateway.until(lambda gateway=gateway: len(gateway.associations()) == 2, "the end of the former ones")
    assert lost() == 0
    assert "taken over" in picture.a.log()
    assert picture.b.peer()["ike"]["spi_i"] != before
    assert [gateway.peer()["state"] for gateway in (picture.a, picture.b)] == ["up", "up"]


def test_down_daemon_leaves_all_but_the_daemon(picture):
    picture.up()
    picture.a.culvert("down", "--daemon")
    assert picture.ping() == 3
    picture.a.up()
    picture.a.connect()
    picture.a.down()
    assert "culvert0" not in picture.a.standing()["links"]


def test_down_without_a_daemon_takes_away_what_a_former_one_left(picture):
    before = picture.a.standing()
    picture.up()
    picture.a.kill(picture.a.daemon_pid())
    with nothing_in_clear(picture):
        assert "taken away" in picture.a.culvert("down").stderr
    assert picture.a.standing() == before
    assert "no gateway runs here" in picture.a.culvert("down", code=1).stderr


def test_an_engine_that_is_killed_comes_back_and_nothing_leaks_meanwhile(picture):
    picture.up()
    with nothing_in_clear(picture), steady_ping(picture):
        dead = picture.a.engine_pid()
        picture.a.kill(dead)
        picture.a.connect()
        assert picture.a.engine_pid() != dead
        assert picture.ping(count=40) > 0
        picture.b.connect()
    assert picture.ping() == 3


def test_what_others_delete_is_put_back_and_nothing_leaks_meanwhile(picture):
    picture.up()
    host = picture.chapter.gateway_a
    with nothing_in_clear(picture), steady_ping(picture):
        host.ip("route", "flush", "table", "4500")
        assert picture.ping(count=20) > 0
        host.ip("rule", "del", "priority", "4500")
        assert picture.ping(count=20) > 0
        host.ip("link", "set", "culvert0", "down")
        assert picture.ping(count=20) > 0
    host.run(["nft", "delete", "table", "inet", "culvert"])
    picture.a.culvert("reload")
    assert "fenced_out" in host.run(["nft", "list", "ruleset"]).stdout


def test_down_closed_keeps_the_fence_and_a_second_down_takes_it_away(picture):
    before = picture.a.standing()
    picture.up()
    with nothing_in_clear(picture):
        picture.a.culvert("down", "--closed")
        host = picture.chapter.gateway_a
        host.set_sysctl("net.ipv4.ip_forward", "1")
        assert picture.ping(wait_s=1) == 0
        host.set_sysctl("net.ipv4.ip_forward", "0")
    assert "fenced_out" in picture.a.standing()["firewall"]
    picture.a.down()
    assert picture.a.standing() == before


def test_a_forged_packet_in_clear_never_reaches_the_network(picture):
    picture.up()
    internet = picture.chapter.internet
    internet.ip("address", "add", f"{SITE_B.host[0]}/32", "dev", "lo")
    internet.ip("route", "add", SITE_A.network[0], "via", SITE_A.outside[0])
    with Eavesdropper(picture.chapter.host_a, "eth0") as ear:
        forged = ["ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", "-p", MARKER, "-I", SITE_B.host[0], SITE_A.host[0]]
        internet.run(forged, check=False)
        assert ear.matching(lambda frame: bytes.fromhex(MARKER) in frame) == []
    assert ip_address(SITE_B.host[0]).is_private


def test_disconnect_keeps_shut_until_connect(picture):
    picture.up()
    with nothing_in_clear(picture):
        picture.a.culvert("disconnect", "other")
        assert picture.ping(count=2, wait_s=1) == 0
        assert picture.a.peer()["reason"] == "DISCONNECTED"
        picture.a.connect()
        assert picture.ping() == 3


def test_reload_of_the_same_touches_nothing_and_of_an_error_changes_nothing(picture):
    picture.up()
    before = picture.a.peer()
    picture.a.write(gateway="# a comment")
    picture.a.culvert("reload")
    assert picture.a.peer()["children"][0]["spi_in"] == before["children"][0]["spi_in"]
    assert picture.a.peer()["ike"]["spi_i"] == before["ike"]["spi_i"]
    picture.a.file.write_text("[gateway\n")
    assert f"{picture.a.file}:1" in picture.a.culvert("reload", code=1).stderr
    assert picture.ping() == 3


def test_reload_changes_a_network_on_both_sides(picture):
    picture.up()
    host = picture.chapter.gateway_b
    host.ip("address", "add", "10.9.0.1/24", "dev", "lo")
    with nothing_in_clear(picture):
        picture.a.write(remote="10.9.0.0/24")
        picture.a.culvert("reload")
        picture.b.write(networks="10.9.0.0/24")
        picture.b.culvert("reload")
        picture.a.connect()
        picture.b.connect()
        assert picture.a.peer()["children"][0]["remote"] == ["10.9.0.0/24"]
        assert picture.ping(to="10.9.0.1") == 3
    assert "192.168.2.0/24" not in picture.a.host.ip("route", "show", "table", "4500")


def test_rekeying_by_hand_changes_the_spis_and_loses_nothing(picture):
    picture.up()
    before = picture.a.peer()
    picture.a.culvert("rekey", "other")
    assert picture.ping(count=20) == 20
    picture.a.culvert("rekey", "other", "--ike")
    assert picture.ping(count=20) == 20
    after = picture.a.peer()
    assert after["children"][0]["spi_in"] != before["children"][0]["spi_in"]
    assert after["ike"]["spi_i"] != before["ike"]["spi_i"]


def test_in_the_foreground_ctrl_c_is_down_and_a_hang_up_is_reload(picture):
    before = picture.a.standing()
    command = [*picture.a.command("up", "-c", str(picture.a.file), "--log-json")]
    with picture.a.host.start(command, stderr=subprocess.PIPE, text=True) as process:
        next(line for line in process.stderr if "The gateway is ready." in line)
        process.send_signal(signal.SIGHUP)
        next(line for line in process.stderr if "The configuration was read again." in line)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(20) == 0, rest
    assert picture.a.standing() == before


def test_behind_a_nat_and_from_anywhere(tmp_path):
    with built(tmp_path, nat=True) as picture:
        b = picture.b
        b.file.write_text(
            f'[gateway]\naddress = "{SITE_B.outside[0]}"\nnetworks = ["{SITE_B.network[0]}"]\n'
            f'[peers.other]\nidentity = "{SITE_A.outside[0]}"\nnetworks = ["{SITE_A.network[0]}"]\n'
        )
        with nothing_in_clear(picture):
            b.up()
            assert b.peer()["state"] == "idle"
            assert b.culvert("status").returncode == 0
            picture.a.up()
            picture.a.connect()
            assert picture.ping() == 3
            assert picture.ping(source=picture.chapter.host_b, to=SITE_A.host[0]) == 3
        assert (picture.a.peer()["nat"], b.peer()["nat"]) == ("local", "remote")
        assert b.peer()["address"] == SITE_B.router[0]
        assert b.peer()["children"][0]["encapsulation"] == "udp"


def test_ipv6_inside_and_outside(tmp_path):
    with built(tmp_path, ipv6=True) as picture:
        for gateway in (picture.a, picture.b):
            gateway.write(
                networks=gateway.site.network[1], remote=gateway.other.network[1], address=gateway.other.outside[1]
            )
            gateway.file.write_text(gateway.file.read_text().replace(gateway.site.outside[0], gateway.site.outside[1]))
        before = picture.a.standing()
        picture.up()
        assert picture.ping(to=SITE_B.host[1]) == 3
        assert picture.ping(source=picture.chapter.gateway_a, to=SITE_B.gateway[1]) == 3
        assert picture.a.culvert("prove").returncode == 0
        picture.a.down()
        assert picture.a.standing() == before


def test_both_families_through_one_tunnel(tmp_path):
    with built(tmp_path, ipv6=True) as picture:
        for gateway in (picture.a, picture.b):
            ours, theirs = '", "'.join(gateway.site.network), '", "'.join(gateway.other.network)
            gateway.write(networks=ours, remote=theirs)
        with nothing_in_clear(picture):
            picture.up()
            assert picture.ping() == 3
            assert picture.ping(to=SITE_B.host[1]) == 3


def test_a_firewall_of_others_is_named(picture):
    rules = "table inet strict { chain input { type filter hook input priority filter; policy drop; }; }"
    picture.chapter.gateway_a.run(["nft", rules])
    picture.a.up()
    warnings = picture.a.status()["gateway"]["warnings"]
    assert any("strict" in warning["where"] and "udp" in warning["what_to_do"].lower() for warning in warnings)
    assert "strict" in picture.a.culvert("status", code=None).stdout
    assert "FOREIGN_FIREWALL" in picture.a.log()


def test_on_traffic_the_first_packet_waits_and_arrives(picture):
    for gateway in (picture.a, picture.b):
        gateway.write(peer='start = "traffic"')
        gateway.up()
        assert gateway.peer()["state"] == "idle"
        assert gateway.culvert("status").returncode == 0
    with nothing_in_clear(picture):
        assert picture.ping() == 3
    assert picture.a.peer()["state"] == "up"


def test_a_peer_that_comes_back_empty_is_joined_again(picture):
    picture.up()
    picture.b.kill(picture.b.daemon_pid())
    picture.b.kill(picture.b.engine_pid())
    with nothing_in_clear(picture):
        picture.b.up()
        picture.b.connect()
        picture.a.connect()
        assert picture.ping() == 3
