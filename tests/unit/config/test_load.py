"""Loading whole configurations: the model that comes out, and the sentences where none does."""

from __future__ import annotations

import os
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from culvert.config.load import MAX_FILE_OCTETS, MAX_INCLUDE_DEPTH, load
from culvert.config.model import Backend, EncapsulationChoice, Rekey, Start
from culvert.errors import ConfigurationError
from culvert.identities import Identity, IdentityType
from culvert.ipsec.proposals import DEFAULT_ESP, DEFAULT_IKE, esp_proposal
from culvert.ipsec.selectors import TrafficSelector, traffic_selector

LEAST = """\
[gateway]
address  = "203.0.113.1"
networks = ["192.168.1.0/24"]

[peers.warehouse]
address  = "198.51.100.1"
networks = ["192.168.2.0/24"]
"""


def test_the_least_configuration_has_every_default(folder: Any) -> None:
    loaded = folder.load(LEAST)
    gateway = loaded.gateway
    assert loaded.warnings == ()
    assert gateway.name == "gateway"
    assert gateway.addresses == (ip_address("203.0.113.1"),)
    assert gateway.networks == (ip_network("192.168.1.0/24"),)
    assert (gateway.identity, gateway.backend, gateway.firewall) == (None, Backend.AUTO, True)
    peer = gateway.peer("warehouse")
    assert peer is not None
    assert peer.addresses == ("198.51.100.1",)
    assert peer.identity == Identity.of_address(ip_address("198.51.100.1"))
    assert peer.secret == b"correct horse battery staple"
    assert (peer.ike, peer.dpd_s, peer.rekey) == (2, 30, Rekey(4 * 3600))
    assert (peer.proposals, peer.start, peer.encapsulation) == (DEFAULT_IKE, Start.ALWAYS, EncapsulationChoice.AUTO)
    (child,) = peer.children
    assert (child.peer, child.name, child.rekey, child.proposals) == (
        "warehouse",
        "warehouse",
        Rekey(3600),
        DEFAULT_ESP,
    )
    assert child.local == (TrafficSelector.of_network(ip_network("192.168.1.0/24")),)
    assert child.remote == (TrafficSelector.of_network(ip_network("192.168.2.0/24")),)
    assert peer.origin.line == 5


def test_every_key_reaches_the_model(folder: Any) -> None:
    folder.write("keys.txt", "shop.example.org twelve monkeys\n", 0o400)
    gateway = folder.load("""\
[gateway]
name = "office"
address = ["203.0.113.1", "2001:db8::1"]
networks = ["192.168.1.0/24", "2001:db8:1::/48"]
identity = "office.example.org"
backend = "engine"
firewall = false

[peers.shop]
address = ["shop.example.org", "198.51.100.7"]
identity = "@shop.example.org"
local_identity = "office@example.org"
secret = "file:keys.txt"
auth = "secret"
ike = 2
proposals = "aes256gcm16-prfsha256-x25519"
esp_proposals = ["aes128gcm16", "aes256gcm16-x25519"]
mode = "tunnel"
link = "policy"
start = "traffic"
encapsulation = "udp"
replay_window = 1024
rekey = "2h"
dpd = "off"
mtu = 1400
mss = 1300
metric = 50

[peers.shop.children.all]
remote = "10.0.0.0/8"

[peers.shop.children.one]
local = "192.168.1.7/32"
remote = "172.16.0.1-172.16.0.9"
esp_proposals = "aes128-sha256"
mode = "tunnel"
rekey = "off"
start = "passive"
""").gateway
    assert (gateway.name, gateway.backend, gateway.firewall) == ("office", Backend.ENGINE, False)
    assert gateway.identity == Identity(IdentityType.FQDN, b"office.example.org")
    peer = gateway.peers[0]
    assert peer.addresses == ("shop.example.org", "198.51.100.7")
    assert peer.identity == Identity(IdentityType.FQDN, b"shop.example.org")
    assert peer.local_identity == Identity(IdentityType.RFC822_ADDR, b"office@example.org")
    assert peer.secret == b"twelve monkeys"
    assert [str(proposal) for proposal in peer.proposals] == ["aes256gcm16-prfsha256-x25519"]
    assert (peer.start, peer.encapsulation) == (Start.TRAFFIC, EncapsulationChoice.UDP)
    assert (peer.replay_window_packets, peer.rekey, peer.dpd_s) == (1024, Rekey(7200), 0)
    assert (peer.mtu, peer.mss, peer.metric) == (1400, 1300, 50)
    whole, one = peer.children
    assert whole.local == (TrafficSelector.of_network(ip_network("192.168.1.0/24")),)  # IPv4 only, as remote is
    assert whole.proposals == (esp_proposal("aes128gcm16"), esp_proposal("aes256gcm16-x25519"))
    assert (whole.rekey, whole.start) == (Rekey(7200), Start.TRAFFIC)
    assert (one.name, one.rekey, one.start) == ("one", Rekey(0), Start.PASSIVE)
    assert one.proposals == (esp_proposal("aes128-sha256"),)
    assert one.local == (TrafficSelector.of_network(ip_network("192.168.1.7/32")),)
    assert one.remote == (traffic_selector("172.16.0.1-172.16.0.9"),)


def test_only_a_gateway_section_is_a_stack_without_peers(folder: Any) -> None:
    gateway = folder.load("[gateway]\n").gateway
    assert (gateway.addresses, gateway.networks, gateway.peers) == ((), (), ())


def test_a_name_for_the_own_address_is_the_identity(folder: Any) -> None:
    gateway = folder.load('[gateway]\naddress = "gw.example.org"\n').gateway
    assert gateway.addresses == ()
    assert gateway.address_names == ("gw.example.org",)
    assert gateway.identity == Identity(IdentityType.FQDN, b"gw.example.org")


def test_a_peer_that_calls_us_is_passive(folder: Any) -> None:
    folder.write("psk.txt", "shop.example.org a long enough secret\n", 0o600)
    text = LEAST.replace('address  = "198.51.100.1"', 'identity = "shop.example.org"')
    peer = folder.load(text).gateway.peers[0]
    assert (peer.addresses, peer.start, peer.children[0].start) == ((), Start.PASSIVE, Start.PASSIVE)


def test_a_peer_of_several_addresses_is_known_by_any_of_them(folder: Any) -> None:
    peer = folder.load(LEAST.replace('"198.51.100.1"', '["198.51.100.1", "198.51.100.2"]')).gateway.peers[0]
    assert peer.identity is None


def test_a_peer_knows_the_line_of_its_secret_and_is_no_other_for_that(folder: Any) -> None:
    folder.write("psk.txt", "# ours\nshop a long enough secret\n198.51.100.1 another long one, too\n", 0o600)
    (peer,) = folder.load(LEAST).gateway.peers
    assert peer.secret_from.endswith('psk.txt:3 ("198.51.100.1")')
    folder.write("psk.txt", "198.51.100.1 another long one, too\n", 0o600)
    (moved,) = folder.load(LEAST).gateway.peers
    assert moved.secret_from.endswith('psk.txt:1 ("198.51.100.1")')
    assert moved == peer


def test_each_address_of_a_peer_may_have_a_secret_of_its_own(folder: Any) -> None:
    folder.write("psk.txt", "198.51.100.1 the first of them\n198.51.100.2 the second of them\n", 0o600)
    text = LEAST.replace('"198.51.100.1"', '["198.51.100.1", "198.51.100.2", "198.51.100.3"]')
    (peer,) = folder.load(text).gateway.peers
    places = []
    for last, secret in ((1, b"the first of them"), (2, b"the second of them"), (3, b"the first of them")):
        found = peer.secret_at(ip_address(f"198.51.100.{last}"))
        assert found.octets == secret
        assert "them" not in repr(found)
        places.append(found.place.partition("psk.txt:")[2])
    assert places == ['1 ("198.51.100.1")', '2 ("198.51.100.2")', '1 ("198.51.100.1")']
    assert "them" not in repr(peer)


def test_secrets_never_show_in_representations(folder: Any) -> None:
    loaded = folder.load(LEAST)
    assert "horse" not in repr(loaded)


# What the issue asks to be said, all at once


def test_all_problems_are_said_at_once_with_their_lines(folder: Any) -> None:
    folder.write("psk.txt", "198.51.100.1 correct horse battery staple\n", 0o644)
    assert folder.problems("""\
[gateway]
fierwall = true
networks = [
    "192.168.1.0/24",
    "192.168.7.3/24",
]

[peers.warehouse]
address  = "198.51.100.1"
networks = ["192.168.1.0/24"]
dpd = "often"

[peers.shop]
networks = ["10.0.0.0/8"]
secret = "file:none.txt"
""") == [
        'gateway.toml:2: unknown key "fierwall" in [gateway]\n    Did you mean firewall?',
        'gateway.toml:5: "192.168.7.3/24" is an address within a network, not a network\n'
        '    Write "192.168.7.0/24" for the whole network.',
        'gateway.toml:10: 192.168.1.0/24 is on both sides: ours, and peer "warehouse"\'s\n'
        "    Networks with the same addresses cannot be joined: renumber one of the two, on all of its machines.",
        'gateway.toml:11: "often" is no duration\n    Write a number and its unit, such as "30s", "5m", "1h" or "1d".',
        'gateway.toml:13: peer "shop" has neither address nor identity\n'
        "    Write its address; where it has no fixed one and calls us, write its identity.",
        'gateway.toml:15: no secret for peer "shop": none.txt is not there\n'
        '    Write a line "shop THE-SECRET" into it, the same secret as at the peer, and run: chmod 600 none.txt',
        "psk.txt: others can read this file (mode 0644)\n    Run: chmod 600 psk.txt",
    ]


def test_a_psk_that_others_can_read(folder: Any) -> None:
    for mode in (0o640, 0o604, 0o660, 0o610):
        folder.write("psk.txt", "198.51.100.1 correct horse battery staple\n", mode)
        assert folder.problems(LEAST) == [
            f"psk.txt: others can read this file (mode {mode:04o})\n    Run: chmod 600 psk.txt"
        ]


def test_the_command_to_fix_quotes_what_a_shell_would_take_apart(folder: Any) -> None:
    folder.write("my keys.txt", "198.51.100.1 correct horse battery staple\n", 0o644)
    (problem,) = folder.problems(LEAST + 'secret = "file:my keys.txt"\n')
    assert problem.splitlines()[1] == "    Run: chmod 600 'my keys.txt'"


@pytest.mark.root
def test_a_psk_of_somebody_else(folder: Any) -> None:
    os.chown(folder.path / "psk.txt", 12345, 12345)
    assert folder.problems(LEAST) == [
        "psk.txt: this file belongs to somebody else (user 12345)\n    Run: chown root psk.txt"
    ]


def test_no_secret_for_the_peer(folder: Any) -> None:
    folder.write("psk.txt", "203.0.113.77 somebody else's secret\n", 0o600)
    assert folder.problems(LEAST) == [
        'gateway.toml:5: no secret for peer "warehouse": looked in psk.txt for 198.51.100.1, warehouse\n'
        '    Write a line "198.51.100.1 THE-SECRET" into it, the same secret as at the peer.'
    ]


def test_no_psk_at_all(folder: Any) -> None:
    (folder.path / "psk.txt").unlink()
    assert folder.problems(LEAST) == [
        'gateway.toml:5: no secret for peer "warehouse": psk.txt is not there\n'
        '    Write a line "198.51.100.1 THE-SECRET" into it, the same secret as at the peer, and run: chmod 600 psk.txt'
    ]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("[gateway]\nnetworks = 192.168.1.0/24\n", 2, "this line is not TOML: Expected newline or end of document"),
        ("[gateway]\n\n[peers.a\n", 3, "this line is not TOML: Expected ']'"),
        ('[gateway]\nname = "office\n', 2, "this line is not TOML: Illegal character"),
        ("[gateway]\n[gateway]\n", 2, "this line is not TOML: Cannot declare"),
        ('[gateway]\nname = """', 2, "this line is not TOML: Unterminated string"),
    ],
)
def test_toml_errors_name_the_line(folder: Any, text: str, line: int, what: str) -> None:
    (problem,) = folder.problems(text)
    assert problem.startswith(f"gateway.toml:{line}: {what}")
    assert "Lines are" in problem


@pytest.mark.parametrize("depth", [2_000, 200_000])
def test_nesting_is_bounded(folder: Any, depth: int) -> None:
    (problem,) = folder.problems("[gateway]\nx = " + "[" * depth + "]" * depth)
    assert "nested too deeply" in problem or "unknown key" in problem
    assert sys.getrecursionlimit() < 2_000 * 10


def test_bytes_that_are_no_text(folder: Any) -> None:
    assert folder.problems(b'[gateway]\nname = "\xff\xfe"\n') == [
        "gateway.toml:2: this line is not UTF-8\n    Save the file as UTF-8."
    ]


def test_a_byte_order_mark_is_no_problem(folder: Any) -> None:
    assert folder.load(b"\xef\xbb\xbf" + LEAST.encode()).gateway.peers


def test_an_empty_file(folder: Any) -> None:
    assert folder.problems("") == [
        "gateway.toml: there is no [gateway] section\n    Begin the file with [gateway] and networks = [...] below it."
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load(tmp_path / "none.toml")


def test_a_file_too_large(folder: Any) -> None:
    (problem,) = folder.problems("#" * (MAX_FILE_OCTETS + 1))
    assert problem.startswith(f"gateway.toml: gateway.toml is larger than {MAX_FILE_OCTETS} octets")


def test_what_is_no_file_is_not_waited_for(folder: Any) -> None:
    (folder.path / "psk.txt").unlink()
    os.mkfifo(folder.path / "psk.txt", 0o600)
    (problem,) = folder.problems(LEAST)
    assert "psk.txt is no regular file" in problem
    with pytest.raises(ConfigurationError, match="Is a directory"):
        load(folder.path)


def test_a_null_octet_in_a_name(folder: Any) -> None:
    (problem,) = folder.problems(LEAST + 'secret = "file:a\\u0000b"\n')
    assert "cannot be the name of a file" in problem


# Secrets


def test_a_literal_secret_needs_a_private_file(folder: Any) -> None:
    text = LEAST + 'secret = "correct horse battery"\n'
    assert folder.load(text, 0o600).gateway.peers[0].secret == b"correct horse battery"
    assert folder.problems(text, 0o644) == [
        'gateway.toml:8: the secret of peer "warehouse" stands in a file that others can read\n'
        "    Run: chmod 600 gateway.toml (or put the secret into psk.txt beside it)."
    ]


def test_a_secret_of_another_kind_is_not_repeated(folder: Any) -> None:
    (problem,) = folder.problems(LEAST + "secret = 73829173\n", 0o600)
    assert "73829173" not in problem


def test_identity_then_address_then_name(folder: Any) -> None:
    lines = {
        "shop.example.org": "by identity..",
        "198.51.100.1": "by address..",
        "warehouse": "by name....",
    }
    text = LEAST + 'identity = "shop.example.org"\n'
    for wanted in list(lines):
        folder.write("psk.txt", "".join(f"{key} {value}\n" for key, value in reversed(lines.items())), 0o600)
        assert folder.load(text).gateway.peers[0].secret == lines[wanted].encode()
        del lines[wanted]


@pytest.mark.parametrize(
    ("secret", "what"),
    [
        ("secret", "the secret is one that everybody tries first"),
        ("SECRET", "the secret is one that everybody tries first"),
        ("short", "the secret has fewer than 8 octets"),
        ("0x0102", "the secret has fewer than 8 octets"),
    ],
)
def test_a_weak_secret_is_a_warning(folder: Any, secret: str, what: str) -> None:
    folder.write("psk.txt", f"# our peers\n198.51.100.1\t{secret}\n", 0o600)
    loaded = folder.load(LEAST)
    (warning,) = loaded.warnings
    assert folder.relative(warning.where) == "psk.txt:2"
    assert warning.what == what
    assert loaded.gateway.peers[0].secret


def test_a_wrong_hexadecimal_secret_is_not_repeated(folder: Any) -> None:
    folder.write("psk.txt", "198.51.100.1 0xzz99\n", 0o600)
    problems = folder.problems(LEAST)
    assert any("begins with 0x and is not hexadecimal" in problem for problem in problems)
    assert not any("zz99" in problem for problem in problems)


# Files that include others


def test_peers_of_included_files(folder: Any) -> None:
    folder.write("peers.d/shop.toml", '[peers.shop]\naddress = "198.51.100.9"\nnetworks = ["192.168.9.0/24"]\n')
    folder.write("peers.d/psk.txt", "198.51.100.9 the shop's own secret\n", 0o600)
    gateway = folder.load(LEAST.replace("[peers", 'include = "peers.d/*.toml"\n[peers')).gateway
    assert [peer.name for peer in gateway.peers] == ["warehouse", "shop"]
    assert gateway.peers[1].secret == b"the shop's own secret"  # paths are relative to the file that names them


def test_problems_of_included_files_name_them(folder: Any) -> None:
    folder.write("shop.toml", '[gateway]\nnetworks = []\n[peers.warehouse]\naddress = "1.2.3.4"\nnet = "10.0.0.0/8"\n')
    assert folder.problems(LEAST.replace("[peers", 'include = "shop.toml"\n[peers')) == [
        "shop.toml:2: networks cannot stand in an included file\n    Write it into the main file's [gateway].",
        'shop.toml:3: peer "warehouse" is written in gateway.toml:6 already\n    Rename one.',
        'shop.toml:5: unknown key "net" in [peers.warehouse]\n    Did you mean networks?',
    ]


def test_a_missing_included_file(folder: Any) -> None:
    (problem,) = folder.problems('[gateway]\ninclude = ["none.toml", "none/*.toml"]\n')
    assert problem.startswith("gateway.toml:2: none.toml cannot be read: there is no such file")


def test_files_that_include_each_other(folder: Any) -> None:
    folder.write("a.toml", '[gateway]\ninclude = "gateway.toml"\n')
    (problem,) = folder.problems('[gateway]\ninclude = "a.toml"\n')
    assert problem.startswith("a.toml:2: gateway.toml is included twice")


def test_the_depth_of_includes_is_bounded(folder: Any) -> None:
    for number in range(20):
        folder.write(f"{number}.toml", f'[gateway]\ninclude = "{number + 1}.toml"\n')
    (problem,) = folder.problems('[gateway]\ninclude = "0.toml"\n')
    assert f"more than {MAX_INCLUDE_DEPTH} deep" in problem
