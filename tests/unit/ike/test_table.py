from __future__ import annotations

import itertools

import pytest

from culvert.ike.v2 import table
from culvert.ike.v2.reading import Contents
from culvert.ike.v2.sa import IkeState
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.isakmp.payload import Unknown

LIVE = (IkeState.ESTABLISHED, IkeState.UNDECIDED, IkeState.REPLACED, IkeState.DELETING)
LEGAL = [(IkeState.HALF_OPEN, ExchangeType.IKE_AUTH)] + [
    (state, exchange) for state in LIVE for exchange in (ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL)
]


@pytest.mark.parametrize(("state", "exchange"), list(itertools.product(IkeState, [*ExchangeType, 43, 240])))
def test_nothing_is_allowed_but_what_is_written_here(state: IkeState, exchange: int) -> None:
    """CVE-2014-2338, CVE-2019-12312: exchanges before IKE_AUTH, and rekeys of what is not established."""
    assert table.request_allowed(state, exchange) == ((state, exchange) in LEGAL)


@pytest.mark.parametrize("state", [IkeState.HALF_OPEN, IkeState.CLOSED])
@pytest.mark.parametrize("exchange", ExchangeType)
def test_who_is_not_authenticated_is_not_answered_anything(state: IkeState, exchange: ExchangeType) -> None:
    assert table.judge_response(state, exchange, Contents(()))


def test_payloads_are_required_once() -> None:
    nonce = Nonce(bytes(16))
    assert "SA payloads" in table.judge_first(Contents((nonce,)))
    problem = table.judge_request(IkeState.ESTABLISHED, ExchangeType.INFORMATIONAL, Contents((nonce,)))
    assert "does not belong" in problem


def test_notifications_and_unknown_payloads_do_no_harm() -> None:
    contents = Contents((Delete(ProtocolId.IKE), Unknown(200, False, b"")))
    assert table.judge_request(IkeState.ESTABLISHED, ExchangeType.INFORMATIONAL, contents) == ""
