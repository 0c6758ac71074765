"""Two ends that do not agree on algorithms: what the one that was asked says about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.config.model import Child
from culvert.crypto.transforms import TransformType
from culvert.ike import explaining
from culvert.ike.explaining import Place
from culvert.ike.negotiation import choose, offer
from culvert.ipsec.proposals import DEFAULT_ESP, DEFAULT_IKE, Proposal, esp_proposal, ike_proposal
from culvert.limits import MAX_LOG_LINE_CHARACTERS
from culvert.wire.isakmp.numbers import ProtocolId
from culvert.wire.isakmp.sa import Attribute, SecurityAssociation, TransformSubstructure
from culvert.wire.isakmp.sa import Proposal as Offered

IKE, ESP = ProtocolId.IKE, ProtocolId.ESP
SPI = b"\1\2\3\4"
PEER = Place.of_peer("warehouse")
HERE = "into [peers.warehouse]"


def _ike(theirs: list[str], ours: list[str]) -> str:
    offered = offer([ike_proposal(one) for one in theirs], IKE, b"", key_exchange=True)
    configured = [ike_proposal(one) for one in ours]
    assert choose(offered, configured, IKE) is None
    return explaining.proposals(offered, configured, PEER)


def _esp(theirs: str, ours: tuple[Proposal, ...], *, key_exchange: bool = True) -> str:
    offered = offer([esp_proposal(theirs, legacy=True)], ESP, SPI, key_exchange=key_exchange)
    place = Place.of_child(Child("warehouse", "net", (), ()))
    return explaining.proposals(offered, ours, place, protocol=ESP, key_exchange=key_exchange)


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        (
            "aes128gcm16-prfsha256-x25519",
            "aes256gcm16-prfsha256-x25519",
            "the encryption (the peer's aes128gcm16, ours aes256gcm16)",
        ),
        (
            "aes128gcm16-prfsha256-x25519",
            "aes128gcm16-prfsha384-x25519",
            "the PRF (the peer's prfsha256, ours prfsha384)",
        ),
        (
            "aes128-sha256-prfsha256-x25519",
            "aes128-sha512-prfsha256-x25519",
            "the integrity (the peer's sha256, ours sha512)",
        ),
        (
            "aes128gcm16-prfsha256-x25519-ecp256",
            "aes128gcm16-prfsha256-ecp384",
            "the key exchange (the peer's x25519 or ecp256, ours ecp384)",
        ),
    ],
)
def test_the_first_difference_is_named_with_both_lists(theirs: str, ours: str, said: str) -> None:
    text = _ike([theirs], [ours])
    assert f"the first difference is in {said}; write proposals = " in text
    assert text.endswith(f"the peer offers {theirs}; we allow {ours}")


def test_what_to_write_takes_from_the_peer_only_where_there_is_nothing_in_common() -> None:
    text = _ike(["aes128gcm16-prfsha256-modp2048"], ["aes256gcm16-aes128gcm16-prfsha384-x25519-modp2048"])
    assert f'; write proposals = "aes128gcm16-prfsha256-modp2048" {HERE}; the peer offers ' in text


def test_further_differences_follow_the_first() -> None:
    text = _ike(["aes128gcm16-prfsha256-x25519"], ["aes256gcm16-prfsha384-ecp384"])
    first, others = text.index("the encryption ("), text.index(", and further in the PRF (")
    assert first < others < text.index("the key exchange (")


def test_the_pair_that_comes_nearest_is_compared() -> None:
    theirs = ["aes256-sha512-prfsha512-modp4096", "aes128gcm16-prfsha256-x25519"]
    ours = ["aes256gcm16-prfsha384-ecp384", "aes128gcm16-prfsha256-ecp256"]
    text = _ike(theirs, ours)
    assert "the key exchange (the peer's x25519, ours ecp256); " in text
    assert f'write proposals = "aes128gcm16-prfsha256-x25519" {HERE}' in text
    assert all(one in text for one in (*theirs, *ours))


def test_what_is_not_done_here_is_called_by_its_name_and_not_advised() -> None:
    transforms = tuple(
        TransformSubstructure(*one)
        for one in (
            (TransformType.ENCR, 12, 128),
            (TransformType.PRF, 2),
            (TransformType.INTEG, 2),
            (TransformType.KE, 2),
        )
    )
    offered = SecurityAssociation((Offered(1, IKE, b"", transforms),))
    text = explaining.proposals(offered, DEFAULT_IKE, PEER)
    assert "(the peer's prfsha1, ours " in text
    assert "modp1024" in text
    assert "; the peer has to offer one of ours, such as aes128-sha256-prfsha256-x25519; the peer offers " in text


def test_what_is_weak_is_advised_for_a_peer_that_has_nothing_else() -> None:
    weak = offer([ike_proposal("aes256-sha256-modp1024", legacy=True)], IKE, b"", key_exchange=True)
    text = explaining.proposals(weak, DEFAULT_IKE, PEER)
    assert "; the peer has to offer one of ours, such as aes128-sha256-prfsha256-x25519; where it cannot, " in text
    assert f'write proposals = "aes256-sha256-prfsha256-modp1024" {HERE}, with legacy = true; the peer' in text


def test_a_group_for_pfs_is_called_that() -> None:
    text = _esp("aes128gcm16-modp2048", (esp_proposal("aes128gcm16-x25519"),))
    assert "the group for PFS (the peer's modp2048, ours x25519); " in text
    assert '; write esp_proposals = "aes128gcm16-modp2048" into [peers.warehouse.children.net]; the peer' in text


@pytest.mark.parametrize(
    ("theirs", "ours", "said", "written"),
    [
        ("aes128gcm16", "aes128gcm16-x25519", "(the peer's none, ours x25519)", "aes128gcm16"),
        ("aes128gcm16-ecp256", "aes128gcm16", "(the peer's ecp256, ours none)", "aes128gcm16-ecp256"),
    ],
)
def test_pfs_at_one_end_only(theirs: str, ours: str, said: str, written: str) -> None:
    text = _esp(theirs, (esp_proposal(ours),))
    assert f"the group for PFS {said}" in text
    assert f'write esp_proposals = "{written}"' in text


def test_groups_are_kept_where_they_are_not_negotiated() -> None:
    text = _esp("aes256gcm16", (esp_proposal("aes128gcm16-x25519"),), key_exchange=False)
    assert text.count("x25519") == 1
    assert 'write esp_proposals = "aes256gcm16-x25519"' in text


def test_a_weak_cipher_is_not_advised() -> None:
    text = _esp("3des-sha1", DEFAULT_ESP)
    assert "the peer's 3des" in text
    assert "write " not in text


def test_the_child_named_as_its_peer_is_written_in_the_peers_table() -> None:
    assert str(Place.of_child(Child("warehouse", "warehouse", (), ()))) == "`esp_proposals` of [peers.warehouse]"


def test_another_protocol_is_said_to_be_one() -> None:
    offered = offer([esp_proposal("aes128gcm16")], ESP, SPI, key_exchange=False)
    changed = SecurityAssociation((replace(offered.proposals[0], protocol=ProtocolId.AH),))
    said = explaining.proposals(changed, DEFAULT_ESP, PEER, protocol=ESP)
    assert said == "the peer offers AH, and ESP is configured"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (TransformSubstructure(6, 36), "the peer insists on a transform of type 6"),
        (TransformSubstructure(TransformType.ENCR, 20, 128, (Attribute(1, b"x"),)), "the encryption (the peer's"),
    ],
)
def test_what_is_too_strange_to_be_chosen_is_said(extra: TransformSubstructure, said: str) -> None:
    offered = offer([ike_proposal("aes128gcm16-prfsha256-x25519")], IKE, b"", key_exchange=True)
    others = [one for one in offered.proposals[0].transforms if one.type != extra.type]
    strange = SecurityAssociation((replace(offered.proposals[0], transforms=(extra, *others)),))
    assert said in explaining.proposals(strange, [ike_proposal("aes128gcm16-prfsha256-x25519")], PEER)


def test_a_peer_of_very_many_proposals_is_answered_in_a_bounded_line() -> None:
    many = tuple(TransformSubstructure(TransformType.PRF, 100 + at) for at in range(100))
    offered = SecurityAssociation(tuple(Offered(at, IKE, b"", many) for at in range(1, 6)))
    text = explaining.proposals(offered, DEFAULT_IKE, PEER)
    assert " and 1 more; we allow" in text
    assert len(text) < 2 * MAX_LOG_LINE_CHARACTERS


@pytest.mark.parametrize("ours", [DEFAULT_IKE, (ike_proposal("aes256-sha384-ecp384"),)])
def test_what_is_advised_is_a_proposal_that_would_have_been_chosen(ours: tuple[Proposal, ...]) -> None:
    for theirs in ("aes192-sha512-modp3072", "aes192gcm16-prfsha512-ecp256", "chacha20poly1305-prfsha512-x25519"):
        offered = offer([ike_proposal(theirs)], IKE, b"", key_exchange=True)
        text = explaining.proposals(offered, ours, PEER)
        written = text.partition('write proposals = "')[2].partition('"')[0]
        assert choose(offered, [ike_proposal(written)], IKE) is not None, text
