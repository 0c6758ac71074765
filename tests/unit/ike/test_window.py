from __future__ import annotations

import pytest

from culvert.ike.v2 import window
from culvert.ike.v2.sa import Liveness, Window
from culvert.ike.v2.window import Verdict
from culvert.wire.isakmp.header import Header, peek
from culvert.wire.isakmp.message import Message, emit_message
from culvert.wire.isakmp.numbers import ExchangeType


def test_each_request_once_and_in_order() -> None:
    one = Window()
    assert window.judge(one, 0, b"a") is Verdict.NEW
    assert window.judge(one, 1, b"b") is Verdict.OUTSIDE
    window.answered(one, window.digest(b"a"), (b"answer",))
    assert window.judge(one, 0, b"a") is Verdict.REPEATED
    assert window.judge(one, 0, b"forged") is Verdict.REWRITTEN
    assert window.judge(one, 1, b"b") is Verdict.NEW
    window.answered(one, window.digest(b"b"), (b"answer", b"in two"))
    assert window.judge(one, 0, b"a") is Verdict.OUTSIDE


def test_before_the_first_answer_nothing_is_repeated() -> None:
    assert window.judge(Window(expected=1), 0, b"") is Verdict.OUTSIDE


def _message(number: int, exchange: ExchangeType = ExchangeType.INFORMATIONAL) -> Message:
    return Message(b"spi of i", b"spi of r", exchange, True, False, number)


def _header(number: int, exchange: ExchangeType = ExchangeType.INFORMATIONAL) -> Header:
    return peek(emit_message(_message(number, exchange)))


def test_an_answer_of_another_exchange_is_none() -> None:
    one = Window()
    window.sent(one, (emit_message(_message(0)),), Liveness(), None)
    assert not window.awaits(one, _header(0, ExchangeType.CREATE_CHILD_SA))


def test_one_request_of_ours_at_a_time() -> None:
    one = Window()
    assert not window.awaits(one, _header(0))
    window.sent(one, (emit_message(_message(0)),), Liveness(), None)
    assert window.awaits(one, _header(0))
    assert not window.awaits(one, _header(1))
    with pytest.raises(ValueError, match="second request"):
        window.sent(one, (b"another",), Liveness(), None)
