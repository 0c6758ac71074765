"""Checkpoints: what is in them, what an older program wrote, and what is refused by name."""

from __future__ import annotations

import json
import struct
import types
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from culvert.clock import SECOND
from culvert.config.model import Credential, Secret
from culvert.crypto.certificates.store import TrustStore
from culvert.entropy import SeededEntropy
from culvert.ike.actions import Checkpoint, InstallAssociation, Log, RemoveAssociation, ResolvePath, Transmit
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import CheckpointsLost, Configured, DeadlineReached, PathResolved, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.timers import Timer
from culvert.ike.v2 import ages, checkpoint, keeping
from culvert.ike.v2.checkpoint import Known, Parser, Pending, Snapshot
from culvert.ike.v2.sa import ChildSa, IkeSa, Lineage
from culvert.ipsec.associations import Direction
from culvert.limits import MAX_CHECKPOINT_OCTETS
from culvert.reasons import Refusal
from culvert.sim.pair import Pair, with_child
from tests.certified import certified_pair, good, revoking

HEAD = struct.Struct("!4sHIQIIII")
SET_ANEW = {
    Timer.HALF_OPEN,
    Timer.LAST_CHANCE,
    Timer.ANEW,
    Timer.CERTIFICATE,
    Timer.LIVENESS,
    Timer.KEEPALIVE,
    Timer.REASSEMBLY,
    Timer.INBOUND_GRACE,
    Timer.RETIRE,
    Timer.RECONNECT,
    Timer.NEXT_PATH,
    Timer.CHILD_CHECK,
    Timer.SETTLE,
}
"""Deadlines that another process sets by itself, or that belong to what it does not take up."""


@pytest.fixture
def pair() -> Pair:
    pair = Pair().connect()
    pair.wait(5)
    return pair


def kept(pair: Pair) -> bytes:
    (octets,) = pair.west.blobs.values()
    return octets


def successor(pair: Pair, *checkpoints: bytes, now: int | None = None, **changes: Any) -> tuple[Endpoint, list[Any]]:
    """Let another process take up these checkpoints, beside the associations that are there."""
    endpoint = Endpoint(SeededEntropy(77), pair.world.now if now is None else now)
    held = changes.pop("held", pair.west.plane.held())
    configured = Configured((replace(pair.west_peer, **changes),), None, held, checkpoints)
    return endpoint, endpoint.step(configured, pair.world.now if now is None else now)


def refusals(actions: list[Any]) -> list[str]:
    told = [one for one in actions if isinstance(one, Log) and one.reason is Refusal.CHECKPOINT_UNREADABLE]
    return [one.message.rpartition("made anew: ")[2] for one in told]


def of_kind(kind: type, actions: list[Any]) -> list[Any]:
    return [one for one in actions if isinstance(one, kind)]


# --- what is in it ---


def plain_types(kind: Any) -> Iterator[Any]:
    if get_origin(kind) in (Union, types.UnionType, tuple, list, dict):
        for argument in get_args(kind):
            yield from plain_types(argument)
    else:
        yield kind


def reachable(kind: Any, leaves: set[Any], found: set[Any]) -> set[Any]:
    for one in plain_types(kind):
        if one in found or one in leaves or not is_dataclass(one):
            continue
        found.add(one)
        for hint in get_type_hints(one).values():
            reachable(hint, leaves, found)
    return found


@pytest.mark.parametrize(
    ("codec", "root", "apart"),
    [
        (checkpoint._STATE, Snapshot, set()),
        (checkpoint._STATE, Pending, set()),
        (checkpoint._CONFIGURATION, Known, {Credential, Secret, TrustStore}),
    ],
)
def test_every_class_that_can_be_met_is_known(codec: Any, root: type, apart: set[type]) -> None:
    assert reachable(root, set(codec.leaves) | apart, set()) <= set(codec.classes)
    codec.reader(codec.layout)._of(root)


def test_every_deadline_goes_on_or_is_set_anew() -> None:
    going_on = {*keeping.IKE_TIMERS, *keeping.CHILD_TIMERS, *keeping.LINEAGE_TIMERS}
    assert going_on | SET_ANEW == set(Timer)
    assert not going_on & SET_ANEW


def test_every_instant_is_known_as_one() -> None:
    for kind in (Lineage, IkeSa, ChildSa):
        named = [field.name for field in fields(kind) if field.name.endswith("_at") or field.name == "last_heard"]
        assert sorted(ages.INSTANTS[kind]) == sorted(named)


def test_what_is_read_is_what_was_written(pair: Pair) -> None:
    found = Parser(lambda _: pair.west_peer).parse(kept(pair))
    ctx = pair.west.endpoint._ctx
    assert found.snapshot == keeping.take(ctx, ctx.lineages[1])
    assert found.pending == ()
    assert found.known == Known.of(pair.west_peer, None)
    assert found.snapshot.lineage.children[next(iter(found.snapshot.lineage.children))].child.name == "net"


def test_secrets_of_the_configuration_are_not_in_it(pair: Pair) -> None:
    assert pair.west_peer.secret is not None
    whole = b"".join(parts(kept(pair)))
    assert pair.west_peer.secret not in whole
    assert pair.west_peer.secret.hex().encode() not in whole


def test_it_is_not_shown(pair: Pair) -> None:
    assert kept(pair).hex() not in repr(Checkpoint(b"ike/1", kept(pair)))
    assert repr(kept(pair)) not in repr(Checkpoint(b"ike/1", kept(pair)))
    assert repr(kept(pair)) not in repr(Configured((), None, (), (kept(pair),)))


def test_it_is_small(pair: Pair) -> None:
    assert len(kept(pair)) < 5_000


def test_the_largest_is_within_the_bound() -> None:
    pair = Pair()
    for number in range(2, 129):
        names = f"10.{number}.0.0/16", f"10.{number}.128.0/17"
        pair.west_peer = with_child(pair.west_peer, names[0], names[1], f"net{number}")
        pair.east_peer = with_child(pair.east_peer, names[1], names[0], f"net{number}")
    pair.connect()
    pair.wait(30)
    assert len(pair.west.endpoint.status("east").children) == 128
    assert len(kept(pair)) < 2 * MAX_CHECKPOINT_OCTETS // 3
    pair.world.replace("west")
    assert len(pair.west.endpoint.status("east").children) == 128


# --- taking it up ---


def test_a_successor_goes_on_where_it_stood(pair: Pair) -> None:
    before = pair.west.endpoint.status("east")
    endpoint, actions = successor(pair, kept(pair))
    after = endpoint.status("east")
    assert (after.state, after.ike, after.children) == (PeerState.UP, before.ike, before.children)
    assert not of_kind(InstallAssociation, actions) + of_kind(RemoveAssociation, actions) + of_kind(Transmit, actions)
    assert isinstance(actions[0], Checkpoint)


def test_ivs_are_counted_anew_in_another_epoch(pair: Pair) -> None:
    endpoint, _ = successor(pair, kept(pair))
    (sent,) = of_kind(Transmit, endpoint.step(RekeyRequested("east"), pair.world.now))
    assert sent.data[32:40] == bytes((0, 1, 0, 0, 0, 0, 0, 1))


def test_what_is_configured_no_more_is_ended(pair: Pair) -> None:
    endpoint = Endpoint(SeededEntropy(77), pair.world.now)
    actions = endpoint.step(Configured((), None, pair.west.plane.held(), (kept(pair),)), pair.world.now)
    assert len(of_kind(Transmit, actions)) == 1
    assert len(of_kind(RemoveAssociation, actions)) == 2
    assert endpoint.census().established == 0


@pytest.mark.parametrize("changes", [{"dpd_s": 7}, {"secret": b"another"}, {"proposals": ()}])
def test_what_is_configured_otherwise_is_ended_and_begun_anew(pair: Pair, changes: dict[str, Any]) -> None:
    endpoint, actions = successor(pair, kept(pair), **changes)
    assert len(of_kind(Transmit, actions)) == 1
    assert len(of_kind(RemoveAssociation, actions)) == 2
    assert endpoint.census().established == 0


def test_another_place_in_the_file_is_no_change(pair: Pair) -> None:
    moved = replace(pair.west_peer, origin=replace(pair.west_peer.origin, line=99))
    endpoint = Endpoint(SeededEntropy(77), pair.world.now)
    endpoint.step(Configured((moved,), None, pair.west.plane.held(), (kept(pair),)), pair.world.now)
    assert endpoint.status("east").state is PeerState.UP


def test_what_the_data_plane_lost_is_made_anew(pair: Pair) -> None:
    endpoint, actions = successor(pair, kept(pair), held=())
    actions += endpoint.step(DeadlineReached(), pair.world.now)
    assert not of_kind(InstallAssociation, actions)
    assert len(of_kind(Transmit, actions)) == 1  # it asks for a successor of the child
    assert endpoint.census().established == 1


def test_what_nobody_owns_goes(pair: Pair) -> None:
    (inbound,), (outbound,) = (pair.west.plane.side(one) for one in (Direction.IN, Direction.OUT))
    strangers = [replace(one, id=replace(one.id, spi=one.id.spi ^ 1)) for one in pair.west.plane.held()]
    endpoint, actions = successor(pair, kept(pair), held=(*pair.west.plane.held(), *strangers))
    gone = [one.id.spi for one in of_kind(RemoveAssociation, actions)]
    assert gone == [outbound.spi ^ 1]
    at = endpoint._ctx.timers.at(Timer.INBOUND_GRACE, inbound.spi ^ 1)
    assert at is not None
    later = of_kind(RemoveAssociation, endpoint.step(DeadlineReached(), at))
    assert [one.id.spi for one in later] == [inbound.spi ^ 1]


def test_deadlines_go_on(pair: Pair) -> None:
    timers = pair.west.endpoint._ctx.timers
    endpoint, _ = successor(pair, kept(pair))
    for key, (at, _) in timers._due.items():
        if key[0] not in SET_ANEW:
            assert endpoint._ctx.timers.at(*key) == at


def test_on_another_clock_ages_stay(pair: Pair) -> None:
    before = pair.west.endpoint.status("east")
    endpoint, _ = successor(pair, kept(pair), now=SECOND)
    after = endpoint.status("east")
    written_at = HEAD.unpack_from(kept(pair))[3]
    assert before.ike is not None
    assert after.ike is not None
    assert SECOND - after.ike.established_at == written_at - before.ike.established_at
    assert before.ike.rekey_at is not None
    assert after.ike.rekey_at == before.ike.rekey_at - written_at + SECOND


def test_what_was_lost_is_kept_again(pair: Pair) -> None:
    (again,) = pair.west.endpoint.step(CheckpointsLost(), pair.world.now)
    assert isinstance(again, Checkpoint)
    assert again.data is not None
    assert parts(again.data) == parts(kept(pair))


def test_who_was_silent_before_is_called_beside_it_again(pair: Pair) -> None:
    endpoint, actions = successor(pair, setting("Lineage.silent", True)(kept(pair)))
    (asked,) = of_kind(ResolvePath, actions)
    paths = ((pair.west.address, pair.east.address),)
    sent = of_kind(Transmit, endpoint.step(PathResolved(asked.peer, paths), pair.world.now))
    assert len(sent) == 1
    assert sent[0].data[18] == 34  # IKE_SA_INIT


# --- what another version wrote ---


def parts(octets: bytes) -> list[bytes]:
    """Give both layouts, unpacked, configuration, pending and state of a checkpoint."""
    lengths = HEAD.unpack_from(octets)[-4:]
    rest, found = octets[HEAD.size :], []
    for length in lengths:
        found.append(rest[:length])
        rest = rest[length:]
    return [zlib.decompress(found[0]), zlib.decompress(found[1]), *found[2:], rest]


def put_together(version: int, written_at: int, *sections: bytes) -> bytes:
    packed = [zlib.compress(one) for one in sections[:2]] + list(sections[2:])
    head = HEAD.pack(b"CVTI", version, 0, written_at, *(len(one) for one in packed[:-1]))
    return checkpoint.sealed(head + b"".join(packed))


NUMBERS = [2, 3, 4, 5]
"""Hashes, which look like the third class."""


@dataclass(frozen=True)
class Writer:
    """A program whose classes lack these fields, and have others."""

    lacks: tuple[str, ...] = ()
    has: tuple[str, ...] = ()

    def rewrite(self, layout: bytes, *values: bytes) -> tuple[bytes, ...]:
        classes = json.loads(layout)
        new = [[name, [*[one for one in names if one not in self.lacks], *self.has]] for name, names in classes]
        written = tuple(json.dumps(self._value(json.loads(value), classes)).encode() for value in values)
        return json.dumps([["OfLater", ["x"]], *new]).encode(), *written

    def _value(self, value: Any, classes: list[Any]) -> Any:
        if isinstance(value, dict):
            return {key: self._value(one, classes) for key, one in value.items()}
        if not isinstance(value, list):
            return value
        inner = [self._value(one, classes) for one in value]
        if not (value and type(value[0]) is int and value[0] < len(classes)):
            return inner
        names = classes[value[0]][1]
        if len(names) != len(value) - 1 or value == NUMBERS:
            return inner
        stay = [one for name, one in zip(names, inner[1:], strict=True) if name not in self.lacks]
        return [value[0] + 1, *stay, *({"what": "ever"} for _ in self.has)]


def of_other_program(octets: bytes, writer: Writer) -> bytes:
    layout, known_layout, known, pending, state = parts(octets)
    layout, state, pending = writer.rewrite(layout, state, pending)
    return put_together(checkpoint.VERSION, 0, layout, *writer.rewrite(known_layout, known), pending, state)


YOUNG = (
    "epoch",
    "lingering",
    "unconfirmed",
    "answered_in",
    "silent",
    "astray",
    "smaller",
    "peer_hashes",
    "narrow",
    "metric",
    "trust",
)


@pytest.mark.parametrize("writer", [Writer(YOUNG), Writer((), ("invented", "later")), Writer(YOUNG, ("invented",))])
def test_what_an_older_or_newer_program_wrote_is_taken_up(pair: Pair, writer: Writer) -> None:
    octets = of_other_program(kept(pair), writer)
    assert octets != kept(pair)
    before = pair.west.endpoint.status("east")
    endpoint, actions = successor(pair, octets)
    assert not refusals(actions)
    assert (endpoint.status("east").state, endpoint.status("east").ike) == (PeerState.UP, before.ike)


def test_a_field_without_which_nothing_goes_must_be_there(pair: Pair) -> None:
    _, actions = successor(pair, of_other_program(kept(pair), Writer(("spi_i",))))
    assert refusals(actions) == ["spi_i is missing"]


# --- what is refused ---


def with_state(octets: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Change values of the lineage, of its IKE SA and of its child by name."""
    layout, *others, state = parts(octets)
    classes = json.loads(layout)
    names = dict(classes)
    value = json.loads(state)
    by_class = {
        "Snapshot": value,
        "Lineage": value[1],
        "IkeSa": value[2][0],
        "ChildSa": next(iter(value[1][1 + names["Lineage"].index("children")].values())),
    }
    flat = {f"{name}.{field}": [row, 1 + at] for name, row in by_class.items() for at, field in enumerate(names[name])}
    change(flat)
    return put_together(checkpoint.VERSION, 0, layout, *others, json.dumps(value).encode())


def setting(name: str, new: Any) -> Callable[[bytes], bytes]:
    def change(flat: dict[str, Any]) -> None:
        row, at = flat[name]
        row[at] = new

    return lambda octets: with_state(octets, change)


REFUSED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "0 octets"),
    "cut off": (lambda octets: octets[:-1], "damaged"),
    "too long": (lambda octets: octets + bytes(MAX_CHECKPOINT_OCTETS), "octets are no checkpoint"),
    "another thing": (lambda octets: b"XXXX" + octets[4:], "no checkpoint of an IKE SA"),
    "another version": (lambda octets: put_together(99, 0, *parts(octets)), "version 99"),
    "damaged": (lambda octets: octets[:-9] + bytes(9), "damaged"),
    "not established": (setting("Lineage.established", False), "not established"),
    "without members": (setting("Lineage.members", []), "not established"),
    "another peer": (setting("Lineage.peer", "nobody"), "another peer"),
    "no peer": (setting("Lineage.peer", None), "not established"),
    "a missing IKE SA": (setting("Lineage.members", ["AAAAAAAAAAA="]), "an IKE SA is missing"),
    "another lineage's": (setting("IkeSa.lineage", 9), "two IKE SAs"),
    "no SPI": (setting("IkeSa.spi_r", "AAAA"), "has no SPI"),
    "no keys": (setting("IkeSa.keys", None), "no keys"),
    "no suite": (setting("IkeSa.suite", None), "no keys"),
    "half open": (setting("IkeSa.state", "half-open"), "no keys that fit"),
    "an unknown state": (setting("IkeSa.state", "asleep"), "no IkeState"),
    "no epochs left": (setting("IkeSa.epoch", 0xFFFF), "taken up too often"),
    "an unknown child": (setting("ChildSa.child", "other"), "a child that the peer does not have"),
    "a number for octets": (setting("IkeSa.nonce_i", 7), "no octets"),
    "a text for a number": (setting("IkeSa.last_heard", "7"), "no number"),
    "a huge number": (setting("IkeSa.last_heard", 2**70), "no number"),
    "somebody's deadline": (setting("Snapshot.deadlines", [[1, "ike-rekey", "00", 5]]), "a deadline is nobody's"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_up_is_refused_by_name_and_made_anew(pair: Pair, name: str) -> None:
    change, expected = REFUSED[name]
    endpoint, actions = successor(pair, change(kept(pair)))
    (said,) = refusals(actions)
    assert expected in said
    assert endpoint.census().established == 0
    assert not of_kind(Checkpoint, actions)
    assert not of_kind(RemoveAssociation, actions)  # what carries traffic goes on until there are successors


def test_one_that_is_refused_does_not_keep_another_from_being_taken_up(pair: Pair) -> None:
    endpoint, actions = successor(pair, b"nothing", kept(pair), b"nor this")
    assert len(refusals(actions)) == 2
    assert endpoint.status("east").state is PeerState.UP


def test_two_of_one_are_one(pair: Pair) -> None:
    endpoint, actions = successor(pair, kept(pair), kept(pair))
    assert refusals(actions) == ["there are two of one number"]
    assert endpoint.census().established == 1


def test_an_ike_sa_that_runs_out_of_epochs_gets_a_successor(pair: Pair) -> None:
    endpoint, actions = successor(pair, setting("IkeSa.epoch", 0xFFFE)(kept(pair)))
    (sent,) = of_kind(Transmit, actions)
    assert sent.data[32:34] == b"\xff\xff"
    assert endpoint.status("east").state is PeerState.UP


# --- certificates ---


def believed(trust: TrustStore | None = None) -> Pair:
    """Give a pair that proved itself by certificates, of which west is another process now, which trusts so."""
    pair = certified_pair()
    pair.connect()
    pair.wait(5)
    assert pair.west.up("east")
    assert pair.west.configured is not None
    pair.west_peer = replace(pair.west_peer, trust=trust or pair.west_peer.trust)
    pair.west.configured = replace(pair.west.configured, peers=(pair.west_peer,))
    pair.world.replace("west")
    return pair


def test_a_tunnel_by_certificates_goes_on() -> None:
    pair = believed()
    assert not any("IKE_SA_INIT" in line for line in pair.wait(40))
    assert pair.west.up("east")
    assert pair.east.up("west")


def test_whoever_was_revoked_meanwhile_is_let_go_and_nobody_else() -> None:
    pair = believed(revoking("east", good("east")))
    pair.wait(20)
    assert pair.west.endpoint.status("east").reason is Refusal.CERTIFICATE_REVOKED
    assert not pair.west.plane.associations
    assert believed(revoking("west", good("west"))).west.up("east")
