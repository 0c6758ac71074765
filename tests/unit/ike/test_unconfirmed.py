"""What shows that the peer has our answer: its next request in the same IKE SA (RFC 7296 section 2.3), and no other."""

from __future__ import annotations

import pytest

from culvert.clock import SECOND
from culvert.ike.events import RekeyRequested
from culvert.ike.v2.sa import ChildSa
from culvert.sim.link import MILLISECOND, Copy, Fate, Name, Recorded
from culvert.sim.pair import Pair
from culvert.sim.world import Node

LATENCY = 10 * MILLISECOND
LATE = (Copy(100 * MILLISECOND),)
"""The DELETE of the old IKE SA overtakes nothing: what came after it in the new one is there first."""


def _children(node: Node) -> list[ChildSa]:
    return [child for lineage in node.endpoint.state.lineages.values() for child in lineage.children.values()]


def _rekeyed(seed: int = 1) -> Pair:
    """West rekeys the IKE SA, and then the child; its DELETE of the old IKE SA is late, the child's answer lost."""
    named: dict[Name, Fate] = {("west", "INFORMATIONAL request", 1): LATE, ("east", "CREATE_CHILD_SA response", 2): ()}
    pair = Pair(seed).connect()
    pair.world.link = Recorded(LATENCY, named)
    pair.world._kinds.clear()
    now = pair.world.now
    pair.world.at(now, "west", RekeyRequested("east", ike=True))
    pair.world.at(now + 25 * MILLISECOND, "west", RekeyRequested("east"))
    return pair


def test_a_delete_of_the_old_ike_sa_does_not_show_that_an_answer_in_the_new_one_arrived() -> None:
    pair = _rekeyed()
    pair.wait(0.2)
    (new,) = (child for child in _children(pair.east) if child.current)
    assert new.unconfirmed
    pair.wait(5)
    assert not any(child.unconfirmed for child in _children(pair.east))


@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("after_ms", [50, 130])
def test_a_child_that_the_peer_does_not_know_yet_is_not_taken_for_gone(after_ms: int, seed: int) -> None:
    """East rekeys the child whose answer is still to come. West does not know it; it must not be taken away."""
    pair = _rekeyed(seed)
    pair.world.at(pair.world.now + after_ms * MILLISECOND, "east", RekeyRequested("west"))
    pair.wait(120)
    west, east = _children(pair.west), _children(pair.east)
    assert [child.spi_in for child in west] == [child.spi_out for child in east]
    assert len(west) == 1
    assert pair.world.now > 120 * SECOND
