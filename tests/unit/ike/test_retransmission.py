from __future__ import annotations

from culvert.clock import SECOND
from culvert.ike.retransmission import ESTABLISHED, JITTER_PERCENT, LONGEST_NS, SET_UP, stretched
from culvert.limits import MAX_PROMPT_REQUESTS


def test_waits_double_up_to_a_limit_and_end() -> None:
    waits = [SET_UP.wait(transmissions) for transmissions in range(1, 12)]
    assert waits == [SECOND // 2, SECOND, 2 * SECOND, *[LONGEST_NS] * 7, None]
    assert SET_UP.total == sum(wait for wait in waits if wait)


def test_whoever_comes_back_is_asked_in_time_for_traffic_within_five_seconds() -> None:
    for schedule in (ESTABLISHED, SET_UP):
        waits = [schedule.wait(transmissions) or 0 for transmissions in range(1, schedule.attempts + 1)]
        assert max(waits) <= 3.5 * SECOND


def test_an_established_peer_gets_a_minute_whatever_the_jitter() -> None:
    assert ESTABLISHED.total * (100 - JITTER_PERCENT) // 100 > 60 * SECOND
    assert ESTABLISHED.total < 80 * SECOND
    assert SET_UP.total < ESTABLISHED.total


def test_many_requests_share_the_rate_of_some() -> None:
    assert stretched(SECOND, 1) == stretched(SECOND, MAX_PROMPT_REQUESTS) == SECOND
    assert stretched(SECOND, 5 * MAX_PROMPT_REQUESTS) == 5 * SECOND
