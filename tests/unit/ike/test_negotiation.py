from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.ike import negotiation
from culvert.ike.negotiation import accept, choose, offer
from culvert.ipsec.proposals import DEFAULT_ESP, DEFAULT_IKE, esp_proposal, ike_proposal
from culvert.wire.isakmp.numbers import ProtocolId
from culvert.wire.isakmp.sa import Attribute, Proposal, SecurityAssociation, TransformSubstructure

IKE = ProtocolId.IKE
ESP = ProtocolId.ESP
SPI = b"\x01\x02\x03\x04"


def test_what_we_offer_we_would_choose_ourselves() -> None:
    for proposal in (*DEFAULT_IKE, ike_proposal("aes128-sha256-modp2048")):
        chosen = choose(offer((proposal,), IKE, b"", key_exchange=True), DEFAULT_IKE, IKE)
        assert chosen is not None
        assert accept(chosen.answer(IKE, b""), (proposal,), IKE) is not None


def test_our_order_decides() -> None:
    theirs = (ike_proposal("aes128gcm16-prfsha256-x25519"), ike_proposal("aes256gcm16-prfsha256-x25519"))
    ours = tuple(reversed(theirs))
    chosen = choose(offer(theirs, IKE, b"", key_exchange=True), ours, IKE)
    assert chosen is not None
    assert str(chosen.suite) == "aes256gcm16-prfsha256-x25519"
    assert chosen.number == 2


def test_the_group_of_the_ke_payload_saves_a_round_trip() -> None:
    both = (ike_proposal("aes128gcm16-prfsha256-x25519-ecp256"),)
    chosen = choose(offer(both, IKE, b"", key_exchange=True), both, IKE, method=19)
    assert chosen is not None
    assert chosen.suite.key_exchange is not None
    assert chosen.suite.key_exchange.name == "ecp256"


def test_pfs_is_optional_where_none_is_named() -> None:
    offered = offer((esp_proposal("aes128gcm16"),), ESP, SPI, key_exchange=True)
    chosen = choose(offered, DEFAULT_ESP, ESP)
    assert chosen is not None
    assert chosen.suite.key_exchange is None
    assert choose(offered, (esp_proposal("aes128gcm16-x25519"),), ESP) is None


def test_without_key_exchange_no_group_is_named() -> None:
    sa = offer(DEFAULT_ESP, ESP, SPI, key_exchange=False)
    assert all(transform.type != 4 for proposal in sa.proposals for transform in proposal.transforms)


def test_a_proposal_with_an_unknown_kind_is_not_chosen() -> None:
    sa = offer((esp_proposal("aes128gcm16"),), ESP, SPI, key_exchange=False)
    first = sa.proposals[0]
    strange = replace(first, transforms=(*first.transforms, TransformSubstructure(6, 35)))
    assert choose(SecurityAssociation((strange,)), DEFAULT_ESP, ESP, key_exchange=False) is None
    assert choose(SecurityAssociation((strange, first)), DEFAULT_ESP, ESP, key_exchange=False) is not None


@pytest.mark.parametrize("attribute", [Attribute(0x8000 | 99, b"ab"), Attribute(99, b"long")], ids=["short", "long"])
def test_a_transform_with_an_unknown_attribute_is_not_chosen_and_one_beside_it_is(attribute: Attribute) -> None:
    ours = (esp_proposal("aes256gcm16-aes128gcm16"),)
    first = offer(ours, ESP, SPI, key_exchange=False).proposals[0]
    strange = tuple(
        replace(one, unknown_attributes=(attribute,)) if one.key_length == 256 else one for one in first.transforms
    )
    chosen = choose(SecurityAssociation((replace(first, transforms=strange),)), ours, ESP, key_exchange=False)
    assert chosen is not None
    assert str(chosen.suite) == "aes128gcm16"
    only = tuple(one for one in strange if one.key_length != 128)
    assert choose(SecurityAssociation((replace(first, transforms=only),)), ours, ESP, key_exchange=False) is None


def test_integrity_none_beside_an_aead_is_echoed() -> None:
    transforms = (TransformSubstructure(1, 20, 128), TransformSubstructure(3, 0), TransformSubstructure(5, 0))
    chosen = choose(SecurityAssociation((Proposal(1, ESP, SPI, transforms),)), DEFAULT_ESP, ESP, key_exchange=False)
    assert chosen is not None
    assert chosen.transforms == transforms


def test_an_answer_must_be_one_of_our_proposals_with_one_of_each() -> None:
    ours = (esp_proposal("aes128gcm16"),)
    good = offer(ours, ESP, SPI, key_exchange=False).proposals[0]
    assert accept(SecurityAssociation((good,)), ours, ESP, key_exchange=False) is not None
    for bad in (
        SecurityAssociation((good, good)),
        SecurityAssociation((replace(good, transforms=(*good.transforms, good.transforms[0])),)),
        offer((esp_proposal("aes256gcm16"),), ESP, SPI, key_exchange=False),
        SecurityAssociation((replace(good, protocol=ProtocolId.AH),)),
        SecurityAssociation((replace(good, transforms=()),)),
    ):
        assert accept(bad, ours, ESP, key_exchange=False) is None


def test_extended_sequence_numbers_are_never_chosen() -> None:
    offered = offer((esp_proposal("aes128gcm16-esn"),), ESP, SPI, key_exchange=False)
    only = replace(offered.proposals[0], transforms=(TransformSubstructure(1, 20, 128), TransformSubstructure(5, 1)))
    assert choose(SecurityAssociation((only,)), DEFAULT_ESP, ESP, key_exchange=False) is None


def test_methods() -> None:
    assert negotiation.preferred_method(DEFAULT_IKE) is not None
    assert negotiation.preferred_method((esp_proposal("aes128gcm16"),)) is None
    assert negotiation.acceptable_method(DEFAULT_ESP, 0) is None
    assert negotiation.acceptable_method(DEFAULT_ESP, 2) is None


def test_an_answer_that_counts_in_another_way_is_taken_by_its_algorithms() -> None:
    ours = (esp_proposal("aes128gcm16"), esp_proposal("aes256gcm16"))
    second = offer(ours, ESP, SPI, key_exchange=False).proposals[1]
    for number in (0, 1, 2, 9):
        taken = accept(SecurityAssociation((replace(second, number=number),)), ours, ESP, key_exchange=False)
        assert taken is not None
        assert taken.suite.encryption.name == "aes256gcm16"
