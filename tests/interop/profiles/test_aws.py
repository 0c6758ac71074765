"""docs/guide/aws.md against gateways that offer what those of AWS do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B
from tests.interop.profiles.guides import guide
from tests.interop.profiles.picture import FIRST, SECOND, Joined, joined
from tests.interop.profiles.vendors import AWS, AWS_RESTRICTED, Vendor

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

GUIDE = guide("aws")
CARRIED = [(SITE_A.network[0], SITE_B.network[0])]


@pytest.fixture(params=[AWS, AWS_RESTRICTED], ids=["defaults", "restricted"])
def vendor(request: pytest.FixtureRequest) -> Vendor:
    return request.param


@pytest.fixture
def picture(tmp_path: Path, vendor: Vendor) -> Iterator[Joined]:
    with joined(tmp_path, GUIDE, vendor, "aws", second=True) as found:
        yield found


def test_we_call(picture: Joined) -> None:
    picture.begin_other(FIRST, SECOND)
    picture.begin()
    picture.wait_up()
    assert picture.status()["address"] == FIRST
    assert picture.carried() == CARRIED
    picture.pings()
    picture.rekeyed_by_both("aws")
    picture.pings()


def test_aws_calls(picture: Joined) -> None:
    """Start-up action `start`, and a gateway of ours that waits."""
    picture.begin_passive()
    picture.begin_other(FIRST)
    picture.charon.initiate("net")
    picture.wait_up()
    assert picture.carried() == CARRIED  # of 0.0.0.0/0, on both sides
    picture.pings()
    picture.rekeyed_by_both("aws")
    picture.pings()


@pytest.mark.parametrize("vendor", [AWS], ids=["defaults"])
def test_the_second_tunnel_takes_over(picture: Joined) -> None:
    picture.begin_other(FIRST, SECOND)
    picture.begin()
    picture.wait_up()
    picture.pings()
    with picture.pinging() as lost:
        picture.charon.kill()
        picture.until(lambda: picture.status()["address"] == SECOND, "the second tunnel", 8)
    assert lost() > 0
    picture.wait_up()
    picture.turn_back_through(SECOND)
    picture.pings()
    assert picture.carried() == CARRIED
    # The first comes back, and everything stays where it is.
    picture.charon.start_again()
    picture.office.culvert("rekey", "aws", "--ike")
    picture.pings()
    assert picture.status()["address"] == SECOND
    # Until it is asked for.
    picture.office.culvert("disconnect", "aws")
    picture.wait_up()
    assert picture.status()["address"] == FIRST
    picture.turn_back_through(FIRST)
    picture.pings()


@pytest.mark.parametrize("vendor", [AWS], ids=["defaults"])
def test_of_two_tunnels_that_call_the_later_one_stays(picture: Joined) -> None:
    picture.begin_passive()
    picture.begin_other(FIRST, SECOND)
    for address in (FIRST, SECOND):
        picture.charons[address].initiate("net")
    picture.until(lambda: picture.status()["address"] == SECOND, "the second tunnel")
    picture.until(lambda: "ESTABLISHED" not in picture.charons[FIRST].associations(), "the end of the first", 40)
    picture.turn_back_through(SECOND)
    picture.pings()
    assert picture.carried() == CARRIED
