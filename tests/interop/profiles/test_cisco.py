"""docs/guide/cisco.md against gateways that offer what those of Cisco do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B
from tests.interop.profiles.guides import guide
from tests.interop.profiles.picture import SECOND_NETWORK, Joined, joined
from tests.interop.profiles.vendors import ASA, IOS_XE, IOS_XE_SMART

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

GUIDE = guide("cisco")
CARRIED = [(SITE_A.network[0], SITE_B.network[0])]
BOTH = [(SITE_A.network[0], SECOND_NETWORK[0]), *CARRIED]
VENDORS = {
    "ios-xe": (IOS_XE, "gateway.toml", CARRIED),
    "ios-xe-smart-defaults": (IOS_XE_SMART, "gateway.toml", CARRIED),
    "asa": (ASA, "asa/gateway.toml", BOTH),
}


@pytest.fixture(params=VENDORS)
def carried(request: pytest.FixtureRequest) -> list[tuple[str, str]]:
    return VENDORS[request.param][2]


@pytest.fixture
def picture(request: pytest.FixtureRequest, tmp_path: Path, carried: object) -> Iterator[Joined]:
    vendor, file, _ = VENDORS[request.node.callspec.params["carried"]]
    with joined(tmp_path, GUIDE, vendor, "cisco", file=file) as found:
        yield found


def test_we_call(picture: Joined, carried: list[tuple[str, str]]) -> None:
    picture.called_by_us("cisco", carried)


def test_cisco_calls(picture: Joined, carried: list[tuple[str, str]]) -> None:
    """Interesting traffic there, or a tunnel interface that is up."""
    picture.called_by_them("cisco", carried)


def test_an_asa_that_is_asked_for_all_at_once(tmp_path: Path) -> None:
    """Without `split`: it gives one pair of networks, and is asked for the other."""
    text = GUIDE.files["asa/gateway.toml"].replace("split    = true", "split    = false")
    assert text != GUIDE.files["asa/gateway.toml"]
    with joined(tmp_path, replace(GUIDE, files={**GUIDE.files, "gateway.toml": text}), ASA, "cisco") as picture:
        picture.begin_other()
        picture.begin()
        picture.until(lambda: picture.carried() == sorted(BOTH), "every pair")
        picture.wait_up()
        picture.pings()


@pytest.mark.parametrize("carried", ["ios-xe"], indirect=True)
def test_cisco_begins_anew_in_place_of_rekeying(picture: Joined) -> None:
    """An IKE SA made anew with its authentication, as after `clear crypto ikev2 sa`, takes the traffic over."""
    picture.vendor = replace(picture.vendor, reauthenticates=True)
    picture.begin_passive()
    picture.begin_other()
    picture.charon.initiate("net")
    picture.wait_up()
    ike = picture.spi_of_ike()
    with picture.pinging() as lost:
        picture.charon.swanctl("--rekey", "--ike", "culvert", "--reauth")
        picture.until(lambda: picture.spi_of_ike() not in ("", ike), "a new IKE SA")
        picture.until(lambda: len(picture.status()["children"]) == 1, "one child")
    assert lost() < 40  # it ends the old one first: two seconds at most
    picture.pings()
