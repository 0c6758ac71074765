"""The command line from outside: exit codes, what is said where, and never a traceback."""

import json
import os
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from culvert.cli import failures
from culvert.cli.main import COMMANDS, culvert
from culvert.errors import CulvertError, Problem


def run(*arguments, **environment):
    known = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-m", "culvert", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env=known | environment,
    )


def test_help_lists_every_command_and_imports_none():
    listing = [sys.executable, "-X", "importtime", "-m", "culvert", "--help"]
    done = subprocess.run(listing, capture_output=True, text=True, check=True)
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    for heavy in ("asyncio", "rich", "pydantic", "cryptography", "pyroute2"):
        assert f" {heavy}\n" not in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_takes_the_directories(name):
    done = CliRunner().invoke(culvert, [name, "--help"], prog_name="culvert")
    assert done.exit_code == 0, done.output
    assert "--run-dir" in done.output
    assert "--state-dir" in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["dance"],
        ["status", "--dance"],
        ["connect"],
        ["connect", "x", "--timeout", "soon"],
        ["down", "--closed", "--daemon"],
        ["rekey", "x/y", "--ike"],
        ["up", "--backend", "kernel"],
    ],
)
def test_wrong_usage_is_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_that_is_nearly_one_is_named():
    assert "did you mean status?" in run("stauts").stderr


@pytest.mark.parametrize(
    "arguments", [["status"], ["status", "--json"], ["reload"], ["connect", "x"], ["down", "--daemon"]]
)
def test_without_a_gateway_it_is_1_and_how_to_start_one(arguments, tmp_path):
    done = run(*arguments, "--run-dir", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no gateway runs here" in done.stderr
    assert f"culvert --run-dir {tmp_path} up" in done.stderr


def test_directories_count_before_and_after_the_command_and_from_the_environment(tmp_path):
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    assert str(one) in run("status", CULVERT_RUN_DIR=str(one)).stderr
    assert str(two) in run("--run-dir", str(two), "status", CULVERT_RUN_DIR=str(one)).stderr
    assert str(three) in run("--run-dir", str(two), "status", "--run-dir", str(three)).stderr
    assert "/run/culvert" in run("version", "--help").stdout


def test_a_relative_directory_is_one_all_the_same(tmp_path):
    done = run("status", "--run-dir", os.path.relpath(tmp_path))
    assert str(tmp_path) in done.stderr


def test_version_works_without_a_gateway(tmp_path):
    done = run("version", "--json", "--run-dir", str(tmp_path))
    assert done.returncode == 0
    assert json.loads(done.stdout)["gateway"] is None


def test_check_says_all_that_is_wrong_at_once(tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text('[gateway]\nnetworks = ["192.168.1.0/33"]\nadress = "203.0.113.1"\n')
    done = run("check", str(file))
    assert done.returncode == 1
    assert f"{file}:2" in done.stderr
    assert f"{file}:3" in done.stderr
    assert "address" in done.stderr
    document = json.loads(run("check", str(file), "--json").stdout)
    assert document["good"] is False
    assert len(document["problems"]) == 2


def test_up_with_a_bad_configuration_says_the_same_and_leaves_nothing(tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text("[gateway\n")
    for detach in ([], ["-d"]):
        done = run("up", "-c", str(file), "--run-dir", str(tmp_path / "run"), *detach)
        assert done.returncode == 1
        assert f"{file}:1" in done.stderr
        assert "Traceback" not in done.stderr
        assert {path.name for path in (tmp_path / "run").iterdir()} <= {"culvert.log"}


def test_an_unexpected_failure_is_a_line_and_where_to_look(capsys, monkeypatch):
    monkeypatch.delenv("CULVERT_DEBUG", raising=False)
    assert failures.exit_code_of(KeyError("one\ntwo")) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 2
    assert "KeyError" in said.splitlines()[0]
    assert "Traceback" not in said


def test_all_problems_of_an_error_are_shown(capsys):
    assert failures.exit_code_of(CulvertError([Problem("one", "here"), Problem("two", "", "Do it.")])) == 1
    assert capsys.readouterr().err == "culvert: here: one\nculvert: two\n    Do it.\n"


def test_ctrl_c_is_130():
    assert failures.exit_code_of(KeyboardInterrupt()) == 130


def test_help_is_quick():
    """Against the interpreter itself, for machines differ."""

    def best(*command):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], capture_output=True, check=True)
            times.append(time.perf_counter() - start)
        return min(times)

    assert best("-m", "culvert", "--help") - best("-c", "import click") < 0.1
