"""What notifications say about which SA, and errors that nobody here knows (RFC 7296 sections 3.10 and 3.10.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.config.model import Child
from culvert.ike.events import Connect, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2 import child_negotiation
from culvert.ike.v2.sa import ChildOffer, IkeState
from culvert.ike.v2.sealing import Payloads
from culvert.ipsec.associations import Mode, Protocol
from culvert.ipsec.proposals import ah_proposal
from culvert.sim.pair import Pair
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from tests.unit.ike.speech import change

INVENTED = Notify(8_192 + 77)
ENDS = ["west", "east"]
CHILD = Pair().west_peer.children[0]
OVER_AH = replace(CHILD, protocol=Protocol.AH, proposals=(ah_proposal("sha256"),))


@pytest.mark.parametrize(("child", "protocol"), [(CHILD, ProtocolId.ESP), (OVER_AH, ProtocolId.AH)])
@pytest.mark.parametrize("mode", Mode)
def test_what_concerns_a_child_names_its_protocol_and_the_rest_none(
    child: Child, protocol: ProtocolId, mode: Mode
) -> None:
    offer = ChildOffer(replace(child, mode=mode), child.local, child.remote, 4_096, bytes(32))
    payloads = child_negotiation.request(offer, key_exchange=True, old_spi_in=5_000)
    said = [one for one in payloads if isinstance(one, Notify)]
    assert {one.type for one in said} >= {NotifyType.REKEY_SA}
    for one in said:
        assert one.protocol == (protocol if one.spi else ProtocolId.NONE)
        assert bool(one.spi) == (one.type == NotifyType.REKEY_SA)


@pytest.mark.parametrize("exchange", [ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA])
def test_an_unknown_error_in_a_request_is_ignored(monkeypatch: pytest.MonkeyPatch, exchange: ExchangeType) -> None:
    change(monkeypatch, exchange, lambda payloads: (*payloads, INVENTED), initiator=True, response=False)
    pair = Pair().connect()
    pair.tell("west", RekeyRequested("east"))
    assert pair.west.endpoint.status("east").state is PeerState.UP
    assert pair.east.endpoint.status("west").state is PeerState.UP


def _also(payloads: Payloads) -> Payloads:
    return (INVENTED, *payloads)


def test_an_unknown_error_in_a_response_is_the_failure_of_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the responder made of a request for a child is deleted, and the IKE SA stays."""
    change(monkeypatch, ExchangeType.CREATE_CHILD_SA, _also, initiator=False, response=True)
    pair = Pair().connect()
    pair.wait(8)
    assert not pair.west.plane.associations
    assert not pair.east.plane.associations
    assert pair.west.endpoint.status("east").ike is not None
    monkeypatch.undo()
    pair.tell("west", Connect("east"), 120)
    assert pair.west.endpoint.status("east").state is PeerState.UP


def test_an_unknown_error_fails_a_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    change(monkeypatch, ExchangeType.IKE_AUTH, _also, initiator=False, response=True)
    pair = Pair().connect()
    assert pair.west.endpoint.census().established == 0


@pytest.mark.parametrize("asks", ENDS)
def test_an_unknown_error_fails_the_rekey_of_an_ike_sa(monkeypatch: pytest.MonkeyPatch, asks: str) -> None:
    """The peer has a successor that we do not have, so all of it is begun anew."""
    pair = Pair().connect()
    old = [next(iter(node.endpoint.state.sas.values())) for node in (pair.west, pair.east)]
    change(monkeypatch, ExchangeType.CREATE_CHILD_SA, _also, initiator=asks != "west", response=True)
    pair.tell(asks, RekeyRequested("east" if asks == "west" else "west", ike=True))
    assert [sa.state for sa in old] == [IkeState.CLOSED] * 2
    assert not getattr(pair, asks).plane.associations


@pytest.mark.parametrize("asks", ENDS)
def test_a_peer_that_rekeys_no_child_is_called_anew(monkeypatch: pytest.MonkeyPatch, asks: str) -> None:
    pair = Pair().connect()
    old = next(iter(pair.west.endpoint.state.sas.values()))
    refusal = (Notify(NotifyType.NO_ADDITIONAL_SAS),)
    change(monkeypatch, ExchangeType.CREATE_CHILD_SA, lambda _: refusal, initiator=asks != "west", response=True)
    pair.tell(asks, RekeyRequested("east" if asks == "west" else "west"))
    monkeypatch.undo()
    pair.wait(30)
    assert old.state is IkeState.CLOSED
