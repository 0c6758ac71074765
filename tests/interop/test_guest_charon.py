"""Children of every kind between Culvert and strongSwan on a real kernel: modes, protocols, sequence numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from culvert.lab.demo.office import Office
from culvert.lab.eavesdropper import Eavesdropper
from tests.interop.charon import with_children
from tests.interop.guest_charon import GuestCharon
from tests.interop.guest_world import AH, ESP, HERE, OURS, TAP, THEIRS, THERE, UDP, World, guest_world, protocols
from tests.uml.guest import missing

pytestmark = [
    pytest.mark.root,
    pytest.mark.peer,
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

SECRET = "the secret of this test, for both of them"
PEER = "guest"
MARKER = "c0ffee5ec2e7"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with guest_world() as world:
        yield world


@dataclass
class Joined:
    """Culvert at the gateway and strongSwan in the guest."""

    world: World
    office: Office
    charon: GuestCharon

    def child(self) -> dict[str, Any]:
        (child,) = self.peer()["children"]
        found: dict[str, Any] = child
        return found

    def peer(self) -> dict[str, Any]:
        status: dict[str, Any] = self.office.status()["peers"][PEER]
        return status

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come: {self.peer()}\n{self.log()}"
            time.sleep(0.2)

    def ping(self, transport: bool) -> None:
        """Ping from both ends: between the gateways, or from behind one to behind the other."""
        source, target = (self.world.gateway, THEIRS) if transport else (self.world.host, THERE.host[0])
        for size in ("56", "1800"):
            command = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "3", "-s", size, "-p", MARKER, target]
            done = source.run(command, check=False)
            assert " 3 received" in done.stdout, f"{done.stdout}\n{self.peer()}\n{self.log()}{self.charon.states()}"
        back = (THEIRS, OURS) if transport else (THERE.host[0], HERE.host[0])
        said = self.world.guest.shell(f"ping -n -c 3 -i 0.2 -W 3 -I {back[0]} -p {MARKER} {back[1]} || true")
        assert " 3 received" in said, f"{said}\n{self.log()}{self.charon.states()}"

    def log(self) -> str:
        ours = self.office.host.run(self.office.command("log", "-n", "60"), check=False).stdout
        return f"--- culvert ---\n{ours}\n--- charon ---\n{self.charon.log()}"

    def end(self) -> None:
        self.office.end()
        self.charon.stop()


Join = Callable[..., Joined]


@pytest.fixture
def join(world: World, tmp_path: Path) -> Iterator[Join]:
    """Make both; `peer` are lines below our peer, `child` those of strongSwan's child."""
    made: list[Joined] = []

    def make(asks: str, peer: str, child: str, *, transport: bool = False, theirs: str = "transport") -> Joined:
        office = Office(world.gateway, HERE, THERE, PEER, tmp_path / "office")
        text = office.configure(SECRET)
        if transport:
            text = text.replace(f'networks = ["{THERE.network[0]}"]\n', "")
        office.file.write_text(f'{text}start = "{"always" if asks == "culvert" else "passive"}"\n{peer}\n')
        sides = f"mode = {theirs}" if transport else f"local_ts = {THERE.network[0]}\nremote_ts = {HERE.network[0]}"
        conf = with_children(THEIRS, OURS, SECRET, {"net": f"{sides}\n{child}"}, more="")
        joined = Joined(world, office, GuestCharon(world.guest, conf))
        made.append(joined)
        office.ready(office.begin())
        if asks == "culvert":
            office.connect()
        elif asks == "strongswan":
            joined.charon.swanctl("--initiate --child net --timeout 20")
            joined.until(lambda: joined.peer()["state"] == "up", "the tunnel")
        return joined

    yield make
    for one in made:
        one.end()


CASES = {
    "tunnel": ('esp_proposals = "aes128gcm16-x25519"', "esp_proposals = aes128gcm16-x25519", False, ESP),
    "esn": ('esp_proposals = "aes128gcm16-x25519-esn"', "esp_proposals = aes128gcm16-x25519-esn", False, ESP),
    "esn with cbc": ('esp_proposals = "aes128-sha256-esn"', "esp_proposals = aes128-sha256-esn", False, ESP),
    "either": ('esp_proposals = "aes128gcm16-esn-noesn"', "esp_proposals = aes128gcm16-esn-noesn", False, ESP),
    "theirs only": ('esp_proposals = "aes128gcm16-noesn"', "esp_proposals = aes128gcm16-esn-noesn", False, ESP),
    "transport": ('mode = "transport"', "esp_proposals = aes128gcm16-x25519", True, ESP),
    "transport with esn": (
        'mode = "transport"\nesp_proposals = "aes256gcm16-esn"',
        "esp_proposals = aes256gcm16-esn",
        True,
        ESP,
    ),
    "transport in udp": (
        'mode = "transport"\nencapsulation = "udp"\nesp_proposals = "aes128-sha256"',
        "esp_proposals = aes128-sha256",
        True,
        UDP,
    ),
    "ah": ('ah_proposals = "sha256-x25519"', "ah_proposals = sha256-x25519", False, AH),
    "ah with esn": ('ah_proposals = "sha512-esn"', "ah_proposals = sha512-esn", False, AH),
    "ah in transport mode": ('mode = "transport"\nah_proposals = "sha384"', "ah_proposals = sha384", True, AH),
    "padded by both": (
        'tfc = 1200\nesp_proposals = "aes128gcm16"',
        "esp_proposals = aes128gcm16\ntfc_padding = 1300",
        False,
        ESP,
    ),
}


ASKED = [(case, ("culvert", "strongswan")[number % 2]) for number, case in enumerate(CASES)]
"""Each case once, in turns begun by one and the other; both begin rekeys in all of them."""


@pytest.mark.parametrize(("case", "asks"), [*ASKED, ("transport", "culvert"), ("esn", "culvert")])
def test_a_child(join: Join, case: str, asks: str) -> None:
    peer, child, transport, protocol = CASES[case]
    joined = join(asks, peer, child, transport=transport)
    with Eavesdropper(joined.world.gateway, TAP) as ear:
        joined.ping(transport)
        assert protocols(ear) == {protocol}
    assert joined.child()["mode"] == ("transport" if transport else "tunnel")
    esn = "esn" in joined.charon.states()
    assert esn == ("esn" in case or case == "either")
    for begin in (
        lambda: joined.office.run("rekey", f"{PEER}/{PEER}"),
        lambda: joined.charon.swanctl("--rekey --child net"),
    ):
        before = joined.child()["spi_in"]
        begin()
        joined.until(lambda before=before: joined.child()["spi_in"] != before, "a successor")
        joined.ping(transport)
    assert ("esn" in joined.charon.states()) == esn


def test_another_mode_is_refused_by_name(join: Join) -> None:
    """strongSwan takes a request for transport mode and answers in tunnel mode: that is not what we asked for."""
    joined = join("nobody", 'mode = "transport"', "esp_proposals = aes128gcm16-x25519", transport=True, theirs="tunnel")
    said = joined.office.host.run(joined.office.command("connect", PEER, "--timeout", "15s"), check=False)
    assert said.returncode == 1
    assert "the peer answers in tunnel mode" in said.stderr
    assert joined.peer()["reason"] == "MODE_MISMATCH"
    joined.until(lambda: "INSTALLED" not in joined.charon.associations(), "the end of its child")
