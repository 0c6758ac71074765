"""What an endpoint does by itself: calling, calling again, following, letting go."""

from __future__ import annotations

import itertools
from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Child, EncapsulationChoice, Origin, Rekey, Start
from culvert.entropy import SeededEntropy
from culvert.identities import Identity
from culvert.ike.actions import Action, Checkpoint, InstallAssociation, MoveAssociation, ResolvePath, Transmit
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import (
    Acquired,
    AssociationExpired,
    Configured,
    Connect,
    DeadlineReached,
    Disconnect,
    MappingChanged,
    PathFailed,
    PathResolved,
    RekeyRequested,
    Stop,
)
from culvert.ike.status import PeerState
from culvert.ike.v2.sa import ChildSa, CreateChild
from culvert.ipsec.associations import AssociationId, Direction, Encapsulation
from culvert.ipsec.proposals import esp_proposal, ike_proposal
from culvert.ipsec.selectors import traffic_selector as ts
from culvert.reasons import Refusal
from culvert.sim.link import Conditions
from culvert.sim.pair import SECRET, Pair, with_child
from culvert.sim.world import Nat

LOST = Conditions(loss=1.0)
TRAFFIC = Acquired(0, ip_address("10.1.0.1"), ip_address("10.2.0.1"))


def _state(pair: Pair, name: str = "west") -> PeerState:
    node, other = (pair.west, "east") if name == "west" else (pair.east, "west")
    return node.endpoint.status(other).state


def test_established_means_agreeing_keys_and_mirrored_selectors() -> None:
    pair = Pair().connect()
    assert _state(pair) is _state(pair, "east") is PeerState.UP
    (out,) = pair.west.plane.side(Direction.OUT)
    (into,) = pair.east.plane.side(Direction.IN)
    assert (out.spi, out.encryption_key) == (into.spi, into.encryption_key)
    assert out.selectors == into.selectors
    assert out.spi > 255
    assert out.reqid == pair.west_peer.children[0].reqid
    assert out.lifetimes.hard_s == Rekey(3600).hard_s


def test_two_culverts_use_udp_unless_told_otherwise() -> None:
    pair = Pair().connect()
    assert all(sa.encapsulation is not None for sa in pair.west.plane.associations.values())
    plain = Pair()
    plain.west_peer = replace(plain.west_peer, encapsulation=EncapsulationChoice.ESP)
    plain.east_peer = replace(plain.east_peer, encapsulation=EncapsulationChoice.ESP)
    plain.connect()
    assert all(sa.encapsulation is None for sa in plain.west.plane.associations.values())


def test_keys_are_changed_in_time_without_being_asked() -> None:
    pair = Pair()
    for side in ("west_peer", "east_peer"):
        peer = getattr(pair, side)
        children = tuple(replace(child, rekey=Rekey(600)) for child in peer.children)
        setattr(pair, side, replace(peer, rekey=Rekey(1_500), children=children))
    pair.connect()
    pair.world.forbidden = tuple(Refusal)
    spis, ikes = dict[int, None](), dict[bytes, None]()
    for _ in range(600):
        pair.wait(10)
        status = pair.west.endpoint.status("east")
        assert status.state is PeerState.UP
        assert status.ike is not None
        spis[status.children[0].inbound.spi], ikes[status.ike.spi_i] = None, None
    assert len(spis) >= 6000 // 600
    assert len(ikes) >= 6000 // 1_500


def test_a_dead_peer_is_noticed_and_called_again() -> None:
    pair = Pair()
    pair.west_peer = replace(pair.west_peer, start=Start.ALWAYS)
    pair.configure()
    pair.wait(8)
    assert _state(pair) is PeerState.UP
    pair.world.link.conditions = LOST
    pair.world.link.heals_at = pair.world.now + 300 * SECOND
    pair.wait(100)
    status = pair.west.endpoint.status("east")
    assert status.state in (PeerState.DOWN, PeerState.CONNECTING)
    assert status.reason in (Refusal.PEER_DEAD, Refusal.NO_RESPONSE)
    assert not pair.west.plane.associations
    pair.wait(300)
    assert _state(pair) is PeerState.UP
    assert pair.east.endpoint.census().established == 1


def test_a_name_without_an_address_is_asked_for_again_and_again() -> None:
    endpoint = Endpoint(SeededEntropy(1), 0)
    peer = replace(Pair().west_peer, start=Start.ALWAYS)
    now, calls = 0, list[int]()
    actions = endpoint.step(Configured((peer,)), now)
    while now < 600 * SECOND:
        if any(isinstance(action, ResolvePath) for action in actions):
            calls.append(now)
            endpoint.step(PathFailed("east", Refusal.NAME_NOT_RESOLVED, "no such name"), now)
        deadline = endpoint.deadline()
        assert deadline is not None
        now = deadline[0]
        actions = endpoint.step(DeadlineReached(), now)
    gaps = [later - earlier for earlier, later in itertools.pairwise(calls)]
    assert 2 * SECOND < min(gaps) < max(gaps) <= 4 * SECOND
    assert endpoint.status("east").reason is Refusal.NAME_NOT_RESOLVED


def test_a_peer_that_refuses_is_called_less_often_and_always_again() -> None:
    pair = Pair()
    pair.west_peer = replace(pair.west_peer, start=Start.ALWAYS, secret=b"another one")
    pair.configure()
    pair.wait(600)
    said = (line for line in pair.world.trace if line.endswith("setting up IKE SA with 198.51.100.1"))
    gaps = [later - earlier for earlier, later in itertools.pairwise(float(line.split()[0]) for line in said)]
    assert gaps[0] < 2
    assert 30 <= gaps[-1] <= 61
    assert len(gaps) > 12


def test_a_silent_peer_is_called_at_the_rate_of_repeated_requests() -> None:
    pair = Pair()
    pair.west_peer = replace(pair.west_peer, start=Start.ALWAYS)
    pair.tell("west", Configured((pair.west_peer,)), 0)
    pair.world.link.conditions = LOST
    lines = pair.wait(600)
    sent = [float(line.split()[0]) for line in lines if "west sends IKE_SA_INIT" in line]
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert max(gaps) <= 3.75
    assert len(sent) < 300


def test_addresses_are_tried_in_turn() -> None:
    endpoint = Endpoint(SeededEntropy(1), 0)
    endpoint.step(Configured((replace(Pair().west_peer, start=Start.ALWAYS),)), 0)
    here = ip_address("203.0.113.1")
    paths = tuple((here, ip_address(there)) for there in ("198.51.100.1", "198.51.100.2"))
    called = dict[str, None]()
    actions, now = endpoint.step(PathResolved("east", paths), 0), 0
    while len(called) < 2 and now < 120 * SECOND:
        called.update((str(one.remote.ip), None) for one in actions if isinstance(one, Transmit))
        deadline = endpoint.deadline()
        assert deadline is not None
        now = deadline[0]
        actions = endpoint.step(DeadlineReached(), now)
    assert list(called) == ["198.51.100.1", "198.51.100.2"]


def test_traffic_asks_and_asks_again_after_silence() -> None:
    pair = Pair()
    pair.west_peer = replace(pair.west_peer, start=Start.TRAFFIC)
    pair.tell("west", Configured((pair.west_peer,)))
    acquired = replace(TRAFFIC, reqid=pair.west_peer.children[0].reqid)
    assert _state(pair) is PeerState.IDLE
    pair.world.link.conditions = LOST
    pair.tell("west", acquired, 31.6)
    assert pair.west.endpoint.census().setting_up == 0
    assert any("sends" in line for line in pair.tell("west", acquired))


def test_traffic_does_not_hurry_a_peer_that_refuses() -> None:
    pair = Pair()
    pair.west_peer = replace(pair.west_peer, start=Start.TRAFFIC, secret=b"another one")
    pair.configure()
    acquired = replace(TRAFFIC, reqid=pair.west_peer.children[0].reqid)
    lines = [line for _ in range(60) for line in pair.tell("west", acquired)]
    assert 3 < sum("setting up" in line for line in lines) < 9


def test_a_passive_peer_does_not_call_on_traffic() -> None:
    pair = Pair().configure()
    pair.tell("west", replace(TRAFFIC, reqid=pair.west_peer.children[0].reqid))
    assert _state(pair) is PeerState.IDLE


def test_disconnect_holds_until_connect_or_reload() -> None:
    pair = Pair(start=Start.ALWAYS).configure()
    pair.wait(5)
    pair.tell("west", Disconnect("east"), 10)
    status = pair.west.endpoint.status("east")
    assert (status.state, status.reason) == (PeerState.DOWN, Refusal.DISCONNECTED)
    assert not pair.west.plane.associations
    pair.wait(200)
    assert _state(pair) is PeerState.DOWN
    pair.tell("west", Configured((pair.west_peer,)), 70)
    assert _state(pair) is PeerState.UP


def test_a_peer_that_was_disconnected_is_no_stranger_in_the_log() -> None:
    pair = Pair(start=Start.ALWAYS).configure()
    pair.wait(5)
    pair.tell("west", Disconnect("east"), 30)
    refused = pair.west.endpoint.refused()
    assert refused[Refusal.DISCONNECTED.value] > 0
    assert Refusal.UNKNOWN_PEER.value not in refused


def test_a_reload_touches_only_what_changed() -> None:
    pair = Pair().connect()
    before = pair.west.endpoint.status("east")
    moved = replace(pair.west_peer, origin=Origin("gateway.toml", 99))
    pair.tell("west", Configured((moved,)))
    assert pair.west.endpoint.status("east") == before
    pair.tell("west", Configured((replace(moved, dpd_s=5, start=Start.ALWAYS),)), 5)
    after = pair.west.endpoint.status("east")
    assert after.state is PeerState.UP
    assert after.reason is None
    assert after.ike is not None
    assert before.ike is not None
    assert after.ike.spi_i != before.ike.spi_i
    assert pair.east.endpoint.census().established == 1


def test_our_other_identity_is_a_change_for_peers_without_their_own() -> None:
    pair = Pair().connect()
    before = pair.west.endpoint.status("east").ike
    pair.tell("west", Configured((pair.west_peer,), Identity.parse("new.example.org")))
    assert pair.west.endpoint.status("east").ike is None
    assert before is not None


def test_stop_says_goodbye_once_and_holds_nothing() -> None:
    pair = Pair().connect()
    actions = pair.west.endpoint.step(Stop(), pair.world.now)
    assert sum(isinstance(action, Transmit) for action in actions) == 1
    assert pair.west.endpoint.deadline() is None
    assert pair.west.endpoint.statuses() == {}
    assert pair.west.endpoint.step(Connect("east"), pair.world.now) == []


def test_the_hard_end_of_an_association_makes_another_one() -> None:
    pair = Pair().connect()
    (child,) = pair.west.endpoint.status("east").children
    pair.tell("west", AssociationExpired(child.inbound, hard=True), 6)
    (new,) = pair.west.endpoint.status("east").children
    assert new.inbound != child.inbound
    assert len(pair.east.plane.associations) == 2
    pair.tell("east", AssociationExpired(new.inbound, hard=False))
    assert pair.west.endpoint.status("east").children[0].inbound != new.inbound


def test_all_children_come_and_one_that_is_refused_does_not_hinder_the_others() -> None:
    pair = Pair()
    pair.west_peer = with_child(pair.west_peer, "10.5.0.0/16", "10.6.0.0/16", "more")
    pair.west_peer = with_child(pair.west_peer, "10.7.0.0/16", "10.8.0.0/16", "refused")
    pair.east_peer = with_child(pair.east_peer, "10.6.0.0/16", "10.5.0.0/16", "more")
    pair.connect()
    status = pair.west.endpoint.status("east")
    assert [child.name for child in status.children] == ["net", "more"]
    assert (status.state, status.reason) == (PeerState.DOWN, Refusal.TS_UNACCEPTABLE)
    assert "10.7.0.0/16" in status.message


def test_children_without_algorithms_in_common_are_explained() -> None:
    pair = Pair()
    children = tuple(replace(one, proposals=(esp_proposal("aes256-sha256"),)) for one in pair.east_peer.children)
    pair.east_peer = replace(pair.east_peer, children=children)
    trace = "\n".join(pair.connect().world.trace)
    assert "the first difference is in the encryption (the peer's aes128gcm16, ours aes256)" in trace
    assert pair.west.endpoint.status("east").reason is Refusal.NO_PROPOSAL_CHOSEN
    assert pair.west.endpoint.status("east").ike is not None


def test_a_wrong_secret_is_known_at_both_ends() -> None:
    pair = Pair()
    pair.east_peer = replace(pair.east_peer, secret=SECRET + b"!")
    pair.connect()
    for node, other in ((pair.west, "east"), (pair.east, "west")):
        assert node.endpoint.status(other).reason is Refusal.AUTHENTICATION_FAILED
        assert node.endpoint.census().established == 0


def test_a_responder_that_is_not_who_it_should_be_is_told() -> None:
    pair = Pair()
    pair.east_peer = replace(pair.east_peer, local_identity=Identity.parse("east.example.org"))
    pair.west_peer = replace(pair.west_peer, addresses=("gw.example.org",))
    pair.world.names["gw.example.org"] = str(pair.east.address)
    pair.connect()
    assert pair.west.endpoint.status("east").reason is Refusal.AUTHENTICATION_FAILED
    assert pair.east.endpoint.census().established == 0
    assert not pair.east.plane.associations


def test_a_peer_configured_by_name_may_present_that_name() -> None:
    pair = Pair()
    pair.east_peer = replace(pair.east_peer, local_identity=Identity.parse("gw.example.org"))
    pair.west_peer = replace(pair.west_peer, addresses=("gw.example.org",))
    pair.world.names["gw.example.org"] = str(pair.east.address)
    pair.connect()
    assert _state(pair) is PeerState.UP


def _behind_nat() -> Pair:
    pair = Pair()
    name = Identity.parse("west.example.org")
    pair.west.nat = Nat(ip_address("192.0.2.1"))
    pair.west_peer = replace(pair.west_peer, local_identity=name)
    pair.east_peer = replace(pair.east_peer, identity=name, addresses=())
    return pair.connect()


def test_behind_a_nat_esp_goes_in_udp_and_the_path_is_kept_open() -> None:
    pair = _behind_nat()
    here, there = pair.west.endpoint.status("east").ike, pair.east.endpoint.status("west").ike
    assert here is not None
    assert there is not None
    assert (here.nat, there.nat) == ("local", "remote")
    (out,) = pair.east.plane.side(Direction.OUT)
    assert out.encapsulation is not None
    assert out.encapsulation.destination_port == there.remote.port != 4500
    actions = pair.west.endpoint.step(DeadlineReached(), pair.world.now + 21 * SECOND)
    assert [one.data for one in actions if isinstance(one, Transmit)] == [b"\xff"]


def test_a_peer_behind_a_nat_is_followed() -> None:
    pair = _behind_nat()
    pair.world.forbidden = (Refusal.PEER_DEAD,)
    before = pair.east.endpoint.status("west").ike
    assert pair.west.nat is not None
    pair.west.nat.rebind()
    pair.tell("west", RekeyRequested("east"), 5)
    after = pair.east.endpoint.status("west").ike
    assert before is not None
    assert after is not None
    assert after.remote != before.remote
    (out,) = pair.east.plane.side(Direction.OUT)
    assert out.encapsulation is not None
    assert out.encapsulation.destination_port == after.remote.port
    assert sum("east moves out" in line for line in pair.world.trace) == 1
    pair.wait(200)
    assert _state(pair) is _state(pair, "east") is PeerState.UP


def _mapped(pair: Pair, port: int, address: str = "192.0.2.1") -> list[Action]:
    """Let ESP of west arrive at east from another port, and give what east does."""
    (inbound,) = pair.east.plane.side(Direction.IN)
    event = MappingChanged(inbound.id, SocketAddress.parse(address, port))
    return pair.east.endpoint.step(event, pair.world.now)


def test_esp_from_elsewhere_leads_children_and_ike_there() -> None:
    pair = _behind_nat()
    (out,), (inbound,) = pair.east.plane.side(Direction.OUT), pair.east.plane.side(Direction.IN)
    moves = [one for one in _mapped(pair, 40_000, "192.0.2.9") if isinstance(one, MoveAssociation)]
    assert [one.before for one in moves] == [out, inbound]
    led, heard = (one.association for one in moves)
    there = ip_address("192.0.2.9")
    assert led == replace(out, destination=there, encapsulation=Encapsulation(4500, 40_000))
    assert heard == replace(inbound, source=there, encapsulation=Encapsulation(40_000, 4500))
    status = pair.east.endpoint.status("west")
    assert status.ike is not None
    assert status.ike.remote == SocketAddress(there, 40_000)
    assert status.children[0].outbound == led.id


def test_what_is_where_it_was_moves_nothing() -> None:
    pair = _behind_nat()
    assert _mapped(pair, 40_000)
    assert not _mapped(pair, 40_000)
    wrong = MappingChanged(AssociationId(ip_address("192.0.2.200"), 7), SocketAddress.parse("192.0.2.9", 1))
    assert not pair.east.endpoint.step(wrong, pair.world.now)
    (out,) = pair.east.plane.side(Direction.OUT)
    outbound = MappingChanged(out.id, SocketAddress.parse("192.0.2.9", 1))
    assert not pair.east.endpoint.step(outbound, pair.world.now)


def test_nobody_is_followed_who_is_not_behind_a_nat() -> None:
    pair = Pair().connect()
    assert not _mapped(pair, 40_000)


def test_who_is_behind_a_nat_follows_nobody() -> None:
    pair = _behind_nat()
    (inbound,) = pair.west.plane.side(Direction.IN)
    event = MappingChanged(inbound.id, SocketAddress.parse("198.51.100.77", 4500))
    assert not pair.west.endpoint.step(event, pair.world.now)
    for node, name in ((pair.west, "east"), (pair.east, "west")):
        (sa,) = node.endpoint._ctx.sas.values()
        sa.nat_local = sa.nat_remote = True
        before = node.endpoint.status(name).ike
        if name == "west":
            assert not [one for one in _mapped(pair, 40_000) if not isinstance(one, Checkpoint)]
        assert node.endpoint.status(name).ike == before


def test_a_child_that_waits_is_switched_to_where_the_peer_is_then() -> None:
    pair = _behind_nat()
    pair.world.link.conditions, pair.world.link.heals_at = LOST, pair.world.now
    pair.tell("west", RekeyRequested("east"), 0)
    while not (waiting := [one for one in _children(pair) if one.waiting]):
        pair.wait(0.001)
    (old,) = pair.east.plane.side(Direction.OUT)
    inbound = next(one for one in pair.east.plane.side(Direction.IN) if one.spi != waiting[0].spi_in)
    event = MappingChanged(inbound.id, SocketAddress.parse("192.0.2.1", 40_000))
    moved = [
        one.before.id for one in pair.east.endpoint.step(event, pair.world.now) if isinstance(one, MoveAssociation)
    ]
    assert moved == [old.id, inbound.id, waiting[0].inbound.id]
    assert waiting[0].outbound.encapsulation == Encapsulation(4500, 40_000)


def _children(pair: Pair) -> list[ChildSa]:
    return [child for lineage in pair.east.endpoint._ctx.lineages.values() for child in lineage.children.values()]


def test_both_ends_making_the_same_child_at_once_keep_one() -> None:
    pair = Pair()
    for side, (local, remote) in (
        ("west_peer", ("10.5.0.0/16", "10.6.0.0/16")),
        ("east_peer", ("10.6.0.0/16", "10.5.0.0/16")),
    ):
        peer = with_child(getattr(pair, side), local, remote, "more")
        more = replace(peer.children[1], start=Start.TRAFFIC)
        setattr(pair, side, replace(peer, start=Start.TRAFFIC, children=(peer.children[0], more)))
    pair.configure()
    pair.tell("west", replace(TRAFFIC, reqid=pair.west_peer.children[0].reqid))
    reqids = [Child(name, "more", (ts("10.5.0.0/16"),), (ts("10.6.0.0/16"),)).reqid for name in ("east", "west")]
    pair.world.at(pair.world.now, "west", replace(TRAFFIC, reqid=reqids[0]))
    pair.world.at(pair.world.now, "east", replace(TRAFFIC, reqid=reqids[1]))
    trace = pair.wait(8)
    assert sum("CREATE_CHILD_SA request" in line and "sends" in line for line in trace) == 2
    for node, other in ((pair.west, "east"), (pair.east, "west")):
        assert sorted(child.name for child in node.endpoint.status(other).children) == ["more", "net"]
        assert len(node.plane.associations) == 4


def test_the_same_task_does_not_wait_twice() -> None:
    pair = Pair().connect()
    for _ in range(1_000):
        pair.west.endpoint.step(RekeyRequested("east"), pair.world.now)
        pair.west.endpoint.step(RekeyRequested("east", ike=True), pair.world.now)
    (lineage,) = pair.west.endpoint._ctx.lineages.values()
    assert len(lineage.queue) <= 2
    assert not any(isinstance(task, CreateChild) for task in lineage.queue)


def test_no_secret_shows_in_a_repr() -> None:
    pair = Pair().connect()
    shown = repr(pair.west.endpoint._ctx)
    (sa,) = pair.west.endpoint._ctx.sas.values()
    assert sa.keys is not None
    for secret in (
        SECRET,
        sa.keys.sk_d,
        sa.keys.sk_ei,
        *(a.encryption_key for a in pair.west.plane.associations.values()),
    ):
        assert repr(secret)[2:-1] not in shown


@pytest.mark.parametrize("name", ["nobody", ""])
def test_unknown_names_are_no_matter(name: str) -> None:
    endpoint = Endpoint(SeededEntropy(1), 0)
    for event in (
        Connect(name),
        Disconnect(name),
        RekeyRequested(name),
        PathResolved(name, ()),
        PathFailed(name, Refusal.NO_ROUTE, ""),
        TRAFFIC,
    ):
        assert not any(isinstance(action, InstallAssociation) for action in endpoint.step(event, 0))


@pytest.mark.parametrize(
    ("ike", "esp", "cipher"),
    [
        ("aes256gcm16-prfsha384-ecp384", "aes256gcm16-ecp256", "aes256gcm16"),
        ("chacha20poly1305-prfsha512-ecp256", "chacha20poly1305-x25519", "chacha20poly1305"),
        ("aes128-sha256-modp2048", "aes128-sha256-modp2048", "aes128-sha256"),
        ("aes256-sha512-x25519", "aes256-sha384", "aes256-sha384"),
    ],
)
def test_algorithms_work_together(ike: str, esp: str, cipher: str) -> None:
    pair = Pair()
    for side in ("west_peer", "east_peer"):
        peer = getattr(pair, side)
        children = tuple(replace(child, proposals=(esp_proposal(esp),)) for child in peer.children)
        setattr(pair, side, replace(peer, proposals=(ike_proposal(ike),), children=children))
    pair.connect()
    pair.tell("west", RekeyRequested("east"))
    pair.tell("east", RekeyRequested("west", ike=True), 6)
    (child,) = pair.west.endpoint.status("east").children
    assert child.cipher == cipher
    assert len(pair.west.plane.associations) == len(pair.east.plane.associations) == 2


def test_ipv6_outside_and_inside() -> None:
    pair = Pair()
    pair.west.address, pair.east.address = ip_address("2001:db8::1"), ip_address("2001:db8::2")
    pair.west_peer = with_child(replace(pair.west_peer, addresses=("2001:db8::2",)), "fd01::/64", "fd02::/64")
    pair.east_peer = with_child(replace(pair.east_peer, addresses=("2001:db8::1",)), "fd02::/64", "fd01::/64")
    pair.connect()
    (out,) = pair.west.plane.side(Direction.OUT)
    assert (str(out.source), str(out.destination)) == ("2001:db8::1", "2001:db8::2")
    assert str(out.selectors[0]) == "fd01::/64 -> fd02::/64"


def test_what_is_not_spoken_is_said() -> None:
    pair = Pair(start=Start.ALWAYS)
    pair.west_peer = replace(pair.west_peer, ike=1)
    pair.configure()
    status = pair.west.endpoint.status("east")
    assert (status.state, status.reason) == (PeerState.DOWN, Refusal.INVALID_MAJOR_VERSION)
    assert pair.west.endpoint.census().setting_up == 0
