"""gif links in gateway.toml, and in the words of ifconfig(8) and route(8)."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from culvert.config.dialects.ifconfig import changed
from culvert.config.dialects.route import StaticRoute, static_route
from culvert.config.findings import UnusableError
from culvert.config.load import load
from culvert.config.model import Ends, Gif
from culvert.errors import ConfigurationError

OUTER = Ends(ip_address("203.0.113.1"), ip_address("198.51.100.1"))
INNER = Ends(ip_address("192.168.1.1"), ip_address("192.168.2.1"))
INNER6 = Ends(ip_address("2001:db8:1::1"), ip_address("2001:db8:2::1"))


def gif(text: str, *, start: Gif | None = None) -> Gif:
    return changed(start or Gif("gif0"), text.split())


def test_the_handbooks_two_commands() -> None:
    link = gif("inet 192.168.1.1 192.168.2.1 netmask 0xffffffff", start=gif("203.0.113.1 198.51.100.1"))
    assert link == Gif("gif0", OUTER, (INNER,), 1280)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tunnel 203.0.113.1 198.51.100.1 up", Gif("gif0", OUTER)),
        ("inet tunnel 203.0.113.1 198.51.100.1", Gif("gif0", OUTER)),
        ("create mtu 1400 link1", Gif("gif0", mtu=1400, ecn=True)),
        ("link1 -link1", Gif("gif0")),
        ("203.0.113.1 198.51.100.1 deletetunnel", Gif("gif0")),
        ("inet6 2001:db8:1::1 2001:db8:2::1 prefixlen 128", Gif("gif0", inner=(INNER6,))),
        ("inet6 2001:db8:1::1 2001:db8:2::1 inet 192.168.1.1/32 192.168.2.1", Gif("gif0", inner=(INNER, INNER6))),
        ("inet 10.0.0.1 10.0.0.2 inet 192.168.1.1 192.168.2.1", Gif("gif0", inner=(INNER,))),
    ],
)
def test_words(words: str, expected: Gif) -> None:
    assert gif(words) == expected


@pytest.mark.parametrize(
    "words",
    [
        "x",
        "203.0.113.1",
        "inet 192.168.1.1",
        "inet6 192.168.1.1 192.168.2.1",
        "203.0.113.1 2001:db8::1",
        "mtu",
        "mtu 12",
        "mtu ten",
        "down",
        "alias 1.2.3.4",
        "inet 224.0.0.1 192.168.2.1",
        "tunnel 203.0.113.1",
        "netmask",
    ],
)
def test_words_that_say_nothing(words: str) -> None:
    with pytest.raises(UnusableError) as refused:
        gif(words)
    assert refused.value.what_to_do


@pytest.mark.parametrize(
    ("words", "destination", "gateway"),
    [
        ("192.168.2.0 192.168.2.1 netmask 0xffffff00", "192.168.2.0/24", "192.168.2.1"),
        ("-net 192.168.2.0 192.168.2.1 -netmask 255.255.255.0", "192.168.2.0/24", "192.168.2.1"),
        ("192.168.2.0/25 192.168.2.1", "192.168.2.0/25", "192.168.2.1"),
        ("192.168.2.0 192.168.2.1", "192.168.2.0/24", "192.168.2.1"),
        ("10.0.0.0 192.168.2.1", "10.0.0.0/8", "192.168.2.1"),
        ("10.0.0.9 192.168.2.1", "10.0.0.9/32", "192.168.2.1"),
        ("-host 10.0.0.0 192.168.2.1", "10.0.0.0/32", "192.168.2.1"),
        ("-inet6 2001:db8:2:: 2001:db8:2::1 -prefixlen 64", "2001:db8:2::/64", "2001:db8:2::1"),
    ],
)
def test_routes(words: str, destination: str, gateway: str) -> None:
    assert static_route(words.split()) == StaticRoute(ip_network(destination), ip_address(gateway))


@pytest.mark.parametrize(
    "words",
    [
        "",
        "a b",
        "1.2.3.4 5.6.7.8 netmask 0xff00ff00",
        "default 1.2.3.4",
        "1.2.3.0/33 1.2.3.4",
        "1.2.3.0 1.2.3.4 netmask",
        "1.2.3.0 1.2.3.4 5.6.7.8",
        "1.2.3.0 nowhere",
    ],
)
def test_routes_that_are_none(words: str) -> None:
    with pytest.raises(UnusableError) as refused:
        static_route(words.split())
    assert refused.value.what_to_do


def write(directory: Path, text: str) -> Path:
    file = directory / "gateway.toml"
    file.write_text('[gateway]\naddress = "203.0.113.1"\n' + text)
    return file


def test_a_link_in_the_file(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
[gif.gif0]
outer = ["203.0.113.1", "198.51.100.1"]
inner = ["192.168.1.1", "192.168.2.1", "2001:db8:1::1", "2001:db8:2::1"]
routes = ["192.168.2.0/24", "2001:db8:2::/64"]
ecn = true
""",
    )
    (link,) = load(file).gateway.gifs
    routes = (ip_network("192.168.2.0/24"), ip_network("2001:db8:2::/64"))
    assert (link.outer, link.inner, link.mtu, link.routes, link.ecn) == (OUTER, (INNER, INNER6), 1280, routes, True)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[gif.tunnel]\n", '"tunnel" is no name of a gif link'),
        ("[gif.gif0]\n", "gif0 has no outer ends"),
        ('[gif.gif0]\nouter = ["203.0.113.1"]\n', "an end of the link is missing"),
        ('[gif.gif0]\nouter = ["203.0.113.1", "1.2.3.4", "1.2.3.4", "1.2.3.5"]\n', "outer has 4 addresses"),
        ('[gif.gif0]\nouter = ["198.51.100.1", "203.0.113.1"]\n', "203.0.113.1 is the address of this gateway"),
        ('[gif.gif0]\nouter = ["203.0.113.1", "203.0.113.1"]\n', "203.0.113.1 is at both ends"),
        ('[gif.gif0]\nouter = ["203.0.113.1", "2001:db8::1"]\n', "are of different families"),
        ('[gif.gif0]\nmtu = 100\nouter = ["203.0.113.1", "198.51.100.1"]\n', "mtu is out of bounds"),
        (
            '[gif.gif0]\nmtu = 1000\nouter = ["203.0.113.1", "198.51.100.1"]\ninner = ["2001:db8::1", "2001:db8::2"]\n',
            "carries IPv6 and has an MTU of 1000",
        ),
        (
            '[gif.gif0]\nouter = ["203.0.113.1", "198.51.100.1"]\nroutes = ["10.0.0.0/8"]\n',
            "has no inner addresses of that family",
        ),
        (
            '[gif.gif0]\nouter = ["203.0.113.1", "198.51.100.1"]\ninner = ["1.1.1.1", "1.1.1.2"]\n'
            'routes = ["198.51.100.0/24"]\n',
            "the outer end of gif0 itself",
        ),
        (
            '[gif.gif0]\nouter = ["203.0.113.1", "198.51.100.1"]\n'
            '[gif.gif1]\nouter = ["203.0.113.1", "198.51.100.1"]\n',
            "have the same outer ends",
        ),
    ],
)
def test_flaws(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(write(tmp_path, text))
    assert any(what in problem.what and ":" in problem.where for problem in refused.value.problems)
