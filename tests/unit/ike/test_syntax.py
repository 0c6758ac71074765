"""Requests that make no sense: refused by name, and what that ends (RFC 7296 sections 2.21.2 and 2.21.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.entropy import SeededEntropy
from culvert.ike.actions import Action, Transmit
from culvert.ike.events import RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2.opening import sealed_in
from culvert.ike.v2.sa import IkeSa, IkeState, Liveness
from culvert.ike.v2.sealing import Payloads, open_sealed, seal
from culvert.ipsec.proposals import Proposal, ike_proposal
from culvert.reasons import Refusal
from culvert.sim.pair import Pair
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.encrypted import Encrypted
from culvert.wire.isakmp.header import HEADER_OCTETS
from culvert.wire.isakmp.message import parse_payloads
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.isakmp.payload import Payload, Unknown
from culvert.wire.isakmp.sa import SecurityAssociation
from tests.unit.ike.line import AEAD, OTHER, Line
from tests.unit.ike.speech import change

INITIATOR_FLAG = 0x08
CBC = (ike_proposal("aes128-sha256-x25519"),)
ENDS = ["west", "east"]


def _asked(line: Line, name: str, exchange: ExchangeType, payloads: Payloads) -> list[Payload]:
    """Let an end ask something under its IKE SA; give what is answered."""
    sa = line.sa(name)
    data = seal(sa, SeededEntropy(5), exchange, payloads, message_id=sa.window.next_request, response=False)
    (answer,) = _sent(line.receive(OTHER[name], data))
    return _opened(sa, answer.data)


def _sent(actions: list[Action]) -> list[Transmit]:
    return [one for one in actions if isinstance(one, Transmit)]


def _opened(sa: IkeSa, data: bytes) -> list[Payload]:
    sealed = sealed_in(data)
    assert isinstance(sealed, Encrypted)
    return list(parse_payloads(sealed.first_payload, open_sealed(sa, data, sealed)))


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("octets", [b"\1", bytes(4_000)], ids=["short", "long"])
def test_a_request_that_is_malformed_is_answered_and_ends_the_ike_sa(name: str, octets: bytes) -> None:
    line = Line().connect()
    ended = line.sa(OTHER[name])
    answer = _asked(line, name, ExchangeType.INFORMATIONAL, (Unknown(42, False, octets),))
    assert answer == [Notify(NotifyType.INVALID_SYNTAX)]
    assert ended.state is IkeState.CLOSED


@pytest.mark.parametrize("name", ENDS)
def test_an_empty_request_gets_an_empty_answer(name: str) -> None:
    assert _asked(Line().connect(), name, ExchangeType.INFORMATIONAL, ()) == []


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("proposals", [AEAD, CBC], ids=["aead", "cbc"])
def test_a_request_with_one_wrong_octet_is_not_taken(name: str, proposals: tuple[Proposal, ...]) -> None:
    line = Line(proposals=proposals).connect()
    sa, judge = line.sa(name), line.sa(OTHER[name])
    number = sa.window.next_request
    data = seal(sa, SeededEntropy(5), ExchangeType.INFORMATIONAL, (), message_id=number, response=False)
    for at in range(HEADER_OCTETS + 4, len(data)):
        forged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert _sent(line.receive(OTHER[name], forged)) == []
    assert judge.window.expected == number
    assert len(_sent(line.receive(OTHER[name], data))) == 1


@pytest.mark.parametrize("name", ENDS)
def test_a_response_with_one_wrong_octet_is_not_taken(name: str) -> None:
    line = Line().connect()
    line.begin(name, Liveness())
    ((_, request),) = line.sent[-1:]
    answer = _sent(line.receive(OTHER[name], request))[0].data
    line.receive(name, answer[:-1] + bytes([answer[-1] ^ 1]))
    assert line.sa(name).window.outstanding is not None
    line.receive(name, answer)
    assert line.sa(name).window.outstanding is None


@pytest.mark.parametrize("name", ENDS)
def test_an_unknown_critical_payload_is_named_and_nothing_else_of_its_message_is_done(name: str) -> None:
    line = Line().connect()
    delete = Delete(ProtocolId.IKE)
    answer = _asked(line, name, ExchangeType.INFORMATIONAL, (delete, Unknown(99, True, b"?")))
    assert answer == [Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([99]))]
    assert line.up()


@pytest.mark.parametrize("initiator", ENDS)
@pytest.mark.parametrize("asks", ENDS)
def test_who_is_told_so_ends_it_as_well(monkeypatch: pytest.MonkeyPatch, initiator: str, asks: str) -> None:
    line = Line(initiator=initiator).connect()
    old = [line.sa(name) for name in OTHER]
    by_initiator = asks == initiator
    malformed = (Unknown(42, False, b"\1"),)
    change(monkeypatch, ExchangeType.INFORMATIONAL, lambda _: malformed, initiator=by_initiator, response=False)
    line.begin(asks, Liveness()).deliver()
    assert [sa.state for sa in old] == [IkeState.CLOSED] * 2
    assert line.ends[asks].status(OTHER[asks]).reason is Refusal.INVALID_SYNTAX


def test_one_that_was_replaced_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The DELETE for an old IKE SA is not understood: its successor stays."""
    pair = Pair().connect()
    refusal = (Notify(NotifyType.INVALID_SYNTAX),)
    change(monkeypatch, ExchangeType.INFORMATIONAL, lambda _: refusal, initiator=False, response=True)
    said = pair.tell("west", RekeyRequested("east", ike=True))
    assert any("east sends INFORMATIONAL response" in line for line in said)
    assert pair.west.endpoint.status("east").state is PeerState.UP


@pytest.mark.parametrize("asks", ENDS)
def test_a_bad_public_value_within_an_ike_sa_ends_it_at_both_ends(monkeypatch: pytest.MonkeyPatch, asks: str) -> None:
    line = Line(initiator="west").connect()
    old = [line.sa(name) for name in OTHER]
    exchange = ExchangeType.CREATE_CHILD_SA
    change(monkeypatch, exchange, _with_bad_public_value, initiator=asks == "west", response=False)
    line.tell(asks, RekeyRequested(OTHER[asks], ike=True))
    line.deliver()
    assert [sa.state for sa in old] == [IkeState.CLOSED] * 2


def _with_bad_public_value(payloads: Payloads) -> Payloads:
    return tuple(replace(one, public=bytes(32)) if hasattr(one, "public") else one for one in payloads)


def _without_spi(payloads: Payloads) -> Payloads:
    """Offer the reserved SPI 0 for the first child."""

    def zero(sa: SecurityAssociation) -> SecurityAssociation:
        return SecurityAssociation(tuple(replace(one, spi=bytes(4)) for one in sa.proposals))

    return tuple(zero(one) if isinstance(one, SecurityAssociation) else one for one in payloads)


def test_what_cannot_be_a_child_ends_the_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    change(monkeypatch, ExchangeType.IKE_AUTH, _without_spi, initiator=True, response=False)
    line.connect()
    assert line.ends["east"].census().established == 0
    assert line.ends["west"].status("east").state is not PeerState.UP
    assert line.ends["west"].status("east").reason is Refusal.INVALID_SYNTAX


@pytest.mark.parametrize("name", ENDS)
def test_a_message_in_the_other_ends_role_is_for_nobody(name: str) -> None:
    line = Line().connect()
    sa = line.sa(name)
    data = bytearray(
        seal(sa, SeededEntropy(5), ExchangeType.INFORMATIONAL, (), message_id=sa.window.next_request, response=False)
    )
    data[19] ^= INITIATOR_FLAG
    before = line.ends[OTHER[name]].refused().get(Refusal.UNKNOWN_IKE_SPI, 0)
    line.receive(OTHER[name], bytes(data))
    assert line.ends[OTHER[name]].refused()[Refusal.UNKNOWN_IKE_SPI] == before + 1
    assert line.up()
