"""Whatever policy is in the SPD, by whomever written, is steered and fenced: exactly what it covers, in its order."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from culvert.lab.chapter import LAN, OUTSIDE, SITE_A, SITE_B, TO_A, TO_B, UPLINK
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.host import Host
from tests.netns.chapter_gateways import MARKER, Gateway, Picture, built, in_clear, nothing_in_clear
from tests.netns.forge import Injector, udp_packet

pytestmark = pytest.mark.root

A, B = SITE_A.outside[0], SITE_B.outside[0]
NET_A, NET_B = SITE_A.network[0], SITE_B.network[0]
TUNNEL_KEYS = f"""
add {A} {B} esp 0x1001 -m tunnel -E aes-cbc "sixteen octets k" -A hmac-sha2-256 "thirty-two octets of one and all";
add {B} {A} esp 0x1002 -m tunnel -E aes-cbc "sixteen octets l" -A hmac-sha2-256 "thirty-two octets of two and all";
"""
TRANSPORT_KEYS = TUNNEL_KEYS.replace("-m tunnel", "-m transport")


@pytest.fixture
def picture(tmp_path: Path) -> Iterator[Picture]:
    """Two gateways without a peer, which forward; the router knows the inner networks."""
    with built(tmp_path) as picture:
        for gateway in (picture.a, picture.b):
            gateway.folder.mkdir(exist_ok=True)
            gateway.file.write_text(f'[gateway]\naddress = "{gateway.site.outside[0]}"\n')
            gateway.host.forward()
            gateway.up()
        picture.chapter.internet.ip("route", "add", NET_A, "via", A)
        picture.chapter.internet.ip("route", "add", NET_B, "via", B)
        yield picture


def setkey(gateway: Gateway, text: str) -> None:
    file = gateway.folder / "ipsec.conf"
    file.write_text(text)
    gateway.culvert("setkey", "-f", str(file))


def protected(gateway: Gateway, what: str = "any", there: str = "", here: str = "") -> str:
    """Both policies of a tunnel between the two gateways, as one of them has them."""
    ours, theirs = gateway.site.outside[0], gateway.other.outside[0]
    here, there = here or gateway.site.network[0], there or gateway.other.network[0]
    return (
        f"spdadd {here} {there} {what} -P out ipsec esp/tunnel/{ours}-{theirs}/require;\n"
        f"spdadd {there} {here} {what} -P in ipsec esp/tunnel/{theirs}-{ours}/require;\n"
    )


def both(picture: Picture, keys: str, policies: str = "") -> None:
    for gateway in (picture.a, picture.b):
        setkey(gateway, keys + (policies or protected(gateway)))


def reaches(host: Host, to: str, *options: str) -> bool:
    """Ping: one of three is enough, and none is a no."""
    ping = ["ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", "-p", MARKER, *options, to]
    return host.run(ping, check=False, timeout_s=30).returncode == 0


def drops(gateway: Gateway) -> dict[str, int]:
    found: dict[str, int] = gateway.status()["gateway"]["drops"]
    return found


def test_a_tunnel_by_hand_carries_all_and_nothing_is_in_clear(picture: Picture) -> None:
    assert reaches(picture.chapter.host_a, SITE_B.host[0])
    both(picture, TUNNEL_KEYS)
    assert picture.a.status()["policies"] == {"configuration": 0, "others": 2}
    with nothing_in_clear(picture) as ear:
        assert reaches(picture.chapter.host_a, SITE_B.host[0])
        assert reaches(picture.chapter.host_b, SITE_A.host[0])
        assert ear.frames()
    both(picture, "flush;\n", "spdflush;\n")
    assert reaches(picture.chapter.host_a, SITE_B.host[0])


def test_one_protocol_is_protected_and_the_others_are_not(picture: Picture) -> None:
    for gateway in (picture.a, picture.b):
        setkey(gateway, TUNNEL_KEYS + protected(gateway, "icmp"))
    with nothing_in_clear(picture):
        assert reaches(picture.chapter.host_a, SITE_B.host[0])
    with Eavesdropper(picture.chapter.internet, TO_A) as ear:
        say(picture.chapter.host_a, SITE_B.host[0])
        assert ear.matching(in_clear)


def say(host: Host, to: str) -> None:
    with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(bytes.fromhex(MARKER), (to, 7007))


def test_what_is_let_through_inside_a_protected_range_is_not_steered(picture: Picture) -> None:
    for gateway in (picture.a, picture.b):
        echo = "".join(
            f"spdadd {one} {other} icmp 8,0 -P {way} prio 1 none; spdadd {one} {other} icmp 0,0 -P {way} prio 1 none;\n"
            for one, other, way in ((NET_A, NET_B, "out"), (NET_B, NET_A, "in"))
        )
        mirrored = echo if gateway is picture.a else echo.replace("-P out", "-P x").replace("-P in", "-P out")
        setkey(gateway, TUNNEL_KEYS + protected(gateway) + mirrored.replace("-P x", "-P in"))
    with Eavesdropper(picture.chapter.internet, TO_A) as ear:
        assert reaches(picture.chapter.host_a, SITE_B.host[0])
        assert len(ear.matching(in_clear)) >= 2
    with nothing_in_clear(picture):
        say(picture.chapter.host_a, SITE_B.host[0])


def test_what_is_discarded_goes_nowhere_and_is_counted(picture: Picture) -> None:
    setkey(picture.a, f"spdadd {A} {B} icmp -P out discard;")
    assert not reaches(picture.a.host, B)
    assert drops(picture.a)["POLICY_DISCARD"] >= 3
    setkey(picture.a, f"spdflush; spdadd {NET_B} {NET_A} icmp -P in discard;")
    with Eavesdropper(picture.chapter.host_a, UPLINK) as ear:
        assert not reaches(picture.chapter.host_b, SITE_A.host[0])
        assert ear.matching(in_clear) == []
    assert drops(picture.a)["POLICY_DISCARD"] >= 6
    setkey(picture.a, "spdflush;")
    assert reaches(picture.chapter.host_b, SITE_A.host[0])


def test_an_order_of_narrow_and_wide_is_kept(picture: Picture) -> None:
    """Protected inside of discarded, inside of let through: the highest priority is asked first."""
    for gateway in (picture.a, picture.b):
        ours, theirs = gateway.site.network[0], gateway.other.network[0]
        wide = "".join(
            f"spdadd {one} {other} any -P {way} prio {number} {act};\n"
            for number, one_end, act in ((20, "{}", "discard"), (10, "0.0.0.0/0", "none"))
            for one, other, way in ((ours, one_end.format(theirs), "out"), (one_end.format(theirs), ours, "in"))
        )
        narrow = protected(gateway, "icmp").replace("-P out", "-P out prio 30").replace("-P in", "-P in prio 30")
        setkey(gateway, TUNNEL_KEYS + wide + narrow)
    with nothing_in_clear(picture):
        assert reaches(picture.chapter.host_a, SITE_B.host[0])
        say(picture.chapter.host_a, SITE_B.host[0])
    assert drops(picture.a)["POLICY_DISCARD"] == 1
    assert reaches(picture.chapter.host_a, B, "-W", "2")


def test_what_arrives_in_clear_and_should_not_is_dropped_and_the_other_way_is_free(picture: Picture) -> None:
    """A policy of one direction says nothing about the other."""
    setkey(picture.b, f"spdadd {NET_A} {NET_B} udp -P in ipsec esp/tunnel/{A}-{B}/require;")
    injector = Injector(picture.chapter.internet, TO_B, picture.b.host, OUTSIDE)
    with Eavesdropper(picture.chapter.host_b, UPLINK) as ear:
        injector.send(udp_packet((SITE_A.host[0], SITE_B.host[0]), (9, 9), bytes.fromhex(MARKER)))
        picture.b.until(lambda: drops(picture.b).get("FENCED_IN") == 1, "the count of the packet")
        assert ear.matching(in_clear) == []
    injector.close()
    with Eavesdropper(picture.chapter.internet, TO_B) as ear:
        say(picture.chapter.host_b, SITE_A.host[0])
        assert ear.matching(in_clear)


@pytest.mark.parametrize("rp_filter", ["0", "1", "2"])
@pytest.mark.parametrize("what", ["any", "icmp"])
def test_two_hosts_in_transport_mode(picture: Picture, rp_filter: str, what: str) -> None:
    """The gateways as hosts: their own traffic, without a source given, and IKE and ESP beside it."""
    for gateway in (picture.a, picture.b):
        for interface in ("all", "default", OUTSIDE, LAN):
            gateway.host.set_sysctl(f"net.ipv4.conf.{interface}.rp_filter", rp_filter)
        ours, theirs = gateway.site.outside[0], gateway.other.outside[0]
        policies = (
            f"spdadd {ours} {theirs} {what} -P out ipsec esp/transport//require;\n"
            f"spdadd {theirs} {ours} {what} -P in ipsec esp/transport//require;\n"
        )
        setkey(gateway, TRANSPORT_KEYS + policies)
    with Eavesdropper(picture.chapter.internet, TO_A) as ear:
        assert reaches(picture.a.host, B)
        assert reaches(picture.b.host, A)
        assert ear.matching(lambda frame: bytes.fromhex(MARKER) in frame) == []
        assert len(ear.matching(lambda frame: frame[12:14] == b"\x08\x00" and frame[23] == 50)) >= 4


def test_a_killed_daemon_leaves_it_all_and_the_next_one_takes_it_up(picture: Picture) -> None:
    both(picture, TUNNEL_KEYS)
    with nothing_in_clear(picture):
        picture.a.kill(picture.a.daemon_pid())
        assert reaches(picture.chapter.host_a, SITE_B.host[0])
        picture.a.up()
        assert reaches(picture.chapter.host_a, SITE_B.host[0])
    assert picture.a.status()["policies"] == {"configuration": 0, "others": 2}


def test_a_killed_engine_comes_back_with_the_policies_and_nothing_passes_in_clear(picture: Picture) -> None:
    both(picture, TUNNEL_KEYS)
    with nothing_in_clear(picture):
        before = picture.a.engine_pid()
        picture.a.kill(before)
        picture.a.until(lambda: "stand again" in picture.a.log(), "the new engine")
        assert not reaches(picture.chapter.host_a, SITE_B.host[0])
        (warning,) = picture.a.status()["gateway"]["warnings"]
        assert "setkey" in warning["what_to_do"]
        assert picture.a.status()["policies"] == {"configuration": 0, "others": 2}
        setkey(picture.a, "flush; spdflush;" + TUNNEL_KEYS + protected(picture.a))
        assert reaches(picture.chapter.host_a, SITE_B.host[0])
    assert picture.a.status()["gateway"]["warnings"] == []


def test_down_leaves_nothing(picture: Picture) -> None:
    picture.b.down()
    before = picture.b.standing()
    picture.b.up()
    setkey(picture.b, TUNNEL_KEYS + protected(picture.b) + f"spdadd {B} {A} icmp -P out discard;")
    picture.b.down()
    assert picture.b.standing() == before
