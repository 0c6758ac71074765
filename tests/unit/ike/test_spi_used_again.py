"""An SPI that a child has is given to another: by peers that count SPIs, and lose everything without saying so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.config.model import Peer, Start
from culvert.identities import Identity
from culvert.ike.events import Configured, Connect, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2.context import Context
from culvert.ike.v2.exchanges import ike_auth
from culvert.ipsec.associations import AssociationId, Direction
from culvert.sim import invariants
from culvert.sim.pair import Pair, peer


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setattr(ike_auth, "_first_contact", lambda *_: False)
    # Until west sends on the new child, the ends do not agree on such an SPI.
    monkeypatch.setattr(invariants, "_agree", lambda *_: None)
    return Pair()


def restarted(pair: Pair, monkeypatch: pytest.MonkeyPatch, spi: int) -> None:
    """Let east lose everything; the next SPI that it gives is this one."""
    pair.world.restart("east")
    pair.east.plane.used.clear()
    context, drawn, again = pair.east.endpoint.state, Context.fresh_child_spi, [spi]
    monkeypatch.setattr(
        Context,
        "fresh_child_spi",
        lambda self, reserved=None: again.pop() if self is context and again else drawn(self, reserved),
    )


def sent_on(pair: Pair) -> dict[AssociationId, bytes]:
    associations = pair.west.plane.associations.values()
    return {one.id: one.encryption_key for one in associations if one.direction is Direction.OUT}


def assert_opened(pair: Pair, id_: AssociationId) -> None:
    """What west sends with this SPI is what east can open."""
    assert sent_on(pair)[id_] == pair.east.plane.associations[id_].encryption_key


def test_the_new_child_has_it_and_the_end_of_the_old_one_takes_nothing_from_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = pair.connect().east.endpoint.status("west").children
    restarted(pair, monkeypatch, before.inbound.spi)
    pair.tell("east", Connect("west"), 3)
    assert_opened(pair, before.inbound)
    pair.wait(200)
    (child,) = pair.west.endpoint.status("east").children
    assert child.outbound == before.inbound
    assert list(sent_on(pair)) == [before.inbound]
    assert_opened(pair, before.inbound)


def test_a_child_that_waits_to_be_sent_on_no_longer_takes_its_place(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """East rekeys, and restarts before west sends on what came of it."""
    pair.connect()
    pair.world.at(pair.world.now, "east", RekeyRequested("west", "net"))
    lineages = pair.west.endpoint.state.lineages.values()
    while not (waiting := [one for of in lineages for one in of.children.values() if one.waiting]):
        pair.wait(0.001)
    id_ = waiting[0].outbound.id
    restarted(pair, monkeypatch, id_.spi)
    pair.tell("east", Connect("west"), 3)
    assert_opened(pair, id_)
    pair.wait(30)
    assert_opened(pair, id_)


def _known_as(name: str, networks: str, secret: bytes) -> Peer:
    of_address = peer(name, "198.51.100.1", "10.1.0.0/16", networks, Start.PASSIVE)
    return replace(of_address, addresses=(), identity=Identity.parse(f"{name}@example.org"), secret=secret)


def _be(pair: Pair, name: str, networks: str, secret: bytes) -> None:
    """Let east be one of several gateways behind an address."""
    named = replace(peer("west", "203.0.113.1", networks, "10.1.0.0/16", Start.PASSIVE), secret=secret)
    pair.tell("east", Configured((replace(named, local_identity=Identity.parse(f"{name}@example.org")),)))


def test_two_peers_behind_one_nat_cannot_have_the_same(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"a": b"the secret of a, alone", "b": b"the secret of b, alone"}
    networks = {"a": "10.2.0.0/16", "b": "10.3.0.0/16"}
    pair.tell("west", Configured(tuple(_known_as(name, networks[name], secrets[name]) for name in "ab")))
    _be(pair, "a", networks["a"], secrets["a"])
    pair.tell("east", Connect("west"))
    before = sent_on(pair)
    ((id_, _),) = before.items()
    restarted(pair, monkeypatch, id_.spi)
    _be(pair, "b", networks["b"], secrets["b"])
    lines = pair.tell("east", Connect("west"), 0.5)
    assert any(f"SPI 0x{id_.spi:08x}, which a has at the same address" in line for line in lines)
    assert sent_on(pair) == before
    pair.tell("east", Connect("west"), 60)
    assert pair.west.endpoint.status("b").state is PeerState.UP
