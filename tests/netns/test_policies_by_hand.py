"""Whatever policy is in the SPD, by whomever written, is steered and fenced: exactly what it covers, in its order."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from culvert.ipsec.associations import AssociationId
from culvert.lab.chapter import LAN, OUTSIDE, SITE_A, SITE_B, TO_A, TO_B, UPLINK
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.host import Host
from culvert.xfrm.client import XfrmClient
from tests.netns.chapter_gateways import MARKER, Gateway, Picture, built, in_clear, nothing_in_clear
from tests.netns.forge import Injector, udp_packet

pytestmark = pytest.mark.root

A, B = SITE_A.outside[0], SITE_B.outside[0]
NET_A, NET_B = SITE_A.network[0], SITE_B.network[0]
ECHO_REQUEST = 8
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
        here, there = gateway.site.network[0], gateway.other.network[0]
        inside = f"spdadd {here} {there} icmp 8,0 -P out prio 1 none; spdadd {there} {here} icmp 8,0 -P in prio 1 none;"
        setkey(gateway, TUNNEL_KEYS + protected(gateway) + inside)
    with Eavesdropper(picture.chapter.internet, TO_A) as ear:
        assert reaches(picture.chapter.host_a, SITE_B.host[0])
        assert {frame[34] for frame in ear.matching(in_clear)} == {ECHO_REQUEST}
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


def test_neighbours_are_found_where_all_of_icmpv6_is_discarded(tmp_path: Path) -> None:
    with built(tmp_path, ipv6=True) as picture:
        picture.a.folder.mkdir(exist_ok=True)
        picture.a.file.write_text(f'[gateway]\naddress = "{A}"\n')
        picture.a.up()
        here, there = SITE_A.gateway[1], SITE_A.host[1]
        ways = ((here, there, "out"), (there, here, "in"))
        setkey(picture.a, "".join(f"spdadd {one} {other} icmp6 -P {way} discard;" for one, other, way in ways))
        for host in (picture.a.host, picture.chapter.host_a):
            host.ip("-6", "neigh", "flush", "all")
        assert not reaches(picture.chapter.host_a, here)
        with Eavesdropper(picture.a.host, LAN) as ear:
            with picture.chapter.host_a.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"found you", (here, 7007))
            picture.a.until(lambda: bool(ear.matching(lambda frame: b"found you" in frame)), "the datagram", 5)


@pytest.mark.parametrize("what", ["any", "icmp6", "icmp6 128,0"])
def test_ipv6_hosts_and_networks(tmp_path: Path, what: str) -> None:
    """Transport mode between the gateways, tunnel mode between their networks, of IPv6 in IPv6."""
    six = SITE_A.outside[1], SITE_B.outside[1]
    with built(tmp_path, ipv6=True) as picture:
        for gateway in (picture.a, picture.b):
            gateway.folder.mkdir(exist_ok=True)
            gateway.file.write_text(f'[gateway]\naddress = "{gateway.site.outside[0]}"\n')
            gateway.host.forward()
            gateway.up()
            keys = TUNNEL_KEYS.replace(A, six[0]).replace(B, six[1]).replace("-m tunnel", "-m any")
            hosts = protected(gateway, what, gateway.other.outside[1], gateway.site.outside[1]).replace("tunnel", "x")
            transport = re.sub(r"esp/x/\S+/", "esp/transport//", hosts)
            networks = protected(gateway, what, gateway.other.network[1], gateway.site.network[1])
            ends = networks.replace(A, six[0]).replace(B, six[1])
            echoes = transport.replace("128,0", "129,0") + ends.replace("128,0", "129,0")
            setkey(gateway, keys + transport + ends + (echoes if "128" in what else ""))
            gateway.host.ip("-6", "neigh", "flush", "all")
        with Eavesdropper(picture.chapter.internet, TO_A) as ear:
            assert reaches(picture.a.host, SITE_B.outside[1])
            assert reaches(picture.chapter.host_a, SITE_B.host[1])
            assert ear.matching(lambda frame: bytes.fromhex(MARKER) in frame) == []


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


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Picture]:
    """Two gateways that IKE has joined; the router knows the inner networks."""
    with built(tmp_path) as picture:
        picture.up()
        picture.chapter.internet.ip("route", "add", NET_A, "via", A)
        picture.chapter.internet.ip("route", "add", NET_B, "via", B)
        yield picture


def test_a_policy_before_those_of_the_configuration_takes_its_part_of_them(joined: Picture) -> None:
    """What it lets through leaves the tunnel, the rest of the pair stays, and all of it once the policy is gone."""
    first = "prio high + 1073741800"
    for gateway in (joined.a, joined.b):
        here, there = gateway.site.network[0], gateway.other.network[0]
        ways = f"spdadd {here} {there} udp -P out {first} none; spdadd {there} {here} udp -P in {first} none;"
        setkey(gateway, ways)
        assert gateway.status()["policies"] == {"configuration": 2, "others": 2}
    with nothing_in_clear(joined):
        assert reaches(joined.chapter.host_a, SITE_B.host[0])
    with Eavesdropper(joined.chapter.host_b, UPLINK) as at_b, Eavesdropper(joined.chapter.internet, TO_A) as ear:
        say(joined.chapter.host_a, SITE_B.host[0])
        joined.a.until(lambda: bool(at_b.matching(in_clear)), "the datagram in clear")
        assert ear.matching(in_clear)
    for gateway in (joined.a, joined.b):
        setkey(gateway, "spdflush;")
        assert gateway.status()["policies"] == {"configuration": 2, "others": 0}
    with nothing_in_clear(joined):
        say(joined.chapter.host_a, SITE_B.host[0])
        assert reaches(joined.chapter.host_a, SITE_B.host[0])


def test_flushed_policies_of_the_configuration_are_put_back(joined: Picture) -> None:
    with nothing_in_clear(joined):
        setkey(joined.a, "spdflush;")
        assert joined.a.status()["policies"] == {"configuration": 2, "others": 0}
        assert reaches(joined.chapter.host_a, SITE_B.host[0])


@pytest.mark.parametrize("whole", [True, False], ids=["flush", "delete"])
def test_associations_of_ike_that_somebody_takes_away_are_negotiated_anew(joined: Picture, whole: bool) -> None:
    before = {one.id for one in joined.a.associations()}
    with nothing_in_clear(joined):
        asyncio.run(take_away(joined.a, before, whole))
        joined.a.until(lambda: bool(spis(joined)) and not spis(joined) & before, "other associations")
        assert reaches(joined.chapter.host_a, SITE_B.host[0])


async def take_away(gateway: Gateway, associations: set[AssociationId], whole: bool) -> None:
    client = await XfrmClient.connect(gateway.run_dir / "engine.sock")
    if whole:
        await client.flush_associations()
    else:
        for one in associations:
            await client.delete_association(one)
    client.close()


def spis(picture: Picture) -> set[AssociationId]:
    """Those that the engine holds for what the daemon believes to be up."""
    children = picture.a.peer()["children"]
    named = {int(child[name], 16) for child in children for name in ("spi_in", "spi_out")}
    return {one.id for one in picture.a.associations() if one.id.spi in named}


def test_a_daemon_that_takes_over_leaves_what_was_keyed_by_hand(picture: Picture) -> None:
    both(picture, TUNNEL_KEYS)
    assert reaches(picture.chapter.host_a, SITE_B.host[0])
    before = picture.a.culvert("setkey", "-D").stdout
    assert before.count("spi=") == 2
    picture.a.culvert("down", "--daemon")
    picture.a.up()
    assert picture.a.culvert("setkey", "-D").stdout.count("spi=") == 2
    assert reaches(picture.chapter.host_a, SITE_B.host[0])
