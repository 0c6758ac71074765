"""Children of every kind between two real gateways: transport mode, AH, padding, one pair of networks each."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from culvert.lab.chapter import LAN, SITE_A, SITE_B, TO_A, UPLINK, Site
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.host import Host
from tests.netns.chapter_gateways import MARKER, Picture, built, nothing_in_clear, send_file

ESP, AH, UDP = 50, 51, 17
SECOND_NETWORK = {"A": "192.168.11.0/24", "B": "192.168.12.0/24"}
SECOND_GATEWAY = {"A": "192.168.11.1", "B": "192.168.12.1"}
SECOND_HOST = {"A": "192.168.11.20", "B": "192.168.12.34"}

pytestmark = pytest.mark.root


def written(picture: Picture, peer: str, *, more_a: str = "", more_b: str = "") -> None:
    """Write both files: `peer` stands in both, the rest for one of them."""
    for gateway, more in ((picture.a, more_a), (picture.b, more_b)):
        gateway.write()
        text = gateway.file.read_text()
        if "transport" in peer:
            text = text.replace(f'networks = ["{gateway.other.network[0]}"]\n', "")
        gateway.file.write_text(f"{text}{peer}\n{more}\n")


def protocols(ear: Eavesdropper) -> set[int]:
    """Give the protocols of all packets between the gateways, IKE left out."""
    packets = [frame[14:] for frame in ear.frames() if frame[12:14] == b"\x08\x00"]
    return {packet[9] for packet in packets if not _is_ike(packet)}


def _is_ike(packet: bytes) -> bool:
    port = packet[22:24]
    return packet[9] == UDP and (port == b"\x01\xf4" or packet[28:32] == bytes(4))


def ends() -> tuple[str, str]:
    return SITE_A.outside[0], SITE_B.outside[0]


@contextlib.contextmanager
def listening(host: Host, address: str, port: int) -> Iterator[socket.socket]:
    with host.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.settimeout(10)
        listener.bind((address, port))
        listener.listen()
        yield listener


def transfer(picture: Picture, port: int, octets: int = 300_000, address: str = SITE_B.outside[0]) -> None:
    """Send over TCP from gateway A to gateway B."""
    data = bytes.fromhex(MARKER) * (octets // 6)
    with listening(picture.b.host, SITE_B.outside[0], port) as listener, ThreadPoolExecutor() as threads:
        arrived = threads.submit(_all_of, listener)
        with picture.a.host.socket(socket.AF_INET, socket.SOCK_STREAM) as sender:
            sender.settimeout(10)
            sender.connect((address, port))
            sender.sendall(data)
        assert arrived.result() == data


def _all_of(listener: socket.socket) -> bytes:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(10)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


# Transport mode


@pytest.mark.parametrize(("encapsulation", "expected"), [("esp", ESP), ("udp", UDP)])
def test_two_gateways_in_transport_mode(picture: Picture, encapsulation: str, expected: int) -> None:
    written(picture, f'mode = "transport"\nencapsulation = "{encapsulation}"')
    picture.up()
    with nothing_in_clear(picture) as ear:
        assert picture.ping(source=picture.a.host, to=SITE_B.outside[0]) == 3
        assert picture.ping(source=picture.b.host, to=SITE_A.outside[0]) == 3
        assert picture.ping(source=picture.a.host, to=SITE_B.outside[0], options=["-s", "3000"]) == 3
        transfer(picture, 8000)
        assert protocols(ear) == {expected}
    for gateway in (picture.a, picture.b):
        assert [child["mode"] for child in gateway.peer()["children"]] == ["transport"]
        assert not gateway.peer()["reason"]
        assert "other: proven." in gateway.culvert("prove").stdout


def test_what_is_between_the_gateways_never_leaves_in_clear(picture: Picture) -> None:
    """The fence stands between the hosts themselves, and IKE passes it, so that the tunnel can come to be."""
    written(picture, 'mode = "transport"')
    picture.a.up()
    with nothing_in_clear(picture):
        assert picture.ping(source=picture.a.host, to=SITE_B.outside[0], wait_s=1) == 0
        picture.b.up()
        picture.a.connect()
        assert picture.ping(source=picture.a.host, to=SITE_B.outside[0]) == 3
        picture.b.kill(picture.b.engine_pid())
        picture.b.until(lambda: picture.ping(source=picture.a.host, to=SITE_B.outside[0]) == 3, "a new child")


def test_one_port_in_transport_mode_and_the_others_as_ever(picture: Picture) -> None:
    a, b = ends()
    written(
        picture,
        'mode = "transport"',
        more_a=f'[peers.other.children.web]\nremote = "{b}/32[tcp/443]"',
        more_b=f'[peers.other.children.web]\nlocal = "{b}/32[tcp/443]"\nremote = "{a}/32"',
    )
    picture.up()
    with nothing_in_clear(picture) as ear:
        transfer(picture, 443)
        assert protocols(ear) <= {ESP, UDP}
    with Eavesdropper(picture.chapter.internet, TO_A) as ear:
        transfer(picture, 80)
        assert ear.matching(lambda frame: bytes.fromhex(MARKER) in frame)
        assert picture.ping(source=picture.a.host, to=b) == 3


def test_transport_mode_through_a_nat(tmp_path: Path) -> None:
    """RFC 7296 section 2.23.1: gateway B sees gateway A at the router's address, and TCP's checksums are right."""
    with built(tmp_path, nat=True) as picture:
        public, b = SITE_B.router[0], SITE_B.outside[0]
        names = ('identity = "b.example.org"\nlocal_identity = "a.example.org"', 'identity = "a.example.org"')
        written(picture, 'mode = "transport"', more_a=names[0], more_b=f'{names[1]}\nlocal_identity = "b.example.org"')
        text = picture.b.file.read_text().replace(f'address = "{SITE_A.outside[0]}"', f'address = "{public}"')
        picture.b.file.write_text(f'{text}start = "passive"\n')
        for gateway in (picture.a, picture.b):
            secrets = gateway.folder / "psk.txt"
            secrets.write_text('other "a secret for both of them, of some length"\n')
        picture.a.up()
        picture.b.up()
        picture.a.connect()
        with nothing_in_clear(picture) as ear:
            assert picture.ping(source=picture.a.host, to=b) == 3
            assert picture.ping(source=picture.b.host, to=public) == 3
            transfer(picture, 8000)
            assert protocols(ear) == {UDP}
        assert picture.b.peer()["nat"] == "remote"
        assert picture.b.peer()["children"][0]["remote"] == [f"{public}/32"]
        assert picture.a.peer()["children"][0]["remote"] == [f"{b}/32"]


# AH


@pytest.mark.parametrize("proposal", ["sha256", "sha512-esn", "aesxcbc"])
def test_two_networks_through_ah(picture: Picture, proposal: str) -> None:
    written(picture, f'ah_proposals = "{proposal}"')
    picture.up()
    with Eavesdropper(picture.chapter.internet, TO_A) as ear:
        assert picture.ping() == 3
        assert picture.ping(options=["-s", "2000"]) == 3
        data = bytes.fromhex(MARKER) * 50_000
        assert send_file(picture, data) == data
        assert protocols(ear) == {AH}
    picture.a.culvert("rekey", "other/other")
    assert picture.ping(10) == 10
    (child,) = picture.a.peer()["children"]
    assert (child["encapsulation"], child["cipher"]) == ("ah", proposal.split("-", maxsplit=1)[0])
    assert "AH encrypts nothing" in picture.a.culvert("prove", code=1).stdout


def test_ah_in_transport_mode(picture: Picture) -> None:
    written(picture, 'mode = "transport"\nah_proposals = "sha256"')
    picture.up()
    with Eavesdropper(picture.chapter.internet, TO_A) as ear:
        assert picture.ping(source=picture.a.host, to=SITE_B.outside[0]) == 3
        transfer(picture, 8000)
        assert protocols(ear) == {AH}


# Sequence numbers and padding


def test_extended_sequence_numbers_across_a_rekey(picture: Picture) -> None:
    written(picture, 'esp_proposals = "aes128gcm16-esn"')
    picture.up()
    with nothing_in_clear(picture):
        assert picture.ping() == 3
        assert all(one.esn for one in picture.a.associations())
        picture.a.culvert("rekey", "other/other")
        assert picture.ping(10) == 10
        picture.b.culvert("rekey", "other/other")
        assert picture.ping(10) == 10
        assert all(one.esn for one in picture.b.associations())


def test_padded_packets_are_all_of_one_length(picture: Picture) -> None:
    written(picture, "tfc = 1200")
    picture.up()
    with nothing_in_clear(picture) as ear:
        for octets in ("16", "300", "1000"):
            assert picture.ping(1, options=["-s", octets]) == 1
        lengths = {len(frame) for frame in ear.frames() if frame[12:14] == b"\x08\x00" and not _is_ike(frame[14:])}
        assert len(lengths) == 1
        assert min(lengths) > 1200


# Several pairs and several children


def _second_network(site: Site, host: Host, gateway: Host) -> None:
    letter = site.letter
    host.ip("addr", "add", f"{SECOND_HOST[letter]}/24", "dev", UPLINK)
    gateway.ip("addr", "add", f"{SECOND_GATEWAY[letter]}/24", "dev", LAN)


def _two_networks_each(picture: Picture, peer: str) -> None:
    for gateway, host in ((picture.a, picture.chapter.host_a), (picture.b, picture.chapter.host_b)):
        _second_network(gateway.site, host, gateway.host)
        gateway.write()
        text = gateway.file.read_text()
        for site in (gateway.site, gateway.other):
            network = site.network[0]
            text = text.replace(
                f'networks = ["{network}"]', f'networks = ["{network}", "{SECOND_NETWORK[site.letter]}"]'
            )
        gateway.file.write_text(f"{text}{peer}\n")


@pytest.mark.parametrize(("peer", "children"), [("", 1), ("split = true", 4)])
def test_every_pair_of_networks_has_its_association(picture: Picture, peer: str, children: int) -> None:
    _two_networks_each(picture, peer)
    picture.up()
    assert len(picture.a.peer()["children"]) >= children
    for gateway in (picture.a, picture.b):
        # Where both ends began at once, what is superfluous goes.
        gateway.until(lambda end=gateway: len(end.associations()) == 2 * children, "each pair's only association")
    pairs = [(one, other) for one in (SITE_A.host[0], SECOND_HOST["A"]) for other in (SITE_B.host[0], SECOND_HOST["B"])]
    with nothing_in_clear(picture):
        for number, (source, destination) in enumerate(pairs, 1):
            assert picture.ping(number, to=destination, options=["-I", source]) == number
        # Each association has the packets of its own pair, and no others.
        sent = sorted(child["packets_out"] for child in picture.a.peer()["children"])
        assert sent == ([1, 2, 3, 4] if children == len(pairs) else [10])
        picture.a.culvert("rekey", "other/other")
        picture.b.culvert("rekey", "other/other")
        for source, destination in pairs:
            assert picture.ping(to=destination, options=["-I", source]) == 3


def test_several_children_of_their_own_kinds(picture: Picture) -> None:
    """A tunnel with one cipher, another one with another, and a port between the gateways in transport mode."""
    a, b = ends()
    for gateway, host in ((picture.a, picture.chapter.host_a), (picture.b, picture.chapter.host_b)):
        _second_network(gateway.site, host, gateway.host)
    here = '[peers.other.children.second]\nesp_proposals = "aes256gcm16"\nstart = "traffic"\nrekey = "1h"\n'
    third = '[peers.other.children.web]\nmode = "transport"\n'
    more_a = (
        f'{here}local = "{SECOND_NETWORK["A"]}"\nremote = "{SECOND_NETWORK["B"]}"\n{third}remote = "{b}/32[tcp/443]"\n'
    )
    more_b = (
        f'{here}local = "{SECOND_NETWORK["B"]}"\nremote = "{SECOND_NETWORK["A"]}"\n'
        f'{third}local = "{b}/32[tcp/443]"\nremote = "{a}/32"\n'
    )
    written(picture, 'esp_proposals = "aes128gcm16"', more_a=more_a, more_b=more_b)
    for gateway in (picture.a, picture.b):
        gateway.up()
    picture.a.until(lambda: picture.a.peer()["state"] == "up", "the tunnel")
    assert sorted(child["name"] for child in picture.a.peer()["children"]) == ["other", "web"]
    with nothing_in_clear(picture):
        assert picture.ping() == 3
        assert picture.ping(to=SECOND_HOST["B"], options=["-I", SECOND_HOST["A"]]) == 3
        transfer(picture, 443)
    found = {child["name"]: (child["cipher"], child["mode"]) for child in picture.a.peer()["children"]}
    assert found == {
        "other": ("aes128gcm16", "tunnel"),
        "second": ("aes256gcm16", "tunnel"),
        "web": ("aes128gcm16", "transport"),
    }
