"""Requests about children that are going or gone (RFC 7296 section 2.25.1)."""

from __future__ import annotations

import pytest

from culvert.entropy import SeededEntropy
from culvert.ike.actions import Transmit
from culvert.ike.v2 import child_negotiation
from culvert.ike.v2.opening import sealed_in
from culvert.ike.v2.sa import ChildOffer, ChildSa
from culvert.ike.v2.sealing import open_sealed, seal
from culvert.wire.isakmp.encrypted import Encrypted
from culvert.wire.isakmp.message import parse_payloads
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.isakmp.payload import Payload
from tests.unit.ike.line import OTHER, Line


def _child(line: Line, name: str) -> ChildSa:
    (lineage,) = line.ends[name].state.lineages.values()
    (child,) = lineage.children.values()
    return child


def _answered(line: Line, name: str, old_spi: int) -> list[Payload]:
    """Let an end ask for the successor of a child; give what it is answered."""
    sa, child = line.sa(name), _child(line, name)
    offer = ChildOffer(child.child, child.local, child.remote, 70_000, bytes(32))
    payloads = child_negotiation.request(offer, key_exchange=True, old_spi_in=old_spi)
    number = sa.window.next_request
    data = seal(sa, SeededEntropy(4), ExchangeType.CREATE_CHILD_SA, payloads, message_id=number, response=False)
    (answer,) = (one for one in line.receive(OTHER[name], data) if isinstance(one, Transmit))
    sealed = sealed_in(answer.data)
    assert isinstance(sealed, Encrypted)
    return list(parse_payloads(sealed.first_payload, open_sealed(sa, answer.data, sealed)))


@pytest.mark.parametrize("name", OTHER)
def test_a_child_that_is_not_there_is_named(name: str) -> None:
    line = Line().connect()
    missing = (0xABCDEF01).to_bytes(4, "big")
    answer = _answered(line, name, 0xABCDEF01)
    assert answer == [Notify(NotifyType.CHILD_SA_NOT_FOUND, b"", ProtocolId.ESP, missing)]
    assert line.up()


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("state", ["deleting", "redundant"])
def test_a_child_that_is_going_is_told_of(name: str, state: str) -> None:
    line = Line().connect()
    setattr(_child(line, OTHER[name]), state, True)
    assert _answered(line, name, _child(line, name).spi_in) == [Notify(NotifyType.TEMPORARY_FAILURE)]
