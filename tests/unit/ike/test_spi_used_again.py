"""A peer that lost everything, and does not say so, gives its new child the SPI of its former one: some count them."""

from __future__ import annotations

import pytest

from culvert.config.model import Start
from culvert.ike.events import Connect
from culvert.ike.v2.context import Context
from culvert.ike.v2.exchanges import ike_auth
from culvert.ipsec.associations import Direction
from culvert.sim import invariants
from culvert.sim.pair import Pair


def test_the_new_child_has_it_and_the_end_of_the_old_one_takes_nothing_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(start=Start.PASSIVE).connect()
    (before,) = pair.east.endpoint.status("west").children
    pair.world.restart("east")
    pair.wait(1)
    pair.east.plane.used.clear()
    context, drawn = pair.east.endpoint.state, Context.fresh_child_spi
    monkeypatch.setattr(ike_auth, "_first_contact", lambda *_: False)
    # Until west sends on the new child, the ends do not agree on this SPI: that is how it is when SPIs are counted.
    monkeypatch.setattr(invariants, "_agree", lambda *_: None)
    again = [before.inbound.spi]
    monkeypatch.setattr(
        Context,
        "fresh_child_spi",
        lambda self, reserved=None: again.pop() if self is context and again else drawn(self, reserved),
    )
    pair.tell("east", Connect("west"))
    pair.wait(200)
    (child,) = pair.west.endpoint.status("east").children
    assert child.outbound == before.inbound
    held = [one.id for one in pair.west.plane.associations.values() if one.direction is Direction.OUT]
    assert held == [before.inbound]
    theirs = next(one for one in pair.east.plane.associations.values() if one.id == before.inbound)
    ours = pair.west.plane.associations[before.inbound]
    assert ours.encryption_key == theirs.encryption_key
