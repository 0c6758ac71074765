"""SA payloads as they are written and judged: numbers, SPIs, key lengths, groups (RFC 7296 sections 3.3 and 3.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.crypto.key_exchange import begin
from culvert.crypto.transforms import TransformType
from culvert.entropy import SeededEntropy
from culvert.ike import negotiation
from culvert.ike.negotiation import accept, choose, offer
from culvert.ike.status import PeerState
from culvert.ike.v2 import child_negotiation
from culvert.ike.v2.sa import ChildOffer
from culvert.ike.v2.sealing import Payloads
from culvert.ipsec.proposals import DEFAULT_ESP, DEFAULT_IKE, Proposal, esp_proposal, ike_proposal
from culvert.sim.pair import Pair
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.message import parse_message
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.isakmp.payload import Payload
from culvert.wire.isakmp.sa import Proposal as WireProposal
from culvert.wire.isakmp.sa import SecurityAssociation, TransformSubstructure
from tests.unit.ike.line import Line
from tests.unit.ike.speech import change

IKE, ESP, SPI = ProtocolId.IKE, ProtocolId.ESP, b"abcd"
ENCR, INTEG, KE = TransformType.ENCR, TransformType.INTEG, TransformType.KE


def _types(proposal: WireProposal, kind: TransformType) -> list[TransformSubstructure]:
    return [one for one in proposal.transforms if one.type == kind]


def _with(offered: SecurityAssociation, kind: TransformType, *instead: TransformSubstructure) -> SecurityAssociation:
    """Give the first proposal with other transforms of a kind."""
    first = offered.proposals[0]
    others = tuple(one for one in first.transforms if one.type != kind)
    return SecurityAssociation((replace(first, transforms=(*others, *instead)),))


@pytest.mark.parametrize(("ours", "protocol"), [(DEFAULT_IKE, IKE), (DEFAULT_ESP, ESP)], ids=["IKE", "ESP"])
def test_proposals_are_counted_from_one_in_the_order_of_preference(
    ours: tuple[Proposal, ...], protocol: ProtocolId
) -> None:
    written = offer(ours, protocol, SPI if protocol is ESP else b"", key_exchange=True).proposals
    assert [one.number for one in written] == list(range(1, len(ours) + 1))
    for proposal, configured in zip(written, ours, strict=True):
        assert [one.id for one in _types(proposal, ENCR)] == [one.id for one in configured.encryption]


def test_a_combined_cipher_is_offered_without_integrity() -> None:
    (proposal,) = offer((ike_proposal("aes128gcm16-prfsha256-x25519"),), IKE, b"", key_exchange=True).proposals
    assert _types(proposal, INTEG) == []


def test_several_key_lengths_are_several_transforms() -> None:
    (proposal,) = offer((ike_proposal("aes256-aes128-sha256-x25519"),), IKE, b"", key_exchange=True).proposals
    assert [(one.id, one.key_length) for one in _types(proposal, ENCR)] == [(12, 256), (12, 128)]


def test_the_answer_has_the_number_of_the_proposal_that_is_accepted() -> None:
    theirs = (ike_proposal("aes256-sha512-modp4096"), ike_proposal("aes128-sha256-x25519"))
    chosen = choose(offer(theirs, IKE, b"", key_exchange=True), theirs[1:], IKE)
    assert chosen is not None
    (answer,) = chosen.answer(IKE, b"").proposals
    assert answer.number == 2
    assert _types(answer, ENCR) == [TransformSubstructure(ENCR, 12, 128)]


def test_the_first_ike_sa_is_proposed_without_an_spi() -> None:
    first, answer = (parse_message(data) for _, data in Line().connect().sent[:2])
    proposals = [one for message in (first, answer) for one in _sa_of(message.payloads).proposals]
    assert [one.spi for one in proposals] == [b"", b""]


def _sa_of(payloads: tuple[Payload, ...]) -> SecurityAssociation:
    return next(one for one in payloads if isinstance(one, SecurityAssociation))


def test_a_key_length_where_there_is_none_is_not_chosen() -> None:
    ours = (esp_proposal("chacha20poly1305"),)
    offered = offer(ours, ESP, SPI, key_exchange=False)
    assert choose(offered, ours, ESP, key_exchange=False) is not None
    assert choose(_with(offered, ENCR, TransformSubstructure(ENCR, 28, 256)), ours, ESP, key_exchange=False) is None


def test_a_cipher_without_its_key_length_is_not_chosen() -> None:
    ours = (esp_proposal("aes128gcm16"),)
    offered = _with(offer(ours, ESP, SPI, key_exchange=False), ENCR, TransformSubstructure(ENCR, 20))
    assert choose(offered, ours, ESP, key_exchange=False) is None


@pytest.mark.parametrize("kind", [TransformType.ENCR, TransformType.PRF, TransformType.KE])
def test_a_proposal_without_a_transform_that_an_ike_sa_needs_is_not_chosen(kind: TransformType) -> None:
    offered = offer(DEFAULT_IKE[:1], IKE, b"", key_exchange=True)
    assert choose(offered, DEFAULT_IKE, IKE) is not None
    assert choose(_with(offered, kind), DEFAULT_IKE, IKE) is None


def test_without_a_word_about_extended_sequence_numbers_there_are_none() -> None:
    """RFC 7296 section 3.3.3 wants that transform; who leaves it out can only mean one thing."""
    ours = (esp_proposal("aes128gcm16"),)
    chosen = choose(_with(offer(ours, ESP, SPI, key_exchange=False), TransformType.ESN), ours, ESP, key_exchange=False)
    assert chosen is not None
    assert not chosen.suite.esn
    only = (esp_proposal("aes128gcm16-esn"),)
    assert (
        choose(_with(offer(only, ESP, SPI, key_exchange=False), TransformType.ESN), only, ESP, key_exchange=False)
        is None
    )


@pytest.mark.parametrize(("group", "good"), [(31, False), (0, True)])
def test_an_answer_that_names_a_group_where_none_was_asked_for(group: int, good: bool) -> None:
    ours = (esp_proposal("aes128gcm16-x25519-none"),)
    answer = _with(offer(ours, ESP, SPI, key_exchange=False), KE, TransformSubstructure(KE, group))
    assert (accept(answer, ours, ESP, key_exchange=False) is not None) is good


@pytest.mark.parametrize("kind", [ENCR, INTEG], ids=["encryption", "integrity"])
def test_an_ike_sa_without_integrity_or_encryption_is_not_chosen(kind: TransformType) -> None:
    none = TransformSubstructure(kind, 11 if kind is ENCR else 0)
    for ours in (DEFAULT_IKE, (ike_proposal("aes128-sha256-x25519"),)):
        for theirs in ours:
            if kind is INTEG and not theirs.integrity:
                continue
            offered = offer((theirs,), IKE, b"", key_exchange=True)
            assert choose(offered, ours, IKE) is not None
            assert choose(_with(offered, kind, none), ours, IKE) is None
            assert choose(_with(offered, kind), ours, IKE) is None


def _request(text: str) -> tuple[Payload, ...]:
    """Give the request for a child with these proposals, as CREATE_CHILD_SA has it."""
    child = replace(Pair().west_peer.children[0], proposals=(esp_proposal(text),))
    method = negotiation.preferred_method(child.proposals)
    private = begin(method, SeededEntropy(1)) if method else None
    wished = ChildOffer(child, child.local, child.remote, 4_096, bytes(32), private, method)
    return child_negotiation.request(wished, key_exchange=True)


def _exchanges(payloads: tuple[Payload, ...]) -> list[int]:
    return [one.method for one in payloads if isinstance(one, KeyExchangePayload)]


@pytest.mark.parametrize("text", ["aes128gcm16-x25519", "aes128gcm16-ecp256-x25519", "aes128gcm16-x25519-none"])
def test_the_group_of_our_key_exchange_stands_in_our_offer(text: str) -> None:
    payloads = _request(text)
    (method,) = _exchanges(payloads)
    assert method in [one.id for one in _types(_sa_of(payloads).proposals[0], KE)]


def test_without_a_group_no_key_exchange_is_sent() -> None:
    assert _exchanges(_request("aes128gcm16")) == []


def test_a_key_exchange_beside_no_group_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The responder has no group, so it chooses none, and answers without a key exchange."""
    pair, answers = Pair(), list[Payloads]()

    def seen(payloads: Payloads) -> Payloads:
        answers.append(payloads)
        return payloads

    change(monkeypatch, ExchangeType.CREATE_CHILD_SA, seen, initiator=False, response=True)
    children = (replace(pair.east_peer.children[0], proposals=(esp_proposal("aes128gcm16"),)),)
    pair.east_peer = replace(pair.east_peer, children=children)
    pair.connect()
    assert [_exchanges(one) for one in answers] == [[]]
    installed = [*pair.west.plane.associations.values(), *pair.east.plane.associations.values()]
    assert len(installed) == 4
    assert pair.west.endpoint.status("east").state is PeerState.UP


def test_an_offer_for_another_protocol_is_not_chosen() -> None:
    ours = (esp_proposal("aes128gcm16"),)
    offered = offer(ours, ESP, SPI, key_exchange=False)
    over_ah = SecurityAssociation(tuple(replace(one, protocol=ProtocolId.AH) for one in offered.proposals))
    assert choose(offered, ours, ESP, key_exchange=False) is not None
    assert choose(over_ah, ours, ESP, key_exchange=False) is None
