"""IKE SAs that are set up without a child (RFC 6023), in both roles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.config.model import Start
from culvert.ike.events import Configured
from culvert.ike.v2 import child_negotiation, extensions
from culvert.ike.v2.exchanges import ike_auth, ike_sa_init
from culvert.ike.v2.sa import ChildOffer, CreateChild
from culvert.ike.v2.sealing import Payloads
from culvert.reasons import Refusal
from culvert.wire.isakmp.message import parse_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.sa import SecurityAssociation
from tests.unit.ike.line import OTHER, Line

ANNOUNCED = Notify(NotifyType.CHILDLESS_IKEV2_SUPPORTED)


def _begin(line: Line, initiator: str = "west", *, wanted: bool = True) -> Line:
    """Begin an IKE SA without a first child; `wanted`: its children are to be there."""
    other = OTHER[initiator]
    start = Start.ALWAYS if wanted else Start.PASSIVE
    ctx = line.ends[initiator]._ctx
    record = ctx.peers[other]
    record.peer = replace(record.peer, start=start)
    assert ike_sa_init.initiate(ctx, record, (line.address(initiator), line.address(other)), None) is not None
    line.tell(initiator, Configured((record.peer,)))
    return line.deliver()


@pytest.mark.parametrize("initiator", ["west", "east"])
def test_an_ike_sa_without_a_child(initiator: str) -> None:
    line = _begin(Line(), initiator, wanted=False)
    for name, end in line.ends.items():
        status = end.status(OTHER[name])
        assert status.ike is not None
        assert status.children == ()
        assert end.census().established == 1
    responder = OTHER[initiator]
    answers = [data for name, data in line.sent if name == responder]
    assert ANNOUNCED in parse_message(answers[0]).payloads
    asked = next(data for name, data in line.sent if name == initiator)
    assert ANNOUNCED not in parse_message(asked).payloads, "it is the responder's to announce"


def test_children_follow_in_exchanges_of_their_own() -> None:
    line = _begin(Line())
    assert line.up()
    kinds = [header.exchange.name for header in line.headers("west") if not header.response]  # type: ignore[union-attr]
    assert kinds == ["IKE_SA_INIT", "IKE_AUTH", "CREATE_CHILD_SA"]
    assert len(line.ends["west"].status("east").children) == 1


def test_a_responder_that_does_not_announce_it_gets_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "answered", lambda _: ())
    line = _begin(Line())
    assert line.up()
    assert not line.ends["west"].census().asking
    exchanges = [header.exchange.name for header in line.headers("west")]  # type: ignore[union-attr]
    assert exchanges == ["IKE_SA_INIT", "IKE_AUTH"]
    assert CreateChild("net") not in line.ends["west"]._ctx.live("east")[0].queue


def test_a_child_that_was_not_asked_for_ends_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    payloads = _child_answer(Line())
    monkeypatch.setattr(ike_auth, "_first_child", lambda *_: payloads)
    line = _begin(Line())
    assert not line.ends["west"].census().established
    assert line.ends["west"].status("east").reason is Refusal.UNEXPECTED_MESSAGE


def _child_answer(line: Line) -> Payloads:
    """Give what a responder writes about a first child."""
    peer = line.ends["east"]._ctx.peers["west"].peer
    child = peer.children[0]
    offer = ChildOffer(child, child.local, child.remote, 0x12345678, bytes(32))
    payloads = tuple(child_negotiation.request(offer, key_exchange=False))
    assert any(isinstance(one, SecurityAssociation) for one in payloads)
    return payloads
