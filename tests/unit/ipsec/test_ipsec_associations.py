"""Associations as values: what they show, and the number that ties them to policies."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from culvert.crypto.transforms import ENCRYPTION
from culvert.ipsec.associations import AssociationId, Direction, Protocol, SecurityAssociation, reqid_of
from culvert.ipsec.policies import OWN_INDEX, Action, Policy, direction_number, is_own
from culvert.ipsec.selectors import Selector


def test_the_number_of_a_child_is_the_same_at_every_start() -> None:
    assert reqid_of("warehouse", "warehouse") == 425_384_045
    assert reqid_of("a", "bc") != reqid_of("ab", "c")


@pytest.mark.parametrize("number", range(20))
def test_the_number_fits_what_the_kernel_has(number: int) -> None:
    assert 1 <= reqid_of("peer", f"child {number}") <= 2**31 - 1


def test_keys_never_show() -> None:
    one, other = ip_address("203.0.113.1"), ip_address("198.51.100.1")
    association = SecurityAssociation(
        one, other, 0x1234, Direction.OUT, 7, ENCRYPTION[0], b"key!" * 4, None, b"mac!" * 8
    )
    assert "key!" not in repr(association)
    assert "mac!" not in repr(association)
    assert association.id == AssociationId(other, 0x1234)
    assert str(association.id) == "esp 0x00001234 to 198.51.100.1"


def test_protocol_numbers() -> None:
    assert (Protocol.ESP.number, Protocol.AH.number) == (50, 51)


def test_the_index_of_a_policy_says_whose_it_is_and_is_only_a_name() -> None:
    anything = Selector(ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16"))
    policy = Policy(anything, Direction.OUT, Action.DISCARD, index=9)
    own = replace(policy, index=OWN_INDEX + direction_number(Direction.OUT))
    assert not is_own(policy)
    assert is_own(own)
    assert policy == own
    assert [direction_number(direction) for direction in Direction] == [0, 1, 2]
