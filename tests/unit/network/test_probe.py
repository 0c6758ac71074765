"""What a host lacks is named, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from culvert.network.privilege import Capability, effective_capabilities
from culvert.network.probe import missing_tun


def test_no_device(tmp_path: Path) -> None:
    (problem,) = missing_tun(tmp_path / "tun")
    assert problem.what == "NO_TUN_DEVICE: there is no such device"
    assert "mknod" in problem.what_to_do


def test_a_device_that_opens(tmp_path: Path) -> None:
    assert list(missing_tun(Path("/dev/null"))) == []


def test_a_device_that_does_not(tmp_path: Path) -> None:
    (tmp_path / "tun").mkdir()
    (problem,) = missing_tun(tmp_path / "tun")
    assert problem.what.startswith("NO_TUN_DEVICE: ")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Name:\tx\nCapEff:\t0000000000001000\n", {Capability.CAP_NET_ADMIN}),
        ("CapEff:\t0000000000000000\n", set()),
        ("", set()),
        ("CapEff:\t000001ffffffffff\n", set(Capability)),
    ],
)
def test_capabilities(status: str, expected: set[Capability]) -> None:
    assert effective_capabilities(status) == expected
