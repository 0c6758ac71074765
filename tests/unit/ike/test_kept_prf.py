"""The algorithms of an IKE SA that replaces another: its PRF stays as long as both ends allow it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.ike.events import Connect, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2 import succession
from culvert.ipsec.proposals import ike_proposal
from culvert.sim.pair import Pair

WEST = ike_proposal("aes128gcm16-prfsha256-prfsha384-x25519")
EAST = ike_proposal("aes128gcm16-prfsha384-prfsha256-x25519")
"""The same, in another order: the end that answers takes the first of its own."""


@pytest.fixture
def pair() -> Pair:
    pair = Pair()
    pair.west_peer = replace(pair.west_peer, proposals=(WEST,))
    pair.east_peer = replace(pair.east_peer, proposals=(EAST,))
    pair.configure()
    pair.tell("west", Connect("east"))
    assert _prf(pair) == "prfsha384"
    return pair


def _prf(pair: Pair) -> str:
    ikes = [pair.west.endpoint.status("east").ike, pair.east.endpoint.status("west").ike]
    (suite,) = {ike.suite for ike in ikes if ike is not None}
    return next(word for word in suite.split("-") if word.startswith("prf"))


def _rekeyed(pair: Pair, asks: str) -> list[str]:
    before = pair.west.endpoint.status("east").ike
    said = pair.tell(asks, RekeyRequested("east" if asks == "west" else "west", ike=True), 3)
    after = pair.west.endpoint.status("east").ike
    assert before is not None
    assert after is not None
    assert after.spi_i != before.spi_i
    assert pair.west.endpoint.status("east").state is pair.east.endpoint.status("west").state is PeerState.UP
    return said


def _requests(said: list[str]) -> int:
    return sum("sends CREATE_CHILD_SA request" in line for line in said)


@pytest.mark.parametrize("asks", ["west", "east"])
def test_the_prf_stays(pair: Pair, asks: str) -> None:
    """Peers are known to make other keys than RFC 7296 section 2.18 has it where it changes."""
    for _ in range(2):
        assert _requests(_rekeyed(pair, asks)) == 1
        assert _prf(pair) == "prfsha384"


def test_the_prf_stays_where_the_peer_offers_others_too(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "_asked_for", lambda lineage, _sa, _task: lineage.peer.proposals)
    _rekeyed(pair, "east")
    assert _prf(pair) == "prfsha384"


@pytest.mark.parametrize("asks", ["west", "east"])
def test_another_prf_where_one_end_does_not_take_the_former_any_more(pair: Pair, asks: str) -> None:
    """Asked for with the old one, then with any; the new keys are made as RFC 7296 section 2.18 has it."""
    answers = pair.east if asks == "west" else pair.west
    (lineage,) = answers.endpoint.state.lineages.values()
    assert lineage.peer is not None
    lineage.peer = replace(lineage.peer, proposals=(ike_proposal("aes128gcm16-prfsha256-x25519"),))
    assert _requests(_rekeyed(pair, asks)) == 2
    assert _prf(pair) == "prfsha256"
    assert _requests(_rekeyed(pair, asks)) == 1
