"""Whether what a gif link sends is protected: the first policy that applies to its outer packets says so."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from culvert.config.model import Ends, Gateway, Gif
from culvert.ipsec.associations import Direction
from culvert.ipsec.policies import Action, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.plan.conflicts import conflicts
from culvert.plan.desired import Firewall, HostFacts, HostInterface, Pair, Sysctl
from culvert.plan.desired_state import desired
from culvert.plan.entries import entries
from culvert.plan.links import is_protected, made
from culvert.plan.runs import compile_runs
from culvert.plan.sysctls import host_sysctls

OURS, THEIRS = ip_address("203.0.113.1"), ip_address("198.51.100.1")
LINK = Gif("gif0", Ends(OURS, THEIRS), (Ends(ip_address("192.168.1.1"), ip_address("192.168.2.1")),))
LINK6 = replace(LINK, inner=(Ends(ip_address("fd00::1"), ip_address("fd00::2")),))


def firewall(*policies: tuple[str, str, int, Action]) -> Firewall:
    found = []
    for priority, (source, destination, protocol, action) in enumerate(policies):
        selector = Selector(ip_network(source), ip_network(destination), protocol)
        templates = (Template(OURS, THEIRS),) if action is Action.PROTECT else ()
        found.append(Policy(selector, Direction.OUT, action, priority, templates))
    return Firewall((), out=compile_runs(entries(found, Direction.OUT)))


EXACT = ("203.0.113.1/32", "198.51.100.1/32")


@pytest.mark.parametrize(
    ("link", "policies", "protected"),
    [
        (LINK, [], False),
        (LINK, [(*EXACT, 4, Action.PROTECT)], True),
        (LINK, [(*EXACT, 41, Action.PROTECT)], False),
        (LINK6, [(*EXACT, 41, Action.PROTECT)], True),
        (replace(LINK, inner=()), [(*EXACT, 4, Action.PROTECT)], False),
        (replace(LINK, inner=()), [(*EXACT, 0, Action.PROTECT)], True),
        (LINK, [("203.0.113.0/24", "0.0.0.0/0", 0, Action.PROTECT)], True),
        (LINK, [(*EXACT, 4, Action.BYPASS), (*EXACT, 0, Action.PROTECT)], False),
        (LINK, [(*EXACT, 6, Action.BYPASS), (*EXACT, 0, Action.PROTECT)], True),
        (LINK, [(EXACT[1], EXACT[0], 4, Action.PROTECT)], False),
        (LINK, [("fd00::/8", "fd00::/8", 0, Action.PROTECT)], False),
        (replace(LINK, outer=None), [(*EXACT, 0, Action.PROTECT)], False),
    ],
)
def test_protected(link: Gif, policies: list[tuple[str, str, int, Action]], protected: bool) -> None:
    assert is_protected(link, firewall(*policies)) is protected


def test_a_pair_of_networks_protects_as_well() -> None:
    fenced = Firewall((Pair(ip_network("203.0.113.0/24"), ip_network("198.51.100.0/24")),))
    assert is_protected(LINK, fenced)


def test_a_link_without_outer_ends_is_not_made() -> None:
    gateway = Gateway("office", (), (), gifs=(LINK, Gif("gif1")))
    assert made(gateway) == (LINK,)


def test_what_is_routed_through_a_link_is_forwarded() -> None:
    routed = Gateway("office", (), (), gifs=(replace(LINK, routes=(ip_network("192.168.2.0/24"),)),))
    alone = Gateway("office", (), (), gifs=(LINK,))
    forwarding = Sysctl("net.ipv4.ip_forward", "1")
    assert forwarding in host_sysctls(routed, HostFacts(()))
    assert forwarding not in host_sysctls(alone, HostFacts(()))


WIRES = HostFacts(
    (
        HostInterface("outside", 1500, ((OURS, 24), (ip_address("fe80::1"), 64))),
        HostInterface("lan", 1500, ((ip_address("192.168.1.1"), 24),)),
        HostInterface("gif0", 1280, ((ip_address("192.168.1.1"), 32),)),
    )
)


def test_no_link_brings_packets_of_the_host_s_own_wires() -> None:
    gateway = Gateway("office", (), (), gifs=(LINK,))
    assert desired(gateway, WIRES).firewall.near == (ip_network("192.168.1.0/24"), ip_network("203.0.113.0/24"))
    assert desired(replace(gateway, gifs=()), WIRES).firewall.near == ()


@pytest.mark.parametrize(
    ("network", "problems"),
    [("192.168.1.0/24", 1), ("192.168.1.64/26", 1), ("192.168.0.0/16", 0), ("192.168.1.7/32", 0), ("10.0.0.0/8", 0)],
)
def test_a_route_to_a_wire_of_the_host_is_a_conflict(network: str, problems: int) -> None:
    gateway = Gateway("office", (), (), gifs=(replace(LINK, routes=(ip_network(network),)),))
    assert len(conflicts(gateway, WIRES)) == problems
