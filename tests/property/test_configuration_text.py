"""Any file is a configuration or a list of problems, never anything else."""

from __future__ import annotations

import contextlib
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from culvert.config.dialects import psk, toml
from culvert.config.dialects.toml_lines import lines_of
from culvert.config.dialects.toml_tables import ChildTable, GatewayTable, PeerTable
from culvert.config.findings import Findings
from culvert.config.load import load
from culvert.errors import ConfigurationError, Problem

GOOD = ["10.0.0.0/8", "192.168.1.0/24", "192.168.1.1", "2001:db8::/32", "gw.example.org", "30s", "off", "tunnel"]
ODD = ["file:psk.txt", "", "\x00", "{key}", "0.0.0.0/0", "::/0", "1.2.3.4-1.2.3.9", "%", "[", "0x", "\u2028"]
words = st.sampled_from([*GOOD, *ODD])
scalars = st.one_of(
    words, words, st.integers(-5, 10**12), st.booleans(), st.floats(allow_nan=True), st.text(max_size=8)
)
values = st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(words, scalars, max_size=2))


def tables(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.one_of(st.sampled_from(keys), st.text(max_size=5)), values, max_size=6)


children = st.dictionaries(words, tables(list(ChildTable.model_fields)), max_size=2)
peers = st.dictionaries(
    words,
    st.builds(
        lambda table, more: table | ({"children": more} if more else {}), tables(list(PeerTable.model_fields)), children
    ),
    max_size=3,
)


def rendered(value: Any) -> str:
    """Write a value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{rendered(key)} = {rendered(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(rendered(inner) for inner in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in value) + '"'
    return repr(value)


def document(gateway: dict[str, Any], some: dict[str, Any]) -> str:
    lines = ["[gateway]", *(f"{rendered(key)} = {rendered(value)}" for key, value in gateway.items())]
    for name, peer in some.items():
        lines += [f"[peers.{rendered(name)}]", *(f"{rendered(key)} = {rendered(value)}" for key, value in peer.items())]
    return "\n".join(lines) + "\n"


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(tables(list(GatewayTable.model_fields)), peers)
def test_any_values_load_or_are_refused(gateway: dict[str, Any], some: dict[str, Any]) -> None:
    gateway.pop("include", None)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateway.toml"
        file.write_text(document(gateway, some), "utf-8", "surrogatepass")
        problems: tuple[Problem, ...] = ()
        try:
            loaded = load(file)
            assert loaded.gateway.name
        except ConfigurationError as error:
            problems = error.problems
        assert all(problem.what and problem.where for problem in problems)


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    psk.read(data, "psk.txt", Findings())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateway.toml"
        file.write_bytes(data)
        with contextlib.suppress(ConfigurationError):
            load(file)


@given(st.text(alphabet="ab.=[]{}\"'\\#,\n \t1-", max_size=60))
def test_every_key_of_valid_toml_has_its_line(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        findings = Findings()
        assert toml.read(text, "g", findings) is None
        assert len(findings.problems) == 1
        return
    lines = lines_of(text)
    assert set(data) == {path[0] for path in lines if len(path) == 1}
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@given(tables(["a", "b"]), st.dictionaries(words, tables(["c"]), max_size=3))
def test_lines_of_written_documents(gateway: dict[str, Any], some: dict[str, Any]) -> None:
    lines = lines_of(document(gateway, some))
    expected = 1
    for key in gateway:
        expected += 1
        assert lines["gateway", key] == expected
    for name, peer in some.items():
        expected += 1
        assert lines["peers", name] == expected
        for key in peer:
            expected += 1
            assert lines["peers", name, key] == expected
