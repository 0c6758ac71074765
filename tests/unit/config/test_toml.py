"""The keys of gateway.toml, one at a time: what each refuses, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from culvert.config.dialects.toml import read
from culvert.config.findings import Findings

PEER = '[gateway]\nnetworks = ["192.168.1.0/24"]\n[peers.a]\naddress = "198.51.100.1"\nnetworks = ["10.0.0.0/8"]\n'


def found(text: str) -> list[str]:
    findings = Findings()
    read(text, "g", findings)
    return [str(problem) for problem in findings.problems]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("ike = 1", 'ike = "1" is not built yet\n    Write ike = 2'),
        ("link = 'gif'", 'link = "gif" is not built yet\n    Write link = "policy"'),
        ("link = 'route'", 'link = "route" is not built yet\n    Write link = "policy"'),
        ("link_addresses = ['10.0.0.1']", "link_addresses is not built yet\n    Write link"),
    ],
)
def test_what_comes_later_is_refused_by_name(line: str, what: str) -> None:
    (problem,) = found(PEER + line)
    assert problem.startswith(f"g:6: {what}")


def test_what_comes_later_in_gateway() -> None:
    (problem,) = found("[gateway]\nbackend = 'kernel'\n")
    assert problem.startswith('g:2: backend = "kernel" is not built yet')


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("networsk = []", "Did you mean networks?"),
        ("adress = 'a'", "Did you mean address?"),
        ("psk = 'a'", "Did you mean secret?"),
        ("proposal = 'a'", "Did you mean proposals?"),
        ("firewall = true", "firewall belongs in [gateway]."),
        ("remote = '10.0.0.0/8'", "remote belongs in [peers.NAME.children.NAME]."),
        ("xyzzy = 1", "Known here: address, networks, secret"),
        ("children.b.adress = 'a'", "address belongs"),
    ],
)
def test_an_unknown_key_gets_the_likely_one(line: str, hint: str) -> None:
    (problem,) = found(PEER + line)
    assert problem.startswith("g:6: unknown key ")
    if "children" not in line:
        assert hint in problem


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("dpd = 30", "dpd is a whole number, and must be a string"),
        ("dpd = '30'", '"30" is no duration'),
        ("rekey = '0s'", '"0s" is out of bounds'),
        ("rekey = '400d'", '"400d" is out of bounds'),
        ("mtu = '1400'", "mtu is a string in quotes, and must be a whole number"),
        ("mtu = true", "mtu is true or false, and must be a whole number"),
        ("mtu = 100", "mtu is out of bounds"),
        ("mss = 70000", "mss is out of bounds"),
        ("metric = 0", "metric is out of bounds"),
        ("replay_window = 1000000", "replay_window is out of bounds"),
        ("start = 'now'", '"now" is nothing that start can be'),
        ("encapsulation = 1.5", "encapsulation is a number with a point, and must be a string"),
        ("ike = 3", '"3" is nothing that ike can be'),
        ("identity = ''", '"" is no identity'),
        ("identity = '@#zz'", '"@#zz" is no identity'),
        ("proposals = 'aes256gcm16-prfsha256'", "'aes256gcm16-prfsha256' names no key exchange"),
        ("proposals = 'aes999-sha256-x25519'", "'aes999-sha256-x25519': 'aes999' is no algorithm known here"),
        ("esp_proposals = ['aes128gcm16', 'aes128']", "'aes128' has no integrity"),
        ("secret = 5", "secret is a whole number, and must be a string"),
        ("children = 5", "children is a whole number, and must be a table"),
        ("children.b = 5", "b must be a table"),
        ("local_identity = 1979-05-27", "local_identity is a date or time"),
    ],
)
def test_values_that_cannot_be(line: str, what: str) -> None:
    (problem,) = found(PEER + line)
    assert problem.startswith(f"g:6: {what}"), problem


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("'198.51.100.1/24'", '"198.51.100.1/24" has a prefix length'),
        ("'198.51.100.300'", '"198.51.100.300" is no address'),
        ("'198.51.100.1:500'", '"198.51.100.1:500" is no address'),
        ("'0.0.0.0'", '"0.0.0.0" is not the address of one host'),
        ("'224.0.0.1'", '"224.0.0.1" is not the address of one host'),
        ("'fe80::1%eth0'", '"fe80::1%eth0" names an interface'),
        ("'a b'", '"a b" is neither an address nor a name'),
        ("''", '"" is neither an address nor a name'),
        ("7", "address is a whole number, and must be a string or a list"),
        ("['a', 7]", "address is a whole number, and must be a string"),
        ("{}", "address is a table, and must be"),
    ],
)
def test_addresses_that_are_none(value: str, what: str) -> None:
    (problem,) = found(f"[gateway]\naddress = {value}\n")
    assert problem.startswith(f"g:2: {what}"), problem


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (
            "'192.168.1.5/24'",
            '"192.168.1.5/24" is an address within a network, not a network\n    Write "192.168.1.0/24"',
        ),
        ("'192.168.1.0/33'", '"192.168.1.0/33" is no network'),
        ("'office'", '"office" is no network'),
        ("'224.0.0.0/4'", '"224.0.0.0/4" is a multicast network'),
        ("'127.0.0.0/8'", '"127.0.0.0/8" is a loopback network'),
        ("'fe80::%eth0/64'", '"fe80::%eth0/64" '),
        ("'2001:db8::1/64'", '"2001:db8::1/64" is an address within a network'),
    ],
)
def test_networks_that_are_none(value: str, what: str) -> None:
    (problem,) = found(f"[gateway]\nnetworks = {value}\n")
    assert problem.startswith(f"g:2: {what}"), problem


@pytest.mark.parametrize("name", ["a/b", "a b", "", "-a", "a" * 64, "\\u0007"])
def test_names_that_cannot_be_typed(name: str) -> None:
    (problem,) = found(f'[gateway]\n[peers."{name}"]\naddress = "a"\n')
    assert "cannot be a name" in problem
    assert "\a" not in problem


def test_an_unknown_section() -> None:
    assert found("[gateway]\n[peer.a]\n") == ["g:2: unknown section [peer]\n    Did you mean peers?"]


@pytest.mark.parametrize("text", ["gateway = 1", "gateway = []", "peers = 'x'\n[gateway]", "[[gateway]]\n[[gateway]]"])
def test_sections_of_another_shape(text: str) -> None:
    assert all("must be a table" in problem for problem in found(text))
    assert found(text)


def test_good_values_beside_bad_ones_are_kept() -> None:
    findings = Findings()
    tables = read(
        PEER + "dpd = 7\nmtu = 1400\nchildren.b = {remote = ['10.1.0.0/16', 'x'], rekey = 1}\n", "g", findings
    )
    assert tables is not None
    assert tables.peers["a"].mtu == 1400
    assert tables.peers["a"].dpd is None
    child: Any = (tables.peers["a"].children or {})["b"]
    assert [str(selector) for selector in child.remote] == ["10.1.0.0/16"]
    assert tables.origins.is_spoiled("peers", "a", "children", "b", "rekey")
    assert len(findings.problems) == 3
