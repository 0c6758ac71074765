"""Configurations that are well written and make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from culvert.config.findings import Findings
from culvert.config.model import Child, Gateway, Peer
from culvert.config.origins import Origins
from culvert.config.verify import verify
from culvert.ipsec.proposals import ike_proposal

PSK = "198.51.100.1 correct horse battery staple\nb correct horse battery staple\nc correct horse battery staple\n"


@pytest.fixture
def problems(folder: Any) -> Any:
    folder.write("psk.txt", PSK, 0o600)
    return folder.problems


def gateway(networks: str, *, head: str = "", peer: str = "", remote: str = '["192.168.2.0/24"]') -> str:
    return (
        f'[gateway]\n{head}\nnetworks = {networks}\n[peers.a]\naddress = "198.51.100.1"\nnetworks = {remote}\n{peer}\n'
    )


def what(problems: list[str]) -> list[str]:
    return [problem.splitlines()[0] for problem in problems]


def test_the_same_network_on_both_sides(problems: Any) -> None:
    assert what(problems(gateway('["192.168.2.0/24"]'))) == [
        'gateway.toml:6: 192.168.2.0/24 is on both sides: ours, and peer "a"\'s'
    ]


def test_the_same_network_in_a_child(problems: Any) -> None:
    text = gateway('["192.168.1.0/24"]', peer='[peers.a.children.x]\nlocal = "10.0.0.0/8"\nremote = "10.0.0.0/8"')
    assert what(problems(text)) == ['gateway.toml:9: 10.0.0.0/8 is on both sides: ours, and peer "a"\'s']


def test_ranges_that_overlap(problems: Any) -> None:
    (problem,) = problems(gateway('["192.168.1.0/24"]', remote='["192.168.1.200-192.168.2.9"]'))
    assert problem.splitlines() == [
        'gateway.toml:6: 192.168.1.200-192.168.2.9 of peer "a" overlaps our 192.168.1.0/24',
        "    Networks with the same addresses cannot be joined: renumber one of the two, on all of its machines.",
    ]


def test_a_wider_range_of_the_peer_is_right(folder: Any) -> None:
    assert folder.load(gateway('["10.1.0.0/16"]', remote='["10.0.0.0/8"]')).warnings == ()


def test_a_narrower_network_of_the_peer_is_a_warning(folder: Any) -> None:
    (warning,) = folder.load(gateway('["10.0.0.0/8"]', remote='["10.1.0.0/16"]')).warnings
    assert warning.what == '10.1.0.0/16 of peer "a" lies inside our 10.0.0.0/8'


def test_a_peer_inside_its_own_networks_is_right(folder: Any) -> None:
    assert folder.load(gateway('["192.168.1.0/24"]', remote='["198.51.100.1/32", "198.51.100.0/24"]')).warnings == ()


def test_two_peers_with_the_same_network(problems: Any) -> None:
    text = gateway('["192.168.1.0/24"]', peer='[peers.b]\naddress="198.51.100.2"\nnetworks=["192.168.2.0/24"]')
    assert what(problems(text)) == ['gateway.toml:9: 192.168.2.0/24 is behind two peers: "a" and "b"']


def test_two_peers_with_the_same_network_from_different_networks_of_ours(folder: Any) -> None:
    folder.write("psk.txt", PSK, 0o600)
    other = '[peers.b]\naddress="198.51.100.2"\nchildren.x={local="10.9.0.0/16", remote="192.168.2.0/24"}'
    assert len(folder.load(gateway('["192.168.1.0/24"]', peer=other)).gateway.peers) == 2


def test_one_network_in_two_children(problems: Any) -> None:
    text = gateway('["192.168.1.0/24"]', peer='[peers.a.children.x]\nremote = "192.168.2.0/24"')
    assert what(problems(text)) == ['gateway.toml:8: 192.168.2.0/24 is in two children of peer "a": "a" and "x"']


def test_a_network_written_twice(problems: Any) -> None:
    text = gateway('["192.168.1.0/24", "192.168.1.0/24"]', remote='["10.0.0.0/8",\n"10.0.0.0/8"]')
    assert what(problems(text)) == [
        "gateway.toml:3: 192.168.1.0/24 is written twice",
        "gateway.toml:7: 10.0.0.0/8 is written twice",
    ]


def test_neither_address_nor_identity(problems: Any) -> None:
    text = '[gateway]\nnetworks = ["192.168.1.0/24"]\n[peers.b]\nnetworks = ["10.0.0.0/8"]\n'
    assert what(problems(text)) == ['gateway.toml:3: peer "b" has neither address nor identity']


@pytest.mark.parametrize("start", ["always", "traffic"])
def test_a_peer_that_cannot_be_called(problems: Any, start: str) -> None:
    text = (
        f'[gateway]\nnetworks=["192.168.1.0/24"]\n[peers.b]\nidentity="b"\nnetworks=["10.0.0.0/8"]\nstart="{start}"\n'
    )
    assert what(problems(text)) == [f'gateway.toml:6: peer "b" has no address, so start = "{start}" cannot work']


def test_no_networks(problems: Any) -> None:
    text = gateway("[]", peer='[peers.b]\naddress = "198.51.100.2"')
    assert what(problems(text)) == [
        'gateway.toml:3: no networks are ours, and peer "a" is to reach them',
        'gateway.toml:7: peer "b" has no networks',
    ]


def test_children_without_networks_of_their_own(problems: Any) -> None:
    text = gateway('["192.168.1.0/24"]', peer="[peers.a.children.x]\nrekey = '1h'")
    assert what(problems(text)) == ['gateway.toml:7: child "x" has no remote networks']


def test_the_name_of_a_child_taken_twice(problems: Any) -> None:
    text = gateway('["192.168.1.0/24"]', peer='[peers.a.children.a]\nremote = "10.0.0.0/8"')
    assert any('two children of peer "a" are named "a"' in problem for problem in problems(text))


def test_families_that_do_not_meet(problems: Any) -> None:
    assert what(problems(gateway('["192.168.1.0/24"]', remote='["2001:db8:2::/48"]'))) == [
        "gateway.toml:6: 2001:db8:2::/48 is IPv6, and no network of ours is"
    ]


def test_addresses_of_two_families(problems: Any) -> None:
    assert what(problems(gateway('["192.168.1.0/24"]', head='address = "2001:db8::1"'))) == [
        'gateway.toml:5: peer "a" is reached by IPv4, and the gateway\'s address is IPv6'
    ]


def test_our_address_is_theirs(problems: Any) -> None:
    (problem,) = problems(gateway('["192.168.1.0/24"]', head='address = "198.51.100.1"'))
    assert problem.splitlines()[0] == 'gateway.toml:5: 198.51.100.1 is the address of this gateway and of peer "a"'


def test_our_identity_is_theirs(problems: Any) -> None:
    text = gateway('["192.168.1.0/24"]', head='identity = "GW.example.org"', peer='identity = "gw.example.org"')
    assert what(problems(text)) == ["gateway.toml:7: both gateways have the identity GW.example.org"]


def test_peers_that_cannot_be_told_apart(problems: Any) -> None:
    text = gateway('["192.168.1.0/24"]', peer='[peers.b]\naddress = "198.51.100.1"\nnetworks = ["10.0.0.0/8"]')
    (problem,) = what(problems(text))
    assert problem.startswith('gateway.toml:8: peers "a" and "b" are both 198.51.100.1')


def test_an_mtu_too_small_for_ipv6(problems: Any) -> None:
    text = gateway('["2001:db8:1::/48"]', remote='["2001:db8:2::/48"]', peer="mtu = 1279")
    assert what(problems(text)) == ["gateway.toml:7: mtu = 1279 is too small for IPv6"]


def test_a_range_that_falls_into_too_many_prefixes(problems: Any) -> None:
    text = gateway('["10.0.0.1-10.255.255.254"]', remote='["11.0.0.1-11.255.255.254"]')
    text = text.replace('networks = ["10.', 'networks = []\n#"').replace(
        "[peers.a]",
        '[peers.a]\nchildren.x.local = "10.0.0.1-10.255.255.254"\nchildren.x.remote = "11.0.0.1-11.255.255.254"',
    )
    assert any("falls into more than 256 prefixes" in problem for problem in problems(text))


def test_more_networks_than_one_child_can_have(problems: Any) -> None:
    remote = ", ".join(f'"10.{number}.0.0/16"' for number in range(65))
    assert what(problems(gateway('["192.168.1.0/24"]', remote=f"[{remote}]"))) == [
        'gateway.toml:6: child "a" has more than 64 remote networks'
    ]


def test_more_pairs_than_can_be_split(problems: Any) -> None:
    remote = ", ".join(f'"10.{number}.0.0/16"' for number in range(33))
    split = gateway('["192.168.1.0/24", "192.168.3.0/24"]', remote=f"[{remote}]", peer="split = true")
    assert what(problems(split)) == [
        'gateway.toml:4: child "a" falls into more than 64 pairs of networks with split = true'
    ]


def test_more_children_than_one_peer_can_have(problems: Any) -> None:
    children = "\n".join(f'children.c{number}.remote = "10.{number}.0.0/16"' for number in range(128))
    assert what(problems(gateway('["192.168.1.0/24"]', peer=children))) == [
        'gateway.toml:7: peer "a" has more than 128 children'
    ]


def test_each_pair_of_a_split_child_is_one(problems: Any) -> None:
    ours = ", ".join(f'"172.16.{number}.0/24"' for number in range(8))
    theirs = [", ".join(f'"10.{part}{at}.0.0/16"' for at in range(8)) for part in range(1, 4)]
    children = "\n".join(f"children.c{part}.remote = [{networks}]" for part, networks in enumerate(theirs))
    assert what(problems(gateway(f"[{ours}]", peer=f"split = true\n{children}"))) == [
        'gateway.toml:8: peer "a" has more than 128 children, each pair of networks being one with split = true'
    ]


def test_a_bad_value_brings_no_problems_in_its_wake(problems: Any) -> None:
    assert what(problems(gateway('"192.168.1/24"', remote='"10.0.0.0/88"'))) == [
        'gateway.toml:3: "192.168.1/24" is no network',
        'gateway.toml:6: "10.0.0.0/88" is no network',
    ]
    assert what(problems(gateway('["192.168.1.0/24"]').replace('"198.51.100.1"', '"198.51.100.1/32"'))) == [
        'gateway.toml:5: "198.51.100.1/32" has a prefix length'
    ]


def test_two_children_of_one_number() -> None:
    """Names found by searching: the first 31 bits of their digests are the same."""
    one, other = COLLISION
    assert Child("p", one, (), ()).reqid == Child("p", other, (), ()).reqid
    peer = Peer("p", ("198.51.100.1",), None, None, (Child("p", one, (), ()), Child("p", other, (), ())))
    findings = Findings()
    verify(Gateway("g", (), (), (peer,)), Origins(), findings)
    assert any("have the same number by chance" in problem.what for problem in findings.problems)


COLLISION = ("c42610", "c46969")


WEAK = '    Drop it; where peer "a" has nothing better, write legacy = true for that peer.'


def test_weak_algorithms_are_named_where_they_are_written(problems: Any) -> None:
    peer = 'esp_proposals = ["aes128gcm16", "3des-sha1"]\n[peers.a.children.x]\nlocal = "10.1.0.0/16"\n'
    found = problems(gateway('["192.168.1.0/24"]', peer=f'{peer}remote = "10.2.0.0/16"\nesp_proposals = "aes128-md5"'))
    assert [problem.splitlines() for problem in found] == [
        ["gateway.toml:7: 3des is too weak today (RFC 8221)", WEAK],
        ["gateway.toml:11: md5 is too weak today (RFC 8221)", WEAK],
    ]


def test_a_legacy_peer_may_have_weak_algorithms(folder: Any) -> None:
    peer = 'legacy = true\nesp_proposals = "3des-md5-modp2048"'
    (loaded,) = folder.load(gateway('["192.168.1.0/24"]', peer=peer)).gateway.peers
    assert loaded.legacy
    assert str(loaded.children[0].proposals[0]) == "3des-md5-modp2048-noesn"


def test_a_weak_group_is_for_a_legacy_peer(folder: Any) -> None:
    weak = 'proposals = "aes256-sha256-modp1024"'
    text = gateway('["192.168.1.0/24"]', peer=weak)
    problems = folder.problems(text)
    assert problems == [f"gateway.toml:7: modp1024 is too weak today (RFC 8247)\n{WEAK}"]
    (peer,) = folder.load(gateway('["192.168.1.0/24"]', peer=f"legacy = true\n{weak}")).gateway.peers
    assert peer.proposals == (ike_proposal("aes256-sha256-modp1024", legacy=True),)


def test_legacy_ciphers_are_not_for_ike(problems: Any) -> None:
    (problem,) = problems(gateway('["192.168.1.0/24"]', peer='legacy = true\nproposals = "3des-sha256-modp2048"'))
    assert "for ESP, not for IKE" in problem
