"""Names of settings, and a memory that others may have damaged. Setting them is tested in namespaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from culvert.errors import HostError
from culvert.network import sysctls
from culvert.plan.desired import Sysctl


def test_dots_and_slashes_change_places() -> None:
    path = Path("/proc/sys/net/ipv4/conf/eth0.100/rp_filter")
    assert sysctls.path_of("net.ipv4.conf.eth0/100.rp_filter") == path


@pytest.mark.parametrize("name", ["net.//.//.//.etc", "//"])
def test_a_name_never_leaves_the_settings(name: str) -> None:
    with pytest.raises(HostError, match="no kernel setting"):
        sysctls.path_of(name)


def test_one_that_this_kernel_lacks_is_named(tmp_path: Path) -> None:
    wanted = (Sysctl("net.culvert.nothing", "1"), Sysctl("net.culvert.nothing_else", "1"))
    with pytest.raises(HostError) as caught:
        sysctls.apply(wanted, tmp_path)
    assert [problem.where for problem in caught.value.problems] == [f"sysctl {setting.name}" for setting in wanted]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"net.x": 1}', '{"net.x": {"before": 1, "ours": 2}}', "\udcff"])
def test_a_damaged_memory_restores_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / sysctls.MEMORY).write_text(content, errors="surrogateescape")
    sysctls.sweep(tmp_path)


def test_what_is_there_already_is_not_ours(tmp_path: Path) -> None:
    value = sysctls.observe("kernel.ostype")
    assert value == "Linux"
    assert not sysctls.apply((Sysctl("kernel.ostype", value),), tmp_path)
    assert list(tmp_path.iterdir()) == []
