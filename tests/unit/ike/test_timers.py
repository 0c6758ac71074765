from __future__ import annotations

from culvert.ike.timers import Timer, Timers


def test_the_earliest_comes_first_and_only_once() -> None:
    timers = Timers()
    timers.set(Timer.LIVENESS, "a", 30)
    timers.set(Timer.RETRANSMIT, "a", 10)
    assert timers.next() == (10, (Timer.RETRANSMIT, "a"))
    assert timers.pop(5) is None
    assert timers.pop(10) == (Timer.RETRANSMIT, "a")
    assert timers.pop(10) is None


def test_setting_again_moves_and_clearing_forgets() -> None:
    timers = Timers()
    timers.set(Timer.LIVENESS, "a", 10)
    timers.set(Timer.LIVENESS, "a", 50)
    assert timers.at(Timer.LIVENESS, "a") == 50
    timers.clear_all("a")
    assert timers.next() is None


def test_equal_instants_come_in_the_order_in_which_they_were_set() -> None:
    timers = Timers()
    for owner in ("c", "a", "b"):
        timers.set(Timer.RECONNECT, owner, 7)
    assert [timers.pop(7) for _ in range(3)] == [(Timer.RECONNECT, owner) for owner in ("c", "a", "b")]


def test_a_timer_that_is_moved_for_ever_does_not_grow() -> None:
    timers = Timers()
    for instant in range(10_000):
        timers.set(Timer.LIVENESS, "a", instant)
    assert len(timers._heap) < 200
    assert timers.next() == (9_999, (Timer.LIVENESS, "a"))


def test_timers_of_a_kind_are_counted() -> None:
    timers = Timers()
    for owner in ("a", "b", "b", "c"):
        timers.set(Timer.RETRANSMIT, owner, 7)
    timers.set(Timer.LIVENESS, "a", 9)
    assert timers.count(Timer.RETRANSMIT) == 3
    timers.clear(Timer.RETRANSMIT, "a")
    timers.clear(Timer.RETRANSMIT, "a")
    timers.pop(7)
    assert (timers.count(Timer.RETRANSMIT), timers.count(Timer.LIVENESS)) == (1, 1)
