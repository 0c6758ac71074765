"""Transport mode, AH, padding and splitting as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from culvert.config.model import Child
from culvert.ipsec.associations import Mode, Protocol
from culvert.ipsec.proposals import ah_proposal, esp_proposal

HERE, THERE = "203.0.113.1", "198.51.100.1"


def written(peer: str, gateway: str = f'address = "{HERE}"\nnetworks = ["192.168.1.0/24"]') -> str:
    return f'[gateway]\n{gateway}\n[peers.a]\naddress = "{THERE}"\n{peer}\n'


def children(folder: Any, peer: str) -> tuple[Child, ...]:
    (found,) = folder.load(written(peer)).gateway.peers
    return found.children


def what(problems: list[str]) -> list[str]:
    return [problem.splitlines()[0] for problem in problems]


def test_transport_mode_alone_is_between_the_two_gateways(folder: Any) -> None:
    (child,) = children(folder, 'mode = "transport"')
    assert (child.name, child.mode) == ("a", Mode.TRANSPORT)
    assert [str(one) for one in (*child.local, *child.remote)] == [f"{HERE}/32", f"{THERE}/32"]


def test_a_child_in_transport_mode_beside_a_tunnel(folder: Any) -> None:
    text = (
        'networks = ["192.168.2.0/24"]\n'
        f'[peers.a.children.web]\nmode = "transport"\nremote = "{THERE}/32[tcp/443]"\n'
        '[peers.a.children.dns]\nmode = "transport"\nesp_proposals = "aes256gcm16"\nrekey = "20m"\nstart = "traffic"\n'
    )
    tunnel, web, dns = children(folder, text)
    assert (tunnel.mode, web.mode, dns.mode) == (Mode.TUNNEL, Mode.TRANSPORT, Mode.TRANSPORT)
    assert [str(one) for one in (*web.local, *web.remote)] == [f"{HERE}/32", f"{THERE}/32[6/443]"]
    assert (str(dns.remote[0]), dns.rekey.after_s, dns.start) == (f"{THERE}/32", 1200, "traffic")
    assert dns.proposals == (esp_proposal("aes256gcm16"),)


def test_a_child_may_go_back_to_a_tunnel(folder: Any) -> None:
    text = 'mode = "transport"\n[peers.a.children.net]\nmode = "tunnel"\nremote = "192.168.2.0/24"\n'
    (net,) = children(folder, text)
    assert (net.mode, str(net.local[0])) == (Mode.TUNNEL, "192.168.1.0/24")


@pytest.mark.parametrize(
    ("peer", "problem"),
    [
        (
            'mode = "transport"\nnetworks = ["192.168.2.0/24"]',
            'gateway.toml:7: child "a" is in transport mode, and 192.168.2.0/24 is more than one host',
        ),
        (
            'mode = "transport"\nnetworks = ["198.51.100.2/32"]',
            'gateway.toml:7: child "a" is in transport mode, and 198.51.100.2 is not the peer\'s address',
        ),
        (
            f'[peers.a.children.x]\nmode = "transport"\nlocal = "192.168.1.1/32"\nremote = "{THERE}/32"',
            'gateway.toml:8: child "x" is in transport mode, and 192.168.1.1 is not our address',
        ),
        (
            'mode = "transport"\ntfc = 1400',
            'gateway.toml:7: tfc pads what ESP carries in tunnel mode, and child "a" is something else',
        ),
        (
            'networks = ["192.168.2.0/24"]\nah_proposals = "sha256"\nesp_proposals = "aes128gcm16"',
            "gateway.toml:7: a child has AH or ESP, and both are written here",
        ),
        (
            'networks = ["192.168.2.0/24"]\nah_proposals = "aes128gcm16"',
            "gateway.toml:7: 'aes128gcm16': AH encrypts nothing, so aes128gcm16 belongs in esp_proposals",
        ),
        ('networks = ["192.168.2.0/24"]\nah_proposals = "md5"', "gateway.toml:7: md5 is too weak today (RFC 8221)"),
        (
            'networks = ["192.168.2.0/24"]\nah_proposals = "sha256"\nencapsulation = "udp"',
            'gateway.toml:8: AH does not go in UDP, and child "a" has it',
        ),
        ('networks = ["192.168.2.0/24"]\ntfc = 63', "gateway.toml:7: tfc is a whole number that it cannot be"),
        ('networks = ["192.168.2.0/24"]\ntfc = "on"', "gateway.toml:7: tfc is a string in quotes that it cannot be"),
    ],
)
def test_what_does_not_fit_together(folder: Any, peer: str, problem: str) -> None:
    assert what(folder.problems(written(peer))) == [problem]


def test_transport_mode_needs_our_address(folder: Any) -> None:
    text = written('mode = "transport"', 'networks = ["192.168.1.0/24"]')
    assert what(folder.problems(text)) == [
        'gateway.toml:1: child "a" is in transport mode, and our address is not known'
    ]


def test_transport_mode_needs_one_address_of_the_peer(folder: Any) -> None:
    folder.write("psk.txt", "a correct horse battery staple\n", 0o600)
    for address, problem in (
        ('"gw.example.org"', "and the peer's address is not known"),
        (f'["{THERE}", "198.51.100.2"]', f"and has several addresses on one side: {THERE}, 198.51.100.2"),
    ):
        text = written('mode = "transport"').replace(f'"{THERE}"', address)
        assert what(folder.problems(text)) == [f'gateway.toml:5: child "a" is in transport mode, {problem}']


def test_ah_on_the_peer_and_esp_on_a_child(folder: Any) -> None:
    text = (
        'networks = ["192.168.2.0/24"]\nah_proposals = ["sha256-esn", "sha384"]\ntfc = "off"\n'
        '[peers.a.children.x]\nremote = "192.168.3.0/24"\nesp_proposals = "aes128gcm16"\ntfc = 1400\n'
    )
    first, second = children(folder, text)
    assert (first.protocol, first.proposals) == (Protocol.AH, (ah_proposal("sha256-esn"), ah_proposal("sha384")))
    assert (second.protocol, second.proposals) == (Protocol.ESP, (esp_proposal("aes128gcm16"),))
    assert (first.tfc_octets, second.tfc_octets) == (0, 1400)


def test_split(folder: Any) -> None:
    (peer,) = folder.load(written('networks = ["192.168.2.0/24"]\nsplit = true')).gateway.peers
    assert peer.split
