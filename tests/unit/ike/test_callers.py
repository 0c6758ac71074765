"""Who calls: several peers at one address, behind one NAT or without an address, told apart by their identities."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert.addresses import SocketAddress
from culvert.config.model import Authentication, Peer, Start
from culvert.crypto.certificates.store import TrustStore
from culvert.identities import Identity
from culvert.ike.events import Configured, Connect
from culvert.ike.status import PeerState
from culvert.ike.v2 import admission
from culvert.ipsec.associations import Direction
from culvert.ipsec.proposals import ike_proposal
from culvert.reasons import Refusal
from culvert.sim.pair import IKE, Pair, peer
from culvert.sim.world import Nat, Node
from tests.certified import authority, good, stranger

HUB = Identity.parse("hub.example.org")
PUBLIC = ip_address("192.0.2.9")


def _spoke(name: str, network: str, secret: bytes, address: str | None = None) -> Peer:
    """Describe a spoke as the hub has it: known by its name alone, or by an address too."""
    made = peer(name, address or "192.0.2.1", "10.2.0.0/16", network, Start.PASSIVE)
    addresses = (address,) if address else ()
    return replace(
        made, addresses=addresses, identity=Identity.parse(f"{name}.example.org"), local_identity=HUB, secret=secret
    )


def _hub(name: str, network: str, secret: bytes) -> Peer:
    """Describe the hub as the spoke `name` has it."""
    made = peer("hub", "198.51.100.1", network, "10.2.0.0/16", Start.PASSIVE)
    return replace(made, identity=HUB, local_identity=Identity.parse(f"{name}.example.org"), secret=secret)


class Star:
    """A hub, and spokes that may sit behind one NAT. The spokes `a` and `b` are configured at the hub."""

    def __init__(self, *, nat: bool = True, address: str | None = None) -> None:
        pair = Pair()
        self.world, self.hub = pair.world, pair.east
        del self.world.nodes["west"]
        self.spokes = {name: self._spoke(number, name, nat) for number, name in enumerate("ab")}
        self.peers = [_spoke("a", "10.10.0.0/16", b"secret of a", address), _spoke("b", "10.11.0.0/16", b"secret of b")]
        if address:
            self.peers[1] = replace(self.peers[1], addresses=(address,))
        self.tell("east", Configured(tuple(self.peers)))

    def _spoke(self, number: int, name: str, nat: bool) -> Node:
        node = self.world.add(name, f"10.{10 + number}.0.1" if nat else str(PUBLIC), 90 + number)
        if nat:
            node.nat = Nat(PUBLIC, next_port=20_000 + 1_000 * number)
        return node

    def tell(self, name: str, event: Configured | Connect) -> list[str]:
        before = len(self.world.trace)
        self.world.at(self.world.now, name, event)
        self.world.run(self.world.now + 2 * 10**9)
        return self.world.trace[before:]

    def call(self, name: str, described: Peer) -> list[str]:
        self.tell(name, Configured((described,)))
        return self.tell(name, Connect("hub"))

    def up(self, name: str) -> bool:
        return self.hub.endpoint.status(name).state is PeerState.UP


def test_two_peers_behind_one_nat_are_two_peers() -> None:
    star = Star()
    star.call("a", _hub("a", "10.10.0.0/16", b"secret of a"))
    star.call("b", _hub("b", "10.11.0.0/16", b"secret of b"))
    assert star.up("a")
    assert star.up("b")
    assert star.hub.endpoint.census().established == 2
    outbound = list(star.hub.plane.side(Direction.OUT))
    assert len({one.encapsulation for one in outbound}) == 2
    assert {str(one.destination) for one in outbound} == {str(PUBLIC)}


def test_the_first_contact_of_one_does_not_end_the_other_behind_the_same_nat() -> None:
    """CVE-2004-0164: INITIAL_CONTACT concerns the identity that proved itself, not the address that it came from."""
    star = Star()
    star.call("a", _hub("a", "10.10.0.0/16", b"secret of a"))
    star.call("b", _hub("b", "10.11.0.0/16", b"secret of b"))
    star.world.restart("b")
    said = star.tell("b", Connect("hub"))
    assert any("started anew" in line for line in said)
    assert star.up("a")
    assert star.up("b")
    assert star.hub.endpoint.census().established == 2


def test_several_peers_at_one_address_are_told_apart_by_identity() -> None:
    star = Star(nat=False, address=str(PUBLIC))
    star.call("b", _hub("b", "10.11.0.0/16", b"secret of b"))
    assert star.up("b")
    assert not star.up("a")


def test_one_cannot_prove_to_be_the_other_with_its_own_secret() -> None:
    star = Star()
    said = star.call("b", _hub("a", "10.10.0.0/16", b"secret of b"))
    assert any("a.example.org: its secret is not the one that we have for this peer" in line for line in said)
    assert not star.up("a")
    assert star.hub.endpoint.status("a").reason is Refusal.AUTHENTICATION_FAILED
    assert star.hub.endpoint.status("b").reason is None


def test_who_is_not_known_is_told_of_where_another_is_expected() -> None:
    star = Star(nat=False, address=str(PUBLIC))
    said = star.call("a", _hub("mallory", "10.10.0.0/16", b"secret of a"))
    sentence = "it is mallory.example.org: nobody is configured with this identity; expected from there: "
    assert any(sentence + "a.example.org, b.example.org" in line for line in said)
    for name in "ab":
        status = star.hub.endpoint.status(name)
        assert status.reason is Refusal.AUTHENTICATION_FAILED
        assert "mallory.example.org" in status.message


def test_a_stranger_from_anywhere_is_told_of_in_the_log_alone() -> None:
    star = Star()
    said = star.call("a", _hub("mallory", "10.10.0.0/16", b"secret of a"))
    assert any("mallory.example.org: nobody is configured with this identity" in line for line in said)
    assert star.hub.endpoint.status("a").reason is None


@pytest.mark.parametrize("wish", ["first", "second"])
def test_whom_the_caller_asks_for_decides_between_peers_of_one_identity(wish: str) -> None:
    """Two tunnels with the same gateway, by two identities of ours with secrets of their own."""
    star = Star()
    first, second = (
        replace(star.peers[0], local_identity=Identity.parse(f"{one}.example.org")) for one in ("first", "second")
    )
    second = replace(second, name="b", children=star.peers[1].children, secret=b"secret of b")
    star.tell("east", Configured((first, second)))
    asked = replace(
        _hub("a", "10.10.0.0/16" if wish == "first" else "10.11.0.0/16", b""),
        identity=Identity.parse(f"{wish}.example.org"),
    )
    star.call("a", replace(asked, secret=first.secret if wish == "first" else second.secret))
    assert star.up("a") == (wish == "first")
    assert star.up("b") == (wish == "second")


def test_who_asks_for_one_tunnel_with_the_secret_of_another_is_told_of_the_secret() -> None:
    star = Star()
    here, there = (Identity.parse(f"{one}.example.org") for one in ("first", "second"))
    first = replace(star.peers[0], local_identity=here)
    second = replace(star.peers[1], local_identity=there, identity=first.identity)
    star.tell("east", Configured((first, second)))
    said = star.call("a", replace(_hub("a", "10.10.0.0/16", b"secret of b"), identity=here))
    assert any("its secret is not the one that we have" in line for line in said)
    assert star.hub.endpoint.status("b").reason is None


def test_the_proof_decides_between_peers_of_one_identity() -> None:
    star = Star()
    second = replace(star.peers[1], identity=star.peers[0].identity)
    star.tell("east", Configured((star.peers[0], second)))
    star.call("a", _hub("a", "10.11.0.0/16", b"secret of b"))
    assert star.up("b")
    assert not star.up("a")


def test_algorithms_chosen_for_another_peer_are_not_allowed_to_this_one() -> None:
    star = Star()
    strict = replace(star.peers[1], proposals=(ike_proposal("aes256gcm16-prfsha384-ecp384"),))
    star.tell("east", Configured((star.peers[0], strict)))
    said = star.call("b", replace(_hub("b", "10.11.0.0/16", b"secret of b"), proposals=IKE))
    assert any("b may not use aes128gcm16-prfsha256-x25519" in line for line in said)
    assert star.hub.endpoint.status("b").reason is Refusal.NO_PROPOSAL_CHOSEN


def test_certificates_of_all_authorities_are_asked_for_that_may_be_meant() -> None:
    """Peers without an address that share algorithms and differ in whom they are believed by."""
    star = Star()
    stores = [TrustStore((one().certificate,)) for one in (authority, stranger)]
    mixed = [
        replace(one, auth=Authentication.CERTIFICATE, trust=store, credential=good("east"))
        for one, store in zip(star.peers, stores, strict=True)
    ]
    star.tell("east", Configured(tuple(mixed)))
    ctx = star.hub.endpoint._ctx
    asked = [one.peer.trust for one in admission.who_may_show_certificates(ctx, SocketAddress(PUBLIC, 500))]
    assert asked == stores


def test_who_takes_the_place_of_another_by_a_wildcard_is_named() -> None:
    """A wildcard says who may be a peer; one gateway is it at a time, the one that came last."""
    star = Star()
    anybody = replace(star.peers[0], identity=Identity.parse("*.example.org"))
    star.tell("east", Configured((anybody,)))
    star.call("a", _hub("a", "10.10.0.0/16", b"secret of a"))
    assert star.up("a")
    said = star.call("b", replace(_hub("b", "10.10.0.0/16", b"secret of a")))
    assert any("b.example.org takes the place of a.example.org" in line for line in said)
    star.world.run(star.world.now + 60 * 10**9)
    assert star.hub.endpoint.census().established == 1
