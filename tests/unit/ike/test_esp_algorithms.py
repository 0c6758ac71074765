"""Every algorithm of ESP between two endpoints: how it is written on the wire, and which keys each end takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.config.model import Peer
from culvert.crypto.transforms import ENCRYPTION, INTEGRITY, Encryption, Integrity
from culvert.ike.negotiation import offer
from culvert.ike.status import PeerState
from culvert.ipsec.associations import Direction
from culvert.ipsec.proposals import esp_proposal
from culvert.sim.pair import Pair
from culvert.wire.isakmp.numbers import ProtocolId
from culvert.wire.isakmp.sa import TransformSubstructure

FIXED = ("chacha20poly1305", "null", "3des")
"""Whose keys have one length, which is then not said (RFC 7296 section 3.3.5)."""
SUITES = [one.name if one.aead else f"{one.name}-sha256" for one in ENCRYPTION] + [
    f"aes128-{one.name}" for one in INTEGRITY if one.name != "sha256"
]


def legacy(of: Peer, *proposals: str) -> Peer:
    written = tuple(esp_proposal(text, legacy=True) for text in proposals)
    return replace(of, children=tuple(replace(one, proposals=written) for one in of.children), legacy=True)


def joined(west: str, east: str) -> Pair:
    pair = Pair()
    pair.west_peer = legacy(pair.west_peer, *west.split())
    pair.east_peer = legacy(pair.east_peer, *east.split())
    return pair.connect()


@pytest.mark.parametrize("text", SUITES)
def test_both_ends_take_the_same_keys_of_the_right_length(text: str) -> None:
    pair = joined(text, text)
    status = pair.west.endpoint.status("east")
    assert (status.state, status.children[0].cipher) == (PeerState.UP, text)
    proposal = esp_proposal(text, legacy=True)
    encryption, integrity = proposal.encryption[0], next(iter(proposal.integrity), None)
    for one, other in ((pair.west, pair.east), (pair.east, pair.west)):
        (sent,), (received,) = one.plane.side(Direction.OUT), other.plane.side(Direction.IN)
        assert (sent.encryption_key, sent.integrity_key) == (received.encryption_key, received.integrity_key)
        assert (sent.encryption, sent.integrity) == (received.encryption, received.integrity) == (encryption, integrity)
        assert len(sent.encryption_key) == encryption.key_octets + encryption.salt_octets
        assert len(sent.integrity_key) == (integrity.key_octets if integrity else 0)
        assert sent.legacy
    keys = [sa.encryption_key + sa.integrity_key for sa in pair.west.plane.associations.values()]
    assert keys[0] != keys[1]


@pytest.mark.parametrize("encryption", ENCRYPTION, ids=lambda one: one.name)
def test_a_key_length_is_said_where_there_are_several(encryption: Encryption) -> None:
    proposal = replace(esp_proposal("aes128-sha256"), encryption=(encryption,))
    transforms = offer((proposal,), ProtocolId.ESP, b"\x00\x00\x01\x00", key_exchange=False).proposals[0].transforms
    length = None if encryption.name in FIXED else encryption.key_octets * 8
    assert transforms[0] == TransformSubstructure(1, encryption.id, length)


@pytest.mark.parametrize("integrity", INTEGRITY, ids=lambda one: one.name)
def test_an_integrity_never_has_a_key_length(integrity: Integrity) -> None:
    proposal = replace(esp_proposal("aes128-sha256"), integrity=(integrity,))
    transforms = offer((proposal,), ProtocolId.ESP, b"\x00\x00\x01\x00", key_exchange=False).proposals[0].transforms
    assert transforms[1] == TransformSubstructure(3, integrity.id)


def test_a_salt_of_three_octets_and_one_of_four_are_not_mixed_up() -> None:
    assert len(joined("aes256ccm16", "aes256ccm16").west.plane.side(Direction.OUT)[0].encryption_key) == 32 + 3
    assert len(joined("aes256gmac", "aes256gmac").west.plane.side(Direction.OUT)[0].encryption_key) == 32 + 4


def test_the_lengths_of_the_icv_are_algorithms_of_their_own() -> None:
    pair = joined("aes128gcm8 aes128gcm12", "aes128gcm16 aes128gcm12")
    assert [sa.encryption.name for sa in pair.west.plane.associations.values() if sa.encryption] == ["aes128gcm12"] * 2


@pytest.mark.parametrize(
    ("west", "east", "wanted"),
    [
        ("aes128gcm16-esn-noesn", "aes128gcm16-noesn-esn", False),
        ("aes128gcm16-esn", "aes128gcm16-esn-noesn", True),
        ("aes128gcm16-noesn", "aes128gcm16-esn-noesn", False),
        ("aes128gcm16-noesn", "aes128gcm16", False),
    ],
)
def test_extended_sequence_numbers_are_agreed_on(west: str, east: str, wanted: bool) -> None:
    pair = joined(west, east)
    associations = [*pair.west.plane.associations.values(), *pair.east.plane.associations.values()]
    assert [sa.esn for sa in associations] == [wanted] * 4


def test_extended_sequence_numbers_of_one_side_only_are_refused() -> None:
    pair = joined("aes128gcm16-esn", "aes128gcm16")
    assert pair.west.endpoint.status("east").state is PeerState.DOWN


def test_without_legacy_no_association_allows_weak_algorithms() -> None:
    pair = Pair().connect()
    assert not any(sa.legacy for sa in pair.west.plane.associations.values())
