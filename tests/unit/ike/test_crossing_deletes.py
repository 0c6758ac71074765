"""Both ends delete a child at once (RFC 7296 section 1.4.1)."""

from __future__ import annotations

import pytest

from culvert.ike.actions import Action, InstallAssociation, RemoveAssociation, Transmit
from culvert.ike.v2.opening import sealed_in
from culvert.ike.v2.sa import ChildSa, DeleteChild, IkeSa
from culvert.ike.v2.sealing import open_sealed
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.encrypted import Encrypted
from culvert.wire.isakmp.message import parse_payloads
from culvert.wire.isakmp.numbers import ProtocolId
from culvert.wire.isakmp.payload import Payload
from tests.unit.ike.line import OTHER, Line


def _child(line: Line, name: str) -> ChildSa:
    (lineage,) = line.ends[name].state.lineages.values()
    (child,) = lineage.children.values()
    return child


def _opened(sa: IkeSa, data: bytes) -> tuple[Payload, ...]:
    sealed = sealed_in(data)
    assert isinstance(sealed, Encrypted)
    return parse_payloads(sealed.first_payload, open_sealed(sa, data, sealed))


def _sent(actions: list[Action]) -> bytes:
    (one,) = (action for action in actions if isinstance(action, Transmit))
    return one.data


def _done(actions: list[Action]) -> list[object]:
    """Give what is said and removed, in order; the removed ones by their identity."""
    shown = [one for one in actions if isinstance(one, Transmit | RemoveAssociation | InstallAssociation)]
    return [one.id if isinstance(one, RemoveAssociation) else type(one) for one in shown]


@pytest.mark.parametrize("name", OTHER)
def test_each_end_lets_its_outbound_half_go_with_the_request_and_names_nothing_in_the_answer(name: str) -> None:
    line = Line().connect()
    children = {end: _child(line, end) for end in OTHER}
    for end in OTHER:
        line.begin(end, DeleteChild(children[end].spi_in))
    requests = dict(line.sent[-2:])
    actions = line.receive(name, requests[OTHER[name]])
    assert children[name].outbound.id in _done(actions)
    assert children[name].inbound.id not in _done(actions)
    assert _opened(line.sa(OTHER[name]), _sent(actions)) == ()


@pytest.mark.parametrize("name", OTHER)
def test_alone_the_answer_names_our_inbound_half(name: str) -> None:
    line = Line().connect()
    child = _child(line, name)
    line.begin(OTHER[name], DeleteChild(child.spi_out))
    actions = line.receive(name, line.sent[-1][1])
    assert _opened(line.sa(OTHER[name]), _sent(actions)) == (
        Delete(ProtocolId.ESP, (child.spi_in.to_bytes(4, "big"),)),
    )
