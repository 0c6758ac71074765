"""A peer behind a NAT that gets another address or port (RFC 7296 section 2.23)."""

from __future__ import annotations

import pytest

from culvert.addresses import SocketAddress
from culvert.ike.events import RekeyRequested
from culvert.ike.v2.sa import Liveness
from tests.unit.ike.line import OTHER, Line

ELSEWHERE = SocketAddress.parse("192.0.2.77", 40_000)


def _line(*, remote: bool = True, local: bool = False) -> Line:
    """West is, or is not, behind a NAT as east sees it; east too."""
    line = Line().connect()
    east = line.sa("east")
    east.nat_remote, east.nat_local = remote, local
    line.wait(3)
    return line


def _say(line: Line, name: str, remote: SocketAddress) -> list[bytes]:
    """Let an end ask; what west says arrives at east from `remote`. Give west's datagrams."""
    line.begin(name, Liveness())
    said = []
    while line.under_way:
        sender, one = line.under_way.pop(0)
        if sender == "west":
            said.append(one.data)
            line.receive("east", one.data, remote=remote)
        else:
            line.receive("west", one.data, one.remote if one.remote.ip == line.address("west") else None, one.local)
    return said


@pytest.mark.parametrize("asks", list(OTHER), ids=["by a request", "by a response"])
def test_it_is_followed_by_whatever_authentic_message_is_new(asks: str) -> None:
    line = _line()
    _say(line, asks, ELSEWHERE)
    assert line.sa("east").remote == ELSEWHERE
    assert any("the peer moved" in one for one in line.said)


@pytest.mark.parametrize("asks", list(OTHER))
@pytest.mark.parametrize(("remote", "local"), [(False, False), (True, True), (False, True)])
def test_nobody_is_followed_where_no_nat_can_move_it_or_we_are_behind_one(asks: str, remote: bool, local: bool) -> None:
    line = _line(remote=remote, local=local)
    before = line.sa("east").remote
    _say(line, asks, ELSEWHERE)
    assert line.sa("east").remote == before


def test_a_message_that_was_here_before_leads_nowhere() -> None:
    line = _line()
    home = line.sa("east").remote
    said = _say(line, "west", home) + _say(line, "east", home)
    for data in said:
        line.receive("east", data, remote=ELSEWHERE)
    assert line.sa("east").remote == home


@pytest.mark.parametrize("asks", list(OTHER))
def test_a_forged_message_leads_nowhere(asks: str) -> None:
    line = _line()
    home = line.sa("east").remote
    line.begin(asks, Liveness())
    while line.under_way:
        sender, one = line.under_way.pop(0)
        if sender == "west":
            forged = one.data[:-1] + bytes([one.data[-1] ^ 1])
            line.receive("east", forged, remote=ELSEWHERE)
            assert line.sa("east").remote == home
        line.receive(OTHER[sender], one.data, one.remote, one.local)
    assert line.sa("east").remote == home


def test_fragments_of_which_one_comes_from_elsewhere_lead_to_where_the_last_came_from() -> None:
    line = Line(selectors=60).connect()
    east = line.sa("east")
    east.nat_remote = True
    home = east.remote
    line.wait(3)
    line.tell("west", RekeyRequested("east"))
    datagrams = [one for sender, one in line.under_way if sender == "west"]
    line.under_way.clear()
    assert len(datagrams) > 2
    for one in datagrams[:-1]:
        line.receive("east", one.data, remote=ELSEWHERE)
        assert east.remote == home
    line.receive("east", datagrams[-1].data, remote=home)
    assert east.remote == home
