"""No association is used beyond its lifetime, whatever the peer says to new keys (RFC 7296 section 2.8)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.config.model import Rekey
from culvert.ike.v2.sealing import Payloads
from culvert.sim.pair import Pair
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType
from tests.unit.ike.speech import change

LIFETIME = Rekey(600)


def _refusing(_: Payloads) -> Payloads:
    return (Notify(NotifyType.TEMPORARY_FAILURE),)


@pytest.mark.parametrize("ages", ["west", "east"])
def test_a_child_that_gets_no_successor_goes_at_its_hard_limit(monkeypatch: pytest.MonkeyPatch, ages: str) -> None:
    pair = Pair()
    peer = pair.west_peer if ages == "west" else pair.east_peer
    aged = replace(peer, children=tuple(replace(one, rekey=LIFETIME) for one in peer.children))
    setattr(pair, f"{ages}_peer", aged)
    pair.connect()
    old = list(getattr(pair, ages).plane.associations)
    change(monkeypatch, ExchangeType.CREATE_CHILD_SA, _refusing, initiator=ages != "west", response=True)
    pair.wait(LIFETIME.after_s - 5)
    assert all(one in getattr(pair, ages).plane.associations for one in old)
    pair.wait(LIFETIME.hard_s - LIFETIME.after_s + 20)
    for node in (pair.west, pair.east):
        assert not [one for one in old if one in node.plane.associations]
