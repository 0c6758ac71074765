"""The handbook's chapter by hand on real gateways: the virtual link in clear, then behind setkey's policies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B
from tests.netns.by_hand import (
    CHAPTER,
    TRANSPORT,
    TUNNEL,
    Wires,
    alone,
    dropped,
    esp_alone,
    gif,
    joined,
    link,
    outside,
    picture_of,
    pings,
    secured,
    setkey,
)
from tests.netns.chapter_gateways import MARKER, Picture, counted_ping, send_file, steady_ping

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


def test_large_packets_and_files_cross_whole(by_hand: Picture) -> None:
    joined(by_hand)
    data = bytes.fromhex(MARKER) * 300_000
    host = by_hand.chapter.host_a
    for step in ("in clear", "tunnel", "transport"):
        if step != "in clear":
            secured(by_hand, template=TUNNEL if step == "tunnel" else TRANSPORT, mode=step)
        assert send_file(by_hand, data) == data, step
        assert by_hand.ping(count=2, source=host, options=("-s", "6000", "-M", "dont")) == 2, step
        assert by_hand.ping(count=2, source=host, options=("-s", "1252", "-M", "do")) == 2, step
        said = host.run(["ping", "-n", "-c", "2", "-W", "1", "-s", "1300", "-M", "do", SITE_B.host[0]], check=False)
        assert "mtu=1280" in said.stdout.replace(" = ", "=") + said.stderr, said
        host.ip("route", "flush", "cache")


def test_the_mtu_and_the_marks_of_congestion_are_changed_by_commands(by_hand: Picture) -> None:
    joined(by_hand)
    for gateway in (by_hand.a, by_hand.b):
        gateway.culvert("ifconfig", "gif0", "mtu", "1400", "link1")
    assert "flags=a011<UP,POINTTOPOINT,LINK1,MULTICAST> mtu 1400" in by_hand.a.culvert("ifconfig", "gif0").stdout
    assert by_hand.ping(count=2, options=("-s", "1372", "-M", "do")) == 2
    with outside(by_hand) as heard:
        assert by_hand.ping(count=2, options=("-Q", "0x2")) == 2
    assert {packet[1] for packet in heard.packets() if packet[9] == 4} == {2}
    for gateway in (by_hand.a, by_hand.b):
        gateway.culvert("ifconfig", "gif0", "-link1", "mtu", "1280")
    with outside(by_hand) as heard:
        assert by_hand.ping(count=2, options=("-Q", "0x2")) == 2
    assert {packet[1] for packet in heard.packets() if packet[9] == 4} == {0}


def test_what_is_destroyed_is_gone_with_its_routes(by_hand: Picture) -> None:
    joined(by_hand)
    by_hand.a.culvert("route", "delete", "192.168.2.0/24")
    assert "192.168.2.0/24" not in by_hand.a.culvert("routes").stdout
    assert by_hand.ping(source=by_hand.chapter.gateway_a, to=SITE_B.gateway[0]) == 3
    by_hand.a.culvert("ifconfig", "gif0", "destroy")
    assert "gif0" not in by_hand.a.standing()["links"] + by_hand.a.standing()["routes"]
    assert by_hand.a.culvert("ifconfig").stdout == ""
    assert by_hand.a.status()["gifs"] == []
    link(by_hand.a)
    assert pings(by_hand) == []


def test_a_daemon_that_is_killed_leaves_links_and_policies_to_the_next(by_hand: Picture) -> None:
    before = by_hand.a.standing()
    joined(by_hand)
    secured(by_hand)
    with esp_alone(by_hand), counted_ping(by_hand, 0.05) as lost:
        assert by_hand.ping() == 3
        by_hand.a.kill(by_hand.a.daemon_pid())
        assert by_hand.ping() == 3
        by_hand.a.up()
        assert by_hand.ping() == 3
    assert lost() == 0
    known = gif(by_hand.a)
    assert (known["protected"], known["routes"]) == (True, ["192.168.2.0/24"])
    assert by_hand.a.status()["policies"]["others"] == 2
    by_hand.a.culvert("ifconfig", "gif0", "mtu", "1300")
    assert by_hand.ping() == 3
    by_hand.a.down()
    assert by_hand.a.standing() == before


def test_an_engine_that_is_killed_comes_back_with_links_and_policies_and_without_keys(by_hand: Picture) -> None:
    joined(by_hand)
    secured(by_hand)
    with esp_alone(by_hand), steady_ping(by_hand):
        assert by_hand.ping() == 3
        dead = by_hand.a.engine_pid()
        by_hand.a.kill(dead)
        by_hand.a.until(lambda: by_hand.a.status()["gateway"]["warnings"] != [], "word of what is lost")
        assert by_hand.a.engine_pid() != dead
        assert gif(by_hand.a)["protected"]
        (warning,) = by_hand.a.status()["gateway"]["warnings"]
        assert "lost the associations of others" in warning["message"]
        assert "culvert setkey -f" in warning["what_to_do"]
        assert by_hand.ping(count=5, wait_s=1) == 0
        setkey(by_hand.a, CHAPTER.associations())
        assert by_hand.ping() == 3


def test_reload_keeps_links_of_commands_and_gives_the_file_its_own_back(by_hand: Picture) -> None:
    joined(by_hand, by_file=True)
    by_hand.a.culvert("ifconfig", "gif7", SITE_A.outside[0], "198.51.100.77")
    by_hand.a.culvert("ifconfig", "gif0", "mtu", "1400")
    assert gif(by_hand.a)["mtu"] == 1400
    by_hand.a.culvert("reload")
    assert gif(by_hand.a)["mtu"] == 1280
    assert gif(by_hand.a, "gif7")["outer"] == [SITE_A.outside[0], "198.51.100.77"]
    by_hand.a.culvert("ifconfig", "gif0", "destroy")
    assert by_hand.ping(count=1, wait_s=1) == 0
    by_hand.a.culvert("reload")
    assert pings(by_hand) == []
    alone(by_hand.a)
    by_hand.a.culvert("reload")
    assert [one["name"] for one in by_hand.a.status()["gifs"]] == ["gif7"]


def test_links_work_where_every_interface_filters_strictly_by_the_way_back(by_hand: Picture) -> None:
    for host in (by_hand.chapter.gateway_a, by_hand.chapter.gateway_b):
        for name in ("all", "default", "lan", "outside"):
            host.set_sysctl(f"net.ipv4.conf.{name}.rp_filter", "1")
    joined(by_hand)
    assert pings(by_hand) == []
    for template, mode in ((TUNNEL, "tunnel"), (TRANSPORT, "transport")):
        secured(by_hand, template=template, mode=mode)
        with esp_alone(by_hand):
            assert pings(by_hand) == []


def test_what_others_take_from_a_link_is_put_back(by_hand: Picture) -> None:
    joined(by_hand)
    secured(by_hand)
    host = by_hand.chapter.gateway_a
    with esp_alone(by_hand):
        assert by_hand.ping() == 3
        for words in (("address", "flush", "dev", "gif0"), ("link", "set", "gif0", "down"), ("link", "delete", "gif0")):
            host.ip(*words)
            by_hand.a.until(lambda: by_hand.ping(count=1, wait_s=1) == 1, f"the link after ip {' '.join(words)}")


def test_down_closed_keeps_in_what_the_link_carried(by_hand: Picture) -> None:
    before = by_hand.a.standing()
    joined(by_hand)
    secured(by_hand)
    by_hand.a.culvert("down", "--closed")
    host = by_hand.chapter.gateway_a
    with outside(by_hand) as heard:
        host.set_sysctl("net.ipv4.ip_forward", "1")
        assert by_hand.ping(count=2, wait_s=1) == 0
        own = host.run(["ping", "-n", "-c", "1", "-W", "1", "-p", MARKER, SITE_B.gateway[0]], check=False)
        assert "No route to host" in own.stderr
        host.set_sysctl("net.ipv4.ip_forward", "0")
    assert heard.readable() == []
    by_hand.a.down()
    assert by_hand.a.standing() == before


def test_the_routes_follow_the_other_end_when_it_changes(by_hand: Picture) -> None:
    joined(by_hand)
    for gateway, ends in ((by_hand.a, ("10.7.0.1", "10.7.0.2")), (by_hand.b, ("10.7.0.2", "10.7.0.1"))):
        gateway.culvert("ifconfig", "gif0", "inet", *ends)
    assert "192.168.2.0/24 via 10.7.0.2 dev gif0" in by_hand.a.host.ip("route")
    assert by_hand.ping() == 3
    assert by_hand.ping(source=by_hand.chapter.gateway_a, to="10.7.0.2") == 3
