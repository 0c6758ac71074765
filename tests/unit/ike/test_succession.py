"""Successors of IKE SAs that are not as they must be (RFC 7296 sections 2.18 and 3.3.6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.crypto.transforms import TransformType
from culvert.ike.events import RekeyRequested
from culvert.ike.v2.sa import IkeSa, IkeState
from culvert.ike.v2.sealing import Payloads
from culvert.ipsec.proposals import ike_proposal
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.numbers import ExchangeType
from culvert.wire.isakmp.sa import Proposal, SecurityAssociation, TransformSubstructure
from tests.unit.ike.line import OTHER, Line
from tests.unit.ike.speech import Change, change

NONE = TransformSubstructure(TransformType.KE, 0)
OTHER_CIPHER = TransformSubstructure(TransformType.ENCR, 20, 256)


def _with(transform: TransformSubstructure) -> Change:
    """Put a transform in the place of those of its type."""

    def other(proposal: Proposal) -> Proposal:
        kept = tuple(one for one in proposal.transforms if one.type != transform.type)
        return replace(proposal, transforms=(*kept, transform))

    def changed(payloads: Payloads) -> Payloads:
        return tuple(
            SecurityAssociation(tuple(other(one) for one in payload.proposals))
            if isinstance(payload, SecurityAssociation)
            else payload
            for payload in payloads
        )

    return changed


def _without_exchange(payloads: Payloads) -> Payloads:
    return tuple(one for one in _with(NONE)(payloads) if not isinstance(one, KeyExchangePayload))


def _living(line: Line, name: str) -> list[IkeSa]:
    return [sa for sa in line.ends[name].state.sas.values() if sa.state is not IkeState.CLOSED]


@pytest.mark.parametrize("asks", OTHER)
@pytest.mark.parametrize("changed", [_with(NONE), _without_exchange], ids=["with a payload", "without a payload"])
def test_an_ike_sa_is_not_rekeyed_without_a_key_exchange(
    monkeypatch: pytest.MonkeyPatch, asks: str, changed: Change
) -> None:
    line = Line().connect()
    change(monkeypatch, ExchangeType.CREATE_CHILD_SA, changed, initiator=asks == "west", response=False)
    line.tell(asks, RekeyRequested(OTHER[asks], ike=True))
    line.deliver()
    assert len(line.ends[OTHER[asks]].state.sas) == 1


@pytest.mark.parametrize("asks", OTHER)
@pytest.mark.parametrize("transform", [NONE, OTHER_CIPHER], ids=["no group", "another cipher"])
def test_a_successor_of_other_algorithms_ends_the_ike_sa(
    monkeypatch: pytest.MonkeyPatch, asks: str, transform: TransformSubstructure
) -> None:
    """The peer has a successor that we cannot have: all of it is begun anew."""
    line = Line().connect()
    old = line.sa(asks)
    change(monkeypatch, ExchangeType.CREATE_CHILD_SA, _with(transform), initiator=asks != "west", response=True)
    line.tell(asks, RekeyRequested(OTHER[asks], ike=True))
    line.deliver()
    assert old.state is IkeState.CLOSED
    assert _living(line, asks) == []


@pytest.mark.parametrize("asks", OTHER)
def test_a_successor_with_another_group_than_ours_ends_the_ike_sa(monkeypatch: pytest.MonkeyPatch, asks: str) -> None:
    """Both groups are in our offer; our key exchange is of the other one."""
    line = Line(proposals=(ike_proposal("aes128gcm16-prfsha256-x25519-ecp256"),)).connect()
    old = line.sa(asks)
    other = _with(TransformSubstructure(TransformType.KE, 19))
    change(monkeypatch, ExchangeType.CREATE_CHILD_SA, other, initiator=asks != "west", response=True)
    line.tell(asks, RekeyRequested(OTHER[asks], ike=True))
    line.deliver()
    assert old.state is IkeState.CLOSED
    assert _living(line, asks) == []


@pytest.mark.parametrize("asks", OTHER)
def test_other_algorithms_are_refused_and_the_ike_sa_stays(monkeypatch: pytest.MonkeyPatch, asks: str) -> None:
    line = Line().connect()
    kept = [line.sa(name) for name in OTHER]
    other = _with(OTHER_CIPHER)
    change(monkeypatch, ExchangeType.CREATE_CHILD_SA, other, initiator=asks == "west", response=False)
    line.tell(asks, RekeyRequested(OTHER[asks], ike=True))
    line.deliver()
    assert [sa.state for sa in kept] == [IkeState.ESTABLISHED] * 2
    assert line.up()
