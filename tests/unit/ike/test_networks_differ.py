"""Two ends that do not agree on networks: what the one that was asked says about it."""

from __future__ import annotations

import pytest

from culvert.config.model import Child
from culvert.ike import networks_differ
from culvert.ike.narrowing import Selectors, choose_child
from culvert.ipsec.selectors import traffic_selector


def _selectors(*texts: str) -> Selectors:
    return tuple(traffic_selector(text) for text in texts)


def _child(local: str, remote: str, name: str = "warehouse") -> Child:
    return Child("warehouse", name, _selectors(local), _selectors(remote))


ONE = _child("10.1.0.0/16", "10.2.0.0/16")


def _said(children: list[Child], local: str, remote: str) -> str:
    assert choose_child(children, _selectors(local), _selectors(remote)) is None
    return networks_differ.explain("warehouse", children, _selectors(local), _selectors(remote))


def test_the_side_that_differs_is_named_with_what_to_write() -> None:
    said = _said([ONE], "10.1.0.0/16", "10.3.0.0/16")
    assert said == (
        "the peer asks for 10.1.0.0/16 <-> 10.3.0.0/16 (our side first); "
        "warehouse is 10.1.0.0/16 <-> 10.2.0.0/16: the peer's side differs: "
        'write networks = ["10.3.0.0/16"] into [peers.warehouse], or correct the peer'
    )


def test_our_own_networks_stand_in_the_gateways_table() -> None:
    assert 'write networks = ["10.9.0.0/16"] into [gateway], or' in _said([ONE], "10.9.0.0/16", "10.2.0.0/16")


def test_both_sides_may_differ() -> None:
    said = _said([ONE], "10.9.0.0/16", "10.8.0.0/16")
    assert "our side differs" in said
    assert " and the peer's side differs" in said


def test_swapped_sides_are_seen() -> None:
    assert said_of_swapped() == "the two sides are swapped, here or there"


def said_of_swapped() -> str:
    return _said([ONE], "10.2.0.0/16", "10.1.0.0/16").rpartition(": ")[2]


def test_the_child_that_comes_nearest_is_compared_and_the_others_follow() -> None:
    far, near = _child("10.5.0.0/16", "10.6.0.0/16", "far"), _child("10.1.0.0/16", "10.2.0.0/16", "near")
    said = _said([far, near], "10.1.0.0/16", "10.3.0.0/16")
    assert "near is 10.1.0.0/16 <-> 10.2.0.0/16: the peer's side differs" in said
    assert 'write remote = ["10.3.0.0/16"] into [peers.warehouse.children.near]' in said
    assert said.endswith("; far is 10.5.0.0/16 <-> 10.6.0.0/16")


@pytest.mark.parametrize(
    ("local", "remote", "said"),
    [
        ("10.1.0.0/16[udp]", "10.2.0.0/16", "our side differs in protocol: 10.1.0.0/16[17] there"),
        ("10.1.0.0/16[tcp/80]", "10.2.0.0/16", "our side differs in ports: 10.1.0.0/16[6/80] there"),
    ],
)
def test_protocol_and_ports_are_said_to_differ(local: str, remote: str, said: str) -> None:
    assert said in _said([_child("10.1.0.0/16[tcp/443]", "10.2.0.0/16", "web")], local, remote)


def test_of_two_children_that_share_no_side_the_one_with_the_addresses_is_nearest() -> None:
    web = _child("10.1.0.0/16[tcp/443]", "10.2.0.0/16[tcp]", "web")
    said = _said([_child("10.5.0.0/16", "10.6.0.0/16", "far"), web], "10.1.0.0/16[udp]", "10.2.0.0/16[udp]")
    assert said.index("web is") < said.index("far is")


def test_a_peer_without_children_and_selectors_of_unknown_types() -> None:
    assert networks_differ.explain("warehouse", [], (), ()).endswith("[peers.warehouse] has no children")
    assert networks_differ.explain("warehouse", [ONE], (), ()).endswith("which cannot be expressed here")
