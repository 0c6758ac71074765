"""The handbook's chapter by hand on real gateways: the virtual link in clear, then behind setkey's policies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.by_hand import (
    TRANSPORT,
    Wires,
    dropped,
    esp_alone,
    gif,
    joined,
    outside,
    picture_of,
    pings,
    secured,
)
from tests.netns.chapter_gateways import Picture

pytestmark = pytest.mark.root


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Picture]:
    with picture_of(tmp_path) as picture:
        yield picture


@pytest.mark.parametrize("by_file", [False, True], ids=["by commands", "by file"])
def test_step_1_joins_the_networks_in_clear_and_says_so(by_hand: Picture, by_file: bool) -> None:
    before = by_hand.a.standing(), by_hand.b.standing()
    joined(by_hand, by_file=by_file)
    with outside(by_hand) as heard:
        assert pings(by_hand) == []
    assert heard.protocols() == {4}
    assert heard.readable()
    assert by_hand.a.culvert("ifconfig", "gif0").stdout.splitlines() == [
        "gif0: flags=8011<UP,POINTTOPOINT,MULTICAST> mtu 1280",
        "\tinet 192.168.1.1 --> 192.168.2.1 netmask 0xffffffff",
        "\tphysical address inet 203.0.113.1 --> 198.51.100.1",
    ]
    table = [line.split()[:4] for line in by_hand.a.culvert("routes").stdout.splitlines()]
    assert ["192.168.2.1", "192.168.1.1", "UH", "gif0"] in table
    assert ["192.168.2.0/24", "192.168.2.1", "UGS", "gif0"] in table
    assert "in clear" in by_hand.a.culvert("status").stdout
    known = gif(by_hand.a)
    assert (known["protected"], known["packets_in"] >= 12, known["packets_out"] >= 12) == (False, True, True)
    by_hand.a.down()
    by_hand.b.down()
    assert (by_hand.a.standing(), by_hand.b.standing()) == before


def test_step_2_leaves_esp_alone_on_the_wire(by_hand: Picture) -> None:
    before = by_hand.a.standing(), by_hand.b.standing()
    joined(by_hand)
    secured(by_hand)
    with esp_alone(by_hand):
        assert pings(by_hand) == []
    for gateway in (by_hand.a, by_hand.b):
        assert gif(gateway)["protected"]
        assert "protected" in gateway.culvert("status").stdout
        assert gateway.status()["policies"] == {"configuration": 0, "others": 2}
    assert dropped(by_hand.a) == {}
    by_hand.a.down()
    by_hand.b.down()
    assert (by_hand.a.standing(), by_hand.b.standing()) == before


@pytest.mark.parametrize("version", [0, 1], ids=["in IPv4", "in IPv6"])
def test_both_families_in_either_in_both_modes(tmp_path: Path, version: int) -> None:
    wires = Wires(version, (0, 1))
    with picture_of(tmp_path, ipv6=True) as picture:
        joined(picture, wires)
        with outside(picture) as heard:
            assert pings(picture, wires) == []
        assert heard.protocols() == {4, 41}
        secured(picture, wires)
        with esp_alone(picture):
            assert pings(picture, wires) == []
        secured(picture, wires, TRANSPORT, "transport")
        with esp_alone(picture):
            assert pings(picture, wires) == []
        assert gif(picture.a)["protected"]
