"""The ends of an IKE SA: its message IDs, and the keys that go with it (RFC 7296 sections 2.2 and 2.12)."""

from __future__ import annotations

import pytest

from culvert.ike.events import Disconnect, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2 import window
from culvert.ike.v2.sa import IkeSa, IkeState, Liveness
from tests.unit.ike.line import OTHER, Line


def _counted_to(line: Line, name: str, number: int) -> IkeSa:
    """Let the requests of an end go on from a number; the other end expects it."""
    asking, asked = line.sa(name), line.sa(OTHER[name])
    asking.window.next_request = asked.window.expected = number
    return asking


@pytest.mark.parametrize("name", OTHER)
def test_an_ike_sa_gets_a_successor_before_its_message_ids_end(name: str) -> None:
    line = Line().connect()
    old = _counted_to(line, name, window.RUNS_OUT_FROM - 1)
    line.begin(name, Liveness()).deliver()
    assert old.state is IkeState.CLOSED
    assert line.up()
    assert line.sa(name).window.next_request < 3


def test_a_successor_that_is_refused_is_asked_for_a_few_times_only() -> None:
    line = Line().connect()
    sa = _counted_to(line, "west", window.RUNS_OUT_FROM + 1)
    line.begin("west", Liveness()).deliver()
    assert line.sa("west") is sa
    assert sa.window.next_request == window.RUNS_OUT_FROM + 2


@pytest.mark.parametrize("name", OTHER)
def test_an_ike_sa_without_message_ids_is_closed(name: str) -> None:
    line = Line().connect()
    old = _counted_to(line, name, window.SPENT_FROM)
    line.begin(name, Liveness()).deliver()
    assert old.state is IkeState.CLOSED
    assert "the message IDs of the IKE SA are used up" in line.said
    assert line.ends[name].status(OTHER[name]).state is not PeerState.UP


@pytest.mark.parametrize("end", ["deleted", "rekeyed"])
def test_a_closed_ike_sa_has_no_keys_left(end: str) -> None:
    line = Line().connect()
    old = [line.sa(name) for name in OTHER]
    line.tell("west", Disconnect("east") if end == "deleted" else RekeyRequested("east", ike=True))
    line.deliver()
    for sa in old:
        assert sa.state is IkeState.CLOSED
        assert sa.keys is None
        assert sa.window.outstanding is None
        assert sa.init_request + sa.init_response == b""


def test_what_an_ike_sa_was_authenticated_with_is_forgotten_once_it_is() -> None:
    line = Line().connect()
    for name in OTHER:
        assert not line.sa(name).init_request
        assert not line.sa(name).init_response
