"""Transport mode with and without a NAT, AH, extended sequence numbers, padding: what each end asks for and gets."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert.config.model import Peer
from culvert.identities import Identity
from culvert.ike.events import RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2 import requests
from culvert.ike.v2.sa import DeleteChild
from culvert.ipsec.associations import Direction, Mode, Protocol, SecurityAssociation
from culvert.ipsec.proposals import ah_proposal, esp_proposal
from culvert.ipsec.selectors import traffic_selector as ts
from culvert.reasons import Refusal
from culvert.sim.pair import ESP, Pair
from culvert.sim.world import Nat, Node
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ProtocolId
from culvert.wire.isakmp.payload import Payload
from tests.unit.ike.altered import alter_child

WEST, EAST, PUBLIC = "203.0.113.1", "198.51.100.1", "192.0.2.1"


def _child(peer: Peer, **more: object) -> Peer:
    (child,) = peer.children
    return replace(peer, children=(replace(child, **more),))  # type: ignore[arg-type]


def _transport(peer: Peer, local: str, remote: str, **more: object) -> Peer:
    return _child(peer, local=(ts(local),), remote=(ts(remote),), mode=Mode.TRANSPORT, **more)


def _hosts(ports: str = "", **more: object) -> Pair:
    """Both ends in transport mode, between themselves."""
    pair = Pair()
    pair.west_peer = _transport(pair.west_peer, WEST, EAST + ports, **more)
    pair.east_peer = _transport(pair.east_peer, EAST + ports, WEST, **more)
    return pair


def _both(pair: Pair, **more: object) -> Pair:
    pair.west_peer, pair.east_peer = _child(pair.west_peer, **more), _child(pair.east_peer, **more)
    return pair


def _said(monkeypatch: pytest.MonkeyPatch) -> list[Payload]:
    """Collect the payloads of all protected messages."""
    real, said = requests.seal_within, []

    def seal(*arguments: object, **more: object) -> object:
        said.extend(next(one for one in arguments if isinstance(one, tuple)))
        return real(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(requests, "seal_within", seal)
    return said


def _notified(said: list[Payload], kind: NotifyType) -> int:
    return sum(isinstance(one, Notify) and one.type == kind for one in said)


def _up(pair: Pair) -> list[SecurityAssociation]:
    for node, other in ((pair.west, "east"), (pair.east, "west")):
        status = node.endpoint.status(other)
        assert (status.state, status.reason) == (PeerState.UP, None), status
    return [*pair.west.plane.associations.values(), *pair.east.plane.associations.values()]


def _why(node: Node, other: str) -> tuple[PeerState, Refusal | None, str]:
    status = node.endpoint.status(other)
    return status.state, status.reason, status.message


# Transport mode


@pytest.mark.parametrize("ports", ["", "[tcp/443]", "[icmp/8]"])
def test_two_hosts_in_transport_mode(monkeypatch: pytest.MonkeyPatch, ports: str) -> None:
    said = _said(monkeypatch)
    associations = _up(_hosts(ports).connect())
    assert {one.mode for one in associations} == {Mode.TRANSPORT}
    assert _notified(said, NotifyType.USE_TRANSPORT_MODE) == 2
    assert _notified(said, NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED) == 2


def test_successors_are_in_transport_mode_too() -> None:
    pair = _hosts().connect()
    pair.tell("west", RekeyRequested("east"), 10)
    pair.tell("east", RekeyRequested("west"), 10)
    associations = _up(pair)
    assert len(associations) == 4
    assert {one.mode for one in associations} == {Mode.TRANSPORT}


def test_a_caller_behind_a_nat_is_seen_at_the_public_address() -> None:
    """RFC 7296 section 2.23.1: west writes what it has, east reads what it sees, and writes back what west wrote."""
    pair = _hosts()
    pair.west.nat = Nat(ip_address(PUBLIC))
    pair.east_peer = replace(_transport(pair.east_peer, EAST, PUBLIC), addresses=(PUBLIC,))
    _named(pair)
    pair.connect()
    _up(pair)
    (outbound,) = pair.west.plane.side(Direction.OUT)
    assert [str(one) for one in outbound.selectors] == [f"{WEST}/32 -> {EAST}/32"]
    (outbound,) = pair.east.plane.side(Direction.OUT)
    assert [str(one) for one in outbound.selectors] == [f"{EAST}/32 -> {PUBLIC}/32"]


def test_a_called_one_behind_a_nat_reads_its_own_address() -> None:
    pair = _hosts()
    pair.east.nat = Nat(ip_address(PUBLIC), forwards=pair.east.address)
    pair.west_peer = replace(_transport(pair.west_peer, WEST, PUBLIC), addresses=(PUBLIC,))
    _named(pair)
    pair.connect()
    _up(pair)
    (outbound,) = pair.east.plane.side(Direction.OUT)
    assert [str(one) for one in outbound.selectors] == [f"{EAST}/32 -> {WEST}/32"]
    pair.tell("east", RekeyRequested("west"), 10)
    _up(pair)


def _named(pair: Pair) -> None:
    """Know the ends by names: behind a NAT, addresses are not identities."""
    west, east = Identity.parse("west.example.org"), Identity.parse("east.example.org")
    pair.west_peer = replace(pair.west_peer, identity=east, local_identity=west)
    pair.east_peer = replace(pair.east_peer, identity=west, local_identity=east)


def test_one_end_in_tunnel_mode_is_refused_by_name_and_the_rest_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    said = _said(monkeypatch)
    pair = _hosts()
    pair.east_peer = _child(pair.east_peer, mode=Mode.TUNNEL)
    pair.connect()
    state, reason, message = _why(pair.west, "east")
    assert (state, reason) == (PeerState.DOWN, Refusal.MODE_MISMATCH)
    assert "the peer answers in tunnel mode" in message
    assert sum(isinstance(one, Delete) and one.protocol == ProtocolId.ESP for one in said) >= 1
    pair.wait(6)
    assert not pair.west.plane.associations
    assert not pair.east.plane.associations


def test_the_other_end_in_tunnel_mode_is_refused_by_name() -> None:
    pair = _hosts()
    pair.west_peer = _child(pair.west_peer, mode=Mode.TUNNEL)
    pair.connect()
    state, reason, message = _why(pair.east, "west")
    assert (state, reason) == (PeerState.DOWN, Refusal.MODE_MISMATCH)
    assert "the peer asks for tunnel mode" in message
    assert _why(pair.west, "east")[1] is Refusal.NO_PROPOSAL_CHOSEN


def test_transport_mode_is_between_the_ends_of_the_ike_sa() -> None:
    pair = Pair()
    pair.west_peer = _transport(pair.west_peer, "10.1.0.1", EAST)
    pair.east_peer = _transport(pair.east_peer, EAST, "10.1.0.1")
    pair.connect()
    state, reason, message = _why(pair.east, "west")
    assert (state, reason) == (PeerState.DOWN, Refusal.TS_UNACCEPTABLE)
    assert f"the gateways are {EAST} and {WEST}" in message


# AH


def _ah(pair: Pair, *texts: str) -> Pair:
    return _both(pair, protocol=Protocol.AH, proposals=tuple(ah_proposal(text) for text in texts or ("sha256",)))


@pytest.mark.parametrize("text", ["sha256", "sha384-x25519", "sha512-esn", "sha1", "aesxcbc", "aescmac"])
def test_ah_instead_of_esp(text: str) -> None:
    pair = _ah(Pair(), text).connect()
    associations = _up(pair)
    assert {one.protocol for one in associations} == {Protocol.AH}
    assert all(one.encryption is None and one.encapsulation is None and one.integrity_key for one in associations)
    (child,) = pair.west.endpoint.status("east").children
    assert (child.cipher, child.encapsulation) == (text.split("-", maxsplit=1)[0], "ah")


def test_ah_is_rekeyed_and_deleted_by_its_own_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    said = _said(monkeypatch)
    pair = _ah(Pair(), "sha256-x25519").connect()
    for name, other in (("west", "east"), ("east", "west")):
        before = pair.west.endpoint.status("east").children[0].inbound
        pair.tell(name, RekeyRequested(other), 10)
        assert pair.west.endpoint.status("east").children[0].inbound != before
    assert len(_up(pair)) == 4
    protocols = {one.protocol for one in said if isinstance(one, Delete)}
    assert protocols == {ProtocolId.AH}
    rekeys = [one for one in said if isinstance(one, Notify) and one.type == NotifyType.REKEY_SA]
    assert [one.protocol for one in rekeys] == [ProtocolId.AH] * 2


def test_a_delete_of_esp_does_not_touch_ah_with_the_same_spi() -> None:
    pair = _ah(Pair()).connect()
    ctx = pair.west.endpoint._ctx
    (lineage,) = ctx.lineages.values()
    lineage.queue.append(DeleteChild(next(iter(lineage.children)), orphan=True, protocol=Protocol.ESP))
    lineage.children.clear()
    ctx.dirty[lineage.number] = None
    pair.tell("west", RekeyRequested("nobody"))
    assert len(pair.east.endpoint.status("west").children) == 1


def test_esp_at_one_end_and_ah_at_the_other() -> None:
    pair = _ah(Pair())
    pair.east_peer = _child(pair.east_peer, protocol=Protocol.ESP, proposals=ESP)
    pair.connect()
    state, reason, message = _why(pair.east, "west")
    assert (state, reason) == (PeerState.DOWN, Refusal.NO_PROPOSAL_CHOSEN)
    assert "the peer offers AH, and ESP is configured" in message


def test_ah_does_not_pass_a_nat() -> None:
    pair = _ah(Pair())
    pair.west.nat = Nat(ip_address(PUBLIC))
    _named(pair)
    pair.connect()
    assert "AH protects addresses" in pair.east.endpoint.status("west").message


def test_ah_in_transport_mode() -> None:
    associations = _up(_ah(_hosts()).connect())
    assert {(one.protocol, one.mode) for one in associations} == {(Protocol.AH, Mode.TRANSPORT)}


# Extended sequence numbers


@pytest.mark.parametrize(
    ("west", "east", "esn"),
    [
        ("esn", "esn", True),
        ("esn-noesn", "esn", True),
        ("esn-noesn", "noesn-esn", False),
        ("noesn-esn", "esn-noesn", True),
        ("esn-noesn", "noesn", False),
        ("noesn", "esn-noesn", False),
        ("noesn", "", False),
        ("esn", "noesn", None),
        ("", "esn", None),
    ],
)
@pytest.mark.parametrize("cipher", ["aes128gcm16", "aes128-sha256"])
def test_extended_sequence_numbers_are_agreed_on_and_stay(west: str, east: str, esn: bool | None, cipher: str) -> None:
    """Of what both allow, the responder's preference decides."""
    pair = Pair()
    proposals = [(esp_proposal("-".join(filter(None, (cipher, one)))),) for one in (west, east)]
    pair.west_peer = _child(pair.west_peer, proposals=proposals[0])
    pair.east_peer = _child(pair.east_peer, proposals=proposals[1])
    pair.connect()
    if esn is None:
        assert _why(pair.east, "west")[1] is Refusal.NO_PROPOSAL_CHOSEN
        assert "the extended sequence numbers" in _why(pair.east, "west")[2]
        return
    assert {one.esn for one in _up(pair)} == {esn}
    pair.tell("west", RekeyRequested("east"), 10)
    assert {one.esn for one in _up(pair)} == {esn}


# Padding


def test_padding_where_the_peer_takes_it() -> None:
    pair = _both(Pair(), tfc_octets=1400).connect()
    padded = {(one.direction, one.tfc_padding_octets) for one in _up(pair)}
    assert padded == {(Direction.OUT, 1400), (Direction.IN, 0)}


@pytest.mark.parametrize("side", ["request", "respond"])
def test_never_padded_where_the_peer_does_not_take_it(monkeypatch: pytest.MonkeyPatch, side: str) -> None:
    refusal = Notify(NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED, b"", ProtocolId.ESP)
    alter_child(monkeypatch, side, lambda payloads: (refusal, *payloads))
    pair = _both(Pair(), tfc_octets=1400).connect()
    refused, other = (pair.east, pair.west) if side == "request" else (pair.west, pair.east)
    assert {one.tfc_padding_octets for one in refused.plane.associations.values()} == {0}
    assert 1400 in {one.tfc_padding_octets for one in other.plane.associations.values()}
    assert any("takes no padded packets" in line for line in pair.world.trace)
