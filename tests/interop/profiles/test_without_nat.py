"""The guides' files where nothing translates on the way: ESP as protocol 50, against a real kernel's IPsec."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from culvert.lab.chapter import SITE_B
from culvert.lab.eavesdropper import Eavesdropper
from tests.interop.guest_charon import GuestCharon
from tests.interop.guest_world import ESP, HERE, OURS, TAP, THEIRS, THERE, World, guest_world, protocols
from tests.interop.profiles.guides import guide
from tests.interop.profiles.vendors import AWS, AZURE_CUSTOM, FORTIGATE_NEW, IOS_XE, Vendor
from tests.netns.offices import TestedOffice
from tests.uml.guest import missing

pytestmark = [
    pytest.mark.root,
    pytest.mark.peer,
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

VENDORS = {"aws": AWS, "azure": AZURE_CUSTOM, "cisco": IOS_XE, "fortigate": FORTIGATE_NEW}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with guest_world("gp") as world:
        yield world


@dataclass
class Joined:
    """Culvert on a guide's files, and in the guest what that guide is for."""

    name: str
    world: World
    office: TestedOffice
    charon: GuestCharon

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.office.document()["peers"][self.name]
        return found

    def spis(self) -> set[str]:
        return {child["spi_in"] for child in self.status()["children"]}

    def renewed(self, begin: Callable[[], object]) -> None:
        before, deadline = self.spis(), time.monotonic() + 30
        begin()
        while len(self.spis()) != 1 or self.spis() & before:
            assert time.monotonic() < deadline, f"{self.office.log()}\n{self.charon.log()}"
            time.sleep(0.2)

    def pings(self) -> None:
        command = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "3", THERE.host[0]]
        done = self.world.host.run(command, check=False)
        assert " 3 received" in done.stdout, f"{done.stdout}{self.office.log()}\n{self.charon.log()}"
        said = self.world.guest.shell(f"ping -n -c 3 -i 0.2 -W 3 -I {THERE.host[0]} {HERE.host[0]} || true")
        assert " 3 received" in said, f"{said}{self.office.log()}\n{self.charon.log()}"


@pytest.fixture(params=VENDORS)
def joined(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Iterator[Joined]:
    name: str = request.param
    vendor: Vendor = replace(VENDORS[name], udp=False)
    files, secrets = guide(name).files, guide(name).secrets
    office = TestedOffice(world.gateway, HERE, THERE, tmp_path / "office")
    office.file.write_text(files["gateway.toml"].replace(SITE_B.outside[0], THEIRS))
    office.write_secrets(files["psk.txt"].replace(SITE_B.outside[0], THEIRS))
    charon = GuestCharon(world.guest, vendor.connections({"culvert": (THEIRS, OURS, secrets[SITE_B.outside[0]])}))
    joined = Joined(name, world, office, charon)
    try:
        office.up()
        office.culvert("connect", name, "--timeout", "25s")
        yield joined
    finally:
        office.culvert("down", code=None)
        charon.stop()


def test_as_protocol_50(joined: Joined) -> None:
    with Eavesdropper(joined.world.gateway, TAP) as listening:
        joined.pings()
        assert protocols(listening) == {ESP}
    joined.renewed(lambda: joined.office.culvert("rekey", joined.name))
    joined.pings()
    joined.renewed(lambda: joined.charon.swanctl("--rekey --child net"))
    joined.pings()
    joined.office.culvert("rekey", joined.name, "--ike")
    joined.pings()
