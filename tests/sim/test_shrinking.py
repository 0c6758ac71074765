"""A failure is told by a script that is as short as it gets, a diagram, and a capture that can be read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from culvert.sim import capture, failures
from culvert.sim.play import play
from culvert.sim.script_text import read
from culvert.sim.shrinking import kind, minimal
from tests.sim.test_mutations import AlwaysWins, SwitchesEarly, first_failure


@given(st.sets(st.integers(0, 40), min_size=1, max_size=4), st.integers(41, 60))
def test_what_is_left_is_what_is_needed(needed: set[int], count: int) -> None:
    left = minimal(list(range(count)), lambda parts: needed <= set(parts))
    assert left == sorted(needed)


@given(st.integers(0, 30))
def test_what_fails_in_any_case_needs_nothing(count: int) -> None:
    assert minimal(list(range(count)), lambda _: True) == []


def test_failures_of_one_kind_differ_in_numbers_only() -> None:
    one = "hub: esp 0x0022aabb to 203.0.113.1 was in use before"
    assert kind(one) == kind("hub: esp 0xffffaa11 to 198.51.100.7 was in use before")
    assert kind(one) != kind("hub: nobody owns esp 0x0022aabb to 203.0.113.1")


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("failure")
    failures.leave(directory, first_failure(SwitchesEarly), SwitchesEarly)
    return directory


def test_a_short_script_fails_again(left: Path) -> None:
    script = read((left / "script.toml").read_text())
    first = first_failure(SwitchesEarly)
    assert kind(play(script, SwitchesEarly).failure) == kind(first.failure)
    assert sum(len(one.steps) for one in script.rounds) <= 4
    assert len(script.fates) <= 2


def test_the_diagram_shows_who_said_what(left: Path) -> None:
    lines = (left / "diagram.txt").read_text().splitlines()
    assert lines[0].split()[:2] == ["hub", "spoke1"]
    asked = next(line for line in lines if "CREATE_CHILD_SA request" in line)
    number = asked.split("o-- ")[1].split()[0]
    assert any(f"--> {number}" in line for line in lines)
    assert "SA Nonce" in asked
    assert lines[-1].startswith("a packet of")


def test_wireshark_looks_inside(left: Path) -> None:
    command = ["tshark", "-r", str(left / "run.pcapng"), "-V", "-Y", "isakmp.exchangetype == 36"]
    environment = {"PATH": "/usr/bin:/bin", "WIRESHARK_CONFIG_DIR": str(left), "HOME": str(left)}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert "Decrypted Data" in shown
    assert "Traffic Selector - Initiator" in shown
    assert "Malformed" not in shown


def test_a_fault_that_both_ends_have_is_shortened_too(tmp_path: Path) -> None:
    told = failures.leave(tmp_path, first_failure(AlwaysWins), AlwaysWins)
    assert [line.split(":")[0].rsplit("/", 1)[1] for line in told] == ["script.toml", "diagram.txt", "run.pcapng"]
    assert (tmp_path / capture.KEYS_FILE).read_text().count("AES-GCM-128") >= 1
