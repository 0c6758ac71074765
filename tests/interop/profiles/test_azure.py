"""docs/guide/azure.md against gateways that offer what those of Azure do."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B
from tests.interop.profiles.guides import guide
from tests.interop.profiles.picture import Joined, joined
from tests.interop.profiles.vendors import AZURE_CUSTOM, AZURE_DEFAULT, AZURE_POLICY_BASED, Vendor

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

GUIDE = guide("azure")
CARRIED = [(SITE_A.network[0], SITE_B.network[0])]
VENDORS = {
    "custom": (AZURE_CUSTOM, "gateway.toml"),
    "policy-based": (AZURE_POLICY_BASED, "gateway.toml"),
    "default": (AZURE_DEFAULT, "default-policy/gateway.toml"),
}


@pytest.fixture(params=VENDORS)
def picture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Joined]:
    vendor, file = VENDORS[request.param]
    with joined(tmp_path, GUIDE, vendor, "azure", file=file) as found:
        yield found


def test_we_call(picture: Joined) -> None:
    picture.begin_other()
    picture.begin()
    picture.wait_up()
    assert picture.carried() == CARRIED
    picture.pings()
    picture.rekeyed_by_both("azure")
    picture.pings()


def test_azure_calls(picture: Joined) -> None:
    """Connection mode `InitiatorOnly`; it asks for any to any and takes the networks that it gets."""
    picture.begin_passive()
    picture.begin_other()
    picture.charon.initiate("net")
    picture.wait_up()
    assert picture.carried() == CARRIED
    picture.pings()
    picture.rekeyed_by_both("azure")
    picture.pings()


@pytest.mark.parametrize("picture", ["custom"], indirect=True)
def test_both_call_at_once(picture: Joined) -> None:
    """Connection mode `Default`: one of the two goes, and packets pass all the while."""
    picture.begin_other()
    with ThreadPoolExecutor(2) as both:
        for done in [both.submit(picture.begin), both.submit(picture.charon.initiate, "net")]:
            done.result()
    picture.wait_up()
    with picture.pinging() as lost:
        picture.until(lambda: picture.charon.associations().count("ESTABLISHED") == 1, "one of them")
        picture.until(lambda: len(picture.status()["children"]) == 1, "one child")
    assert lost() <= 1
    picture.pings()


@pytest.fixture
def unchanged(tmp_path: Path) -> Iterator[Joined]:
    vendor: Vendor = AZURE_DEFAULT
    with joined(tmp_path, GUIDE, vendor, "azure") as found:
        yield found


def test_the_default_policy_is_named_where_ours_has_no_weak_group(unchanged: Joined) -> None:
    """What the guide says that a reader sees, whoever calls."""
    unchanged.begin_other()
    unchanged.begin()
    unchanged.until(lambda: unchanged.status()["reason"] == "NO_PROPOSAL_CHOSEN", "the refusal")
    unchanged.charon.swanctl("--initiate", "--child", "net", "--timeout", "5", check=False)
    weak = "where it cannot, write proposals = "
    unchanged.until(lambda: weak in unchanged.office.log(), "the advice")
    assert "(the peer's modp1024, ours x25519 or " in unchanged.office.log()
