from __future__ import annotations

from culvert.clock import SECOND
from culvert.ike.retransmission import ESTABLISHED, SET_UP


def test_waits_double_up_to_a_limit_and_end() -> None:
    waits = [SET_UP.wait(transmissions) for transmissions in range(1, 9)]
    assert waits == [SECOND // 2, SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND, 8 * SECOND, 8 * SECOND, None]
    assert SET_UP.total == sum(wait for wait in waits if wait)


def test_after_an_outage_no_tunnel_waits_long_to_be_found_alive() -> None:
    waits = [ESTABLISHED.wait(transmissions) or 0 for transmissions in range(1, ESTABLISHED.attempts + 1)]
    assert max(waits) <= 8 * SECOND


def test_an_established_peer_gets_about_a_minute() -> None:
    assert 55 * SECOND < ESTABLISHED.total < 70 * SECOND
    assert SET_UP.total < ESTABLISHED.total
