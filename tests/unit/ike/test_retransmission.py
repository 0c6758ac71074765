from __future__ import annotations

from culvert.clock import SECOND
from culvert.ike.retransmission import ESTABLISHED, SET_UP


def test_waits_double_and_end() -> None:
    waits = [SET_UP.wait(transmissions) for transmissions in range(1, 8)]
    assert waits == [SECOND // 2, SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND, 16 * SECOND, None]
    assert SET_UP.total == sum(wait for wait in waits if wait)


def test_an_established_peer_gets_about_a_minute() -> None:
    assert 55 * SECOND < ESTABLISHED.total < 70 * SECOND
    assert SET_UP.total < ESTABLISHED.total
