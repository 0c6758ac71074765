"""`ifconfig`, `route` and `routes` with words that make no sense, or that this host cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B
from tests.netns.by_hand import begin, dropped, joined, link, picture_of, pings
from tests.netns.chapter_gateways import Gateway, Picture

pytestmark = pytest.mark.root

A, W = SITE_A.outside[0], SITE_B.outside[0]
WORDS = {
    "ifconfig gif0123456789012345 1.1.1.1 2.2.2.2": (2, "no name of a gif link", "gif0"),
    "ifconfig eth0 1.1.1.1 2.2.2.2": (2, "no name of a gif link", "gif0"),
    "ifconfig gif3 1.1.1.1": (2, "something is missing", "tunnel A W"),
    "ifconfig gif3 1.1.1.1 2001:db8::1": (2, "different families", "one family"),
    "ifconfig gif3 1.1.1.1 0.0.0.0": (2, "not the address of one host", "Known here"),
    "ifconfig gif3 1.1.1.1 224.0.0.1": (2, "not the address of one host", "Known here"),
    "ifconfig gif3 localhost 2.2.2.2": (2, "is no address", "Known here"),
    "ifconfig gif3 inet6 1.1.1.1 2.2.2.2": (2, "no address of inet6", "Write inet"),
    "ifconfig gif0 mtu many": (2, "no MTU", "576 to 8192"),
    "ifconfig gif0 mtu 100": (2, "no MTU", "576 to 8192"),
    "ifconfig gif0 netmask": (2, "something is missing", "Known here"),
    "ifconfig gif0 down": (2, "nothing that a gif link here has", "destroy"),
    "ifconfig gif9": (1, "no gif link gif9", "There is: gif0"),
    "ifconfig lan": (1, "no gif link lan", "ip addr"),
    "ifconfig gif9 destroy": (1, "no gif link gif9", "There is: gif0"),
    f"ifconfig gif3 {A} {W}": (1, "gif3 and gif0 have the same outer ends", "Remove one"),
    "ifconfig gif3 inet 192.168.1.1 192.168.2.1": (1, "the same inner ends", "Remove one"),
    "ifconfig gif3 inet 10.3.3.3 10.3.3.3": (1, "is at both ends", "other gateway's"),
    "ifconfig gif0 mtu 600 inet6 fd00::1 fd00::2": (1, "carries IPv6 and has an MTU of 600", "1280 or more"),
    "route": (2, "Missing argument", "add"),
    "route flush": (2, "is not one of", "delete"),
    "route add": (2, "Missing argument", "WORDS"),
    "route add 10.0.0.0/8": (2, "the next hop is missing", "far end"),
    "route add nowhere 192.168.2.1": (2, "is no network", "Write it like"),
    "route add 10.0.0.0 192.168.2.1 netmask 0xff00ff00": (2, "is no netmask", "0xffffff00"),
    "route add default 192.168.2.1": (2, "the host's own", "behind the link"),
    "route add 10.0.0.0/8 1.1.1.1": (1, "the far end of no gif link", "ip route add"),
    "route add 192.168.2.0/24 192.168.2.1": (1, "led into gif0 already", "culvert routes"),
    "route add 192.168.1.0/24 192.168.2.1": (1, "also on lan of this machine", "renumber"),
    "route add 192.168.1.64/26 192.168.2.1": (1, "also on lan of this machine", "renumber"),
    "route add 10.50.0.0/16 192.168.2.1": (1, "File exists", "ip route show"),
    "route add 127.0.0.0/8 192.168.2.1": (1, "lies behind no link", "behind the other gateway"),
    "route add 224.0.0.0/4 192.168.2.1": (1, "lies behind no link", "behind the other gateway"),
    "route add 198.51.100.0/24 192.168.2.1": (1, "the outer end of gif0 itself", "narrower"),
    "route add 2001:db8::/32 192.168.2.1": (1, "no inner addresses of that family", "inner"),
    "route delete 10.0.0.0/8": (1, "no gif link has a route", "culvert routes"),
    "routes gif0": (2, "unexpected extra argument", "--help"),
}
"""By command: exit code, what is wrong, what to do."""


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Picture]:
    with picture_of(tmp_path) as picture:
        yield picture


def refused(gateway: Gateway, command: str, code: int, *said: str) -> str:
    done = gateway.culvert(*command.split(), code=None)
    told = f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.returncode == code, told
    assert done.stdout == "", told
    assert all(words in done.stderr for words in said), told
    if code == 1:
        assert done.stderr.startswith("culvert: "), told
    return told


def test_what_cannot_be_is_said_and_changes_nothing(by_hand: Picture) -> None:
    by_hand.a.host.ip("route", "add", "10.50.0.0/16", "via", "192.168.1.7")
    joined(by_hand)
    links, before = by_hand.a.culvert("ifconfig").stdout, by_hand.a.standing()
    for command, (code, *said) in WORDS.items():
        refused(by_hand.a, command, code, *said)
    assert by_hand.a.culvert("ifconfig").stdout == links
    assert by_hand.a.standing()["routes"] == before["routes"]
    assert pings(by_hand) == []
    assert dropped(by_hand.a) == {}
    by_hand.a.down()
    assert "10.50.0.0/16 via 192.168.1.7" in by_hand.a.host.ip("route")


def test_there_are_64_links_at_most(by_hand: Picture) -> None:
    tables = [f'[gif.gif{number}]\nouter = ["{A}", "198.51.100.{number + 1}"]\n' for number in range(64)]
    begin(by_hand.a, "".join(tables))
    assert len(by_hand.a.status()["gifs"]) == 64
    refused(by_hand.a, f"ifconfig gif64 {A} 198.51.100.200", 1, "more than 64 gif links", "policies alone")
    by_hand.a.culvert("ifconfig", "gif63", "destroy")
    by_hand.a.culvert("ifconfig", "gif64", A, "198.51.100.200")


def test_without_a_gateway_it_says_how_to_start_one(by_hand: Picture) -> None:
    for command in ("ifconfig", f"ifconfig gif0 {A} {W}", "route add 10.0.0.0/8 192.168.2.1"):
        refused(by_hand.a, command, 1, "no gateway runs here", "up -c")
    assert "Internet:" in by_hand.a.culvert("routes").stdout
    begin(by_hand.a)
    assert by_hand.a.culvert("ifconfig").stdout == ""
    link(by_hand.a)
    by_hand.a.kill(by_hand.a.daemon_pid())
    refused(by_hand.a, "ifconfig", 1, "no gateway runs here", "up -c")
