"""The guides' files where our gateway is behind a NAT."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.profiles.guides import guide
from tests.interop.profiles.picture import joined
from tests.interop.profiles.vendors import AWS, AZURE_CUSTOM, FORTIGATE, IOS_XE

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

VENDORS = {"aws": AWS, "azure": AZURE_CUSTOM, "cisco": IOS_XE, "fortigate": FORTIGATE}


@pytest.mark.parametrize("name", VENDORS)
def test_ours_behind_a_nat(tmp_path: Path, name: str) -> None:
    """It is known by the address that the NAT gives it."""
    with joined(tmp_path, guide(name), VENDORS[name], name, nat=True) as picture:
        picture.begin_other()
        picture.begin_behind_nat()
        picture.wait_up()
        assert picture.status()["nat"]
        picture.pings()
        picture.rekeyed_by_both(name)
        picture.pings()
