"""docs/guide/fortigate.md against gateways that offer what those of Fortinet do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B
from tests.interop.profiles.guides import guide
from tests.interop.profiles.picture import SECOND_NETWORK, Joined, joined
from tests.interop.profiles.vendors import (
    FORTIGATE,
    FORTIGATE_ANY,
    FORTIGATE_DEFAULT,
    FORTIGATE_NEW,
    FORTIGATE_TWO,
)

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

GUIDE = guide("fortigate")
CARRIED = [(SITE_A.network[0], SITE_B.network[0])]
BOTH = [(SITE_A.network[0], SECOND_NETWORK[0]), *CARRIED]
VENDORS = {
    "guide": (FORTIGATE, "gateway.toml", CARRIED),
    "groups-14-and-5": (FORTIGATE_DEFAULT, "gateway.toml", CARRIED),
    "groups-20-and-21": (FORTIGATE_NEW, "gateway.toml", CARRIED),
    "any-to-any": (FORTIGATE_ANY, "gateway.toml", CARRIED),
    "two-phases-2": (FORTIGATE_TWO, "two-networks/gateway.toml", BOTH),
}


@pytest.fixture(params=VENDORS)
def carried(request: pytest.FixtureRequest) -> list[tuple[str, str]]:
    return VENDORS[request.param][2]


@pytest.fixture
def picture(request: pytest.FixtureRequest, tmp_path: Path, carried: object) -> Iterator[Joined]:
    vendor, file, _ = VENDORS[request.node.callspec.params["carried"]]
    with joined(tmp_path, GUIDE, vendor, "fortigate", file=file) as found:
        yield found


def test_we_call(picture: Joined, carried: list[tuple[str, str]]) -> None:
    picture.called_by_us("fortigate", carried)


def test_fortigate_calls(picture: Joined, carried: list[tuple[str, str]]) -> None:
    """`auto-negotiate enable`."""
    picture.called_by_them("fortigate", carried)


@pytest.fixture
def other_group(tmp_path: Path) -> Iterator[Joined]:
    vendor = replace(FORTIGATE, esp=("aes256gcm16-ecp521",))
    with joined(tmp_path, GUIDE, vendor, "fortigate") as found:
        yield found


def test_another_group_for_pfs_is_named_at_once_and_packets_pass(other_group: Joined) -> None:
    """Its children get no group in the first exchange, and would show the difference an hour later."""
    other_group.begin_other()
    other_group.begin()
    other_group.until(lambda: other_group.status()["reason"] == "PFS_MISMATCH", "the reason")
    assert "esp_proposals" in other_group.status()["message"]
    other_group.pings()
