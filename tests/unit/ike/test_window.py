from __future__ import annotations

import pytest

from culvert.ike.v2 import window
from culvert.ike.v2.sa import Liveness, Window
from culvert.ike.v2.window import Verdict


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


def test_one_request_of_ours_at_a_time() -> None:
    one = Window()
    assert not window.awaits(one, 0)
    window.sent(one, (b"request",), Liveness(), None)
    assert window.awaits(one, 0)
    assert not window.awaits(one, 1)
    with pytest.raises(ValueError, match="second request"):
        window.sent(one, (b"another",), Liveness(), None)
