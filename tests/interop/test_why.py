"""What Culvert says when it and strongSwan do not agree: one sentence that a person can act on, whoever asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from culvert.lab.chapter import SITE_A, SITE_B, build_chapter
from culvert.lab.demo.office import Office
from culvert.lab.lab import Lab
from tests.interop.charon import Charon, connection

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

SECRET = "the secret of this test, for both of them"
PEER = "warehouse"
OURS, THEIRS = SITE_A.outside[0], SITE_B.outside[0]
Change = Callable[[str], str]


@dataclass
class Strangers:
    """Culvert at A and strongSwan at B, which do not agree."""

    office: Office
    charon: Charon

    def ask(self, asks: str) -> str:
        """Let one of them set the tunnel up, and give what `culvert connect` says where that is Culvert."""
        if asks == "strongSwan":
            self.charon.swanctl("--initiate", "--child", "net", "--timeout", "5", check=False)
            return ""
        done = self.office.host.run(self.office.command("connect", PEER, "--timeout", "20s"), check=False)
        assert done.returncode == 1, self.log()
        return str(done.stderr)

    def peer(self) -> dict[str, Any]:
        status: dict[str, Any] = self.office.status()["peers"][PEER]
        return status

    def until(self, reason: str, seconds: float = 25) -> str:
        """Wait until the status has this reason, and give its message."""
        deadline = time.monotonic() + seconds
        while (status := self.peer())["reason"] != reason:
            assert time.monotonic() < deadline, f"{status}\n{self.log()}"
            time.sleep(0.2)
        message: str = status["message"]
        return message

    def log(self) -> str:
        return self.office.host.run(self.office.command("log", "-n", "500")).stdout + self.charon.text()[-4_000:]


@pytest.fixture
def strangers(tmp_path: Path) -> Iterator[Callable[..., Strangers]]:
    """Make both, with what is to be different: `extra` lines of gateway.toml, or a `change` of swanctl.conf."""
    made: list[Strangers] = []
    with Lab() as lab:

        def make(extra: str = "", change: Change = lambda text: text, **charon: str) -> Strangers:
            chapter = build_chapter(lab)
            office = Office(chapter.gateway_a, SITE_A, SITE_B, PEER, tmp_path / "office")
            text = office.configure(SECRET)
            office.file.write_text(f'{text}start = "passive"\n{extra}\n')
            chapter.gateway_b.forward()
            conf = connection(THEIRS, OURS, SITE_B.network[0], SITE_A.network[0], SECRET, **charon)
            daemon = Charon(chapter.gateway_b.namespace, tmp_path / "charon", change(conf))
            office.ready(office.begin())
            made.append(Strangers(office, daemon))
            return made[0]

        yield make
        for one in made:
            one.office.end()
            one.charon.stop()


def test_algorithms_of_ike_that_we_ask_for(strangers: Callable[..., Strangers]) -> None:
    pair = strangers('proposals = "aes256gcm16-prfsha384-ecp384"', ike="aes128-sha256-modp2048")
    said = pair.ask("culvert")
    assert f"{THEIRS}:500 refuses with NO_PROPOSAL_CHOSEN: it takes none of what we offer" in said
    assert "aes256gcm16-prfsha384-ecp384" in said
    assert f"expects nobody at {OURS}" in said


def test_algorithms_of_ike_that_strongswan_asks_for(strangers: Callable[..., Strangers]) -> None:
    pair = strangers('proposals = "aes256gcm16-prfsha384-ecp384"', ike="aes128-sha256-modp2048")
    pair.ask("strongSwan")
    log = pair.log()
    assert "the first difference is in the encryption (the peer's aes128, ours aes256gcm16)" in log
    assert "the peer offers aes128-sha256-prfsha256-modp2048; we allow aes256gcm16-prfsha384-ecp384" in log
    assert f'write proposals = "aes128-sha256-prfsha256-modp2048" into [peers.{PEER}]' in log


def test_algorithms_that_are_not_done_here_are_called_by_their_names(strangers: Callable[..., Strangers]) -> None:
    pair = strangers(ike="aes128-sha1-prfsha1-modp1536")
    pair.ask("strongSwan")
    assert "(the peer's prfsha1, ours prfsha256" in pair.log()
    assert "modp1536" in pair.log()


@pytest.mark.parametrize("asks", ["culvert", "strongSwan"])
def test_algorithms_of_esp(strangers: Callable[..., Strangers], asks: str) -> None:
    pair = strangers('esp_proposals = "aes256gcm16"', esp="aes128gcm16")
    said = pair.ask(asks)
    message = pair.until("NO_PROPOSAL_CHOSEN")
    if asks == "culvert":
        assert "we asked for aes256gcm16 in tunnel mode, and it wants another" in said
        return
    assert "the first difference is in the encryption (the peer's aes128gcm16, ours aes256gcm16)" in message
    assert f'write esp_proposals = "aes128gcm16" into [peers.{PEER}]' in message


@pytest.mark.parametrize("asks", ["culvert", "strongSwan"])
def test_networks(strangers: Callable[..., Strangers], asks: str) -> None:
    pair = strangers(change=lambda text: text.replace(SITE_B.network[0], "172.16.9.0/24"))
    said = pair.ask(asks)
    message = pair.until("TS_UNACCEPTABLE")
    mine, yours = SITE_A.network[0], SITE_B.network[0]
    if asks == "culvert":
        assert f"we asked for {mine} <-> {yours}, our side first" in said
        return
    assert f"the peer asks for {mine} <-> 172.16.9.0/24 (our side first)" in message
    assert f'the peer\'s side differs: write networks = ["172.16.9.0/24"] into [peers.{PEER}]' in message


def test_an_identity_that_we_do_not_expect(strangers: Callable[..., Strangers]) -> None:
    """Of the two, strongSwan is who says that it is somebody else; the proof would be right."""
    pair = strangers(change=lambda text: text.replace(f"id = {THEIRS} }}", "id = moon.example.org }", 1))
    pair.ask("strongSwan")
    message = pair.until("AUTHENTICATION_FAILED")
    assert "says it is moon.example.org" in message
    assert THEIRS in message.partition("moon.example.org")[2], message
    assert SECRET not in pair.log()


def test_an_identity_that_strongswan_does_not_expect(strangers: Callable[..., Strangers]) -> None:
    pair = strangers('local_identity = "moon.example.org"')
    said = pair.ask("culvert")
    assert "AUTHENTICATION_FAILED" in said
    assert "we say that we are moon.example.org" in said
    assert SECRET not in pair.log()


def test_a_peer_that_nobody_expects_there(strangers: Callable[..., Strangers]) -> None:
    pair = strangers(change=lambda text: text.replace(f"remote_addrs = {OURS}", "remote_addrs = 192.0.2.77"))
    assert f"or expects nobody at {OURS}" in pair.ask("culvert")


@pytest.mark.parametrize("asks", ["culvert", "strongSwan"])
@pytest.mark.parametrize("childless", ["allow", "never"])
def test_groups_for_pfs_that_differ_are_seen_at_once(
    strangers: Callable[..., Strangers], asks: str, childless: str
) -> None:
    """strongSwan asks for its first child in IKE_AUTH, and where it is told to never makes an IKE SA without one."""

    def change(text: str) -> str:
        return text.replace("encap = yes", f"encap = yes\n    childless = {childless}")

    pair = strangers('esp_proposals = "aes128gcm16-x25519"', change=change, esp="aes128gcm16-modp2048")
    if asks == "culvert" and childless == "allow":
        assert "the group for PFS" in pair.ask(asks)
        assert pair.peer()["state"] == "down"
        return
    if asks == "strongSwan":
        pair.ask(asks)
    else:
        pair.office.connect()
    assert pair.peer()["state"] == "up"
    before = pair.peer()["children"]
    message = pair.until("PFS_MISMATCH")
    assert "the peer wants another group for PFS than x25519" in message
    assert (pair.peer()["state"], pair.peer()["children"][0]["spi_in"]) == ("up", before[0]["spi_in"])
