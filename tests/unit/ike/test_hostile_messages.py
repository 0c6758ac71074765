"""What anybody can send, and what a peer may not send: numbers are those of the list of known holes in IKE daemons."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import pytest

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Peer
from culvert.entropy import Entropy, SeededEntropy
from culvert.identities import Identity
from culvert.ike import negotiation
from culvert.ike.actions import Action, Log, RemoveAssociation, Transmit
from culvert.ike.events import Configured, Connect, DatagramReceived, DeadlineReached, Disconnect
from culvert.ike.status import PeerState
from culvert.ike.v2 import proof
from culvert.ike.v2.exchanges import informational
from culvert.ike.v2.sa import DeleteChild, IkeSa, IkeState
from culvert.ike.v2.sealing import Payloads, seal
from culvert.ipsec.proposals import ike_proposal
from culvert.limits import COOKIE_THRESHOLD_PER_SOURCE, MAX_HALF_OPEN, MAX_HALF_OPEN_PER_SOURCE, MAX_IKE_SAS_PER_PEER
from culvert.reasons import Refusal
from culvert.sim.link import Conditions
from culvert.sim.pair import IKE, Pair
from culvert.sim.world import Node
from culvert.wire.isakmp.auth import Authentication
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.header import NO_SPI, read_header
from culvert.wire.isakmp.identification import Identification
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.message import Message, emit_message, parse_message
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.isakmp.payload import Unknown

STRANGER = SocketAddress.parse("192.0.2.66", 500)
X25519 = 31
GOOD_PUBLIC = bytes([9]) + bytes(31)
EVERYTHING_LOST = Conditions(loss=1.0)


def _first(public: bytes = GOOD_PUBLIC, spi: bytes = b"stranger", *more: Notify, method: int = X25519) -> bytes:
    payloads = (
        *more,
        negotiation.offer(IKE, ProtocolId.IKE, b"", key_exchange=True),
        KeyExchangePayload(method, public),
        Nonce(bytes(16)),
    )
    return emit_message(Message(spi, NO_SPI, ExchangeType.IKE_SA_INIT, True, False, 0, payloads))


def _receive(pair: Pair, node: Node, data: bytes, source: SocketAddress | None = None) -> list[Action]:
    local = SocketAddress(node.address, 500)
    remote = source or SocketAddress((pair.west if node is pair.east else pair.east).address, 500)
    return node.endpoint.step(DatagramReceived(local, remote, data), pair.world.now)


def _answers(actions: list[Action]) -> list[bytes]:
    return [action.data for action in actions if isinstance(action, Transmit)]


def _notified(data: bytes) -> list[object]:
    return [one.type for one in parse_message(data).payloads if isinstance(one, Notify)]


def _sa(node: Node) -> IkeSa:
    return next(sa for sa in node.endpoint._ctx.sas.values() if sa.state is not IkeState.CLOSED)


def _sealed(node: Node, exchange: ExchangeType, payloads: Payloads) -> bytes:
    """Write a request of this node with the keys of its IKE SA."""
    sa = _sa(node)
    return seal(sa, SeededEntropy(9), exchange, payloads, message_id=sa.window.next_request, response=False)


def _half_open() -> Pair:
    """West has sent IKE_AUTH, which is lost: east is half-open."""
    pair = Pair().configure()
    pair.world.at(pair.world.now, "west", Connect("east"))
    pair.world.run(pair.world.now + SECOND // 64)
    pair.world.link.conditions, pair.world.link.heals_at = EVERYTHING_LOST, 1 << 62
    pair.world.run(pair.world.now + SECOND // 4)
    assert _sa(pair.east).state is IkeState.HALF_OPEN or _sa(pair.west).state is IkeState.INIT_SENT
    return pair


def _half_open_with_keys() -> Pair:
    pair = Pair().configure()
    pair.world.at(pair.world.now, "west", Connect("east"))
    while not any(sa.state is IkeState.AUTH_SENT for sa in pair.west.endpoint._ctx.sas.values()):
        pair.world.run(pair.world.now + SECOND // 1_000)
    assert _sa(pair.east).state is IkeState.HALF_OPEN
    return pair


# Rows 6 and 17: exchanges before IKE_AUTH.


@pytest.mark.parametrize("exchange", [ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL])
@pytest.mark.parametrize("payloads", [(), (Delete(ProtocolId.IKE),), (Notify(NotifyType.INITIAL_CONTACT),)])
def test_before_ike_auth_nothing_else_is_answered(exchange: ExchangeType, payloads: Payloads) -> None:
    pair = _half_open_with_keys()
    sa = _sa(pair.west)
    for message_id in (0, 1, 2):
        data = seal(sa, SeededEntropy(9), exchange, payloads, message_id=message_id, response=False)
        assert not _answers(_receive(pair, pair.east, data))
    assert _sa(pair.east).state is IkeState.HALF_OPEN
    pair.wait(2)
    assert pair.east.endpoint.status("west").state is PeerState.UP


def test_a_second_ike_auth_changes_nothing() -> None:
    pair = Pair().connect()
    before = pair.east.endpoint.status("west")
    assert not _answers(_receive(pair, pair.east, _sealed(pair.west, ExchangeType.IKE_AUTH, ())))
    assert pair.east.endpoint.status("west") == before


# Row 16: deletes and INITIAL_CONTACT that are not protected, or are another identity's.


@pytest.mark.parametrize("payload", [Delete(ProtocolId.IKE), Notify(NotifyType.INITIAL_CONTACT)])
@pytest.mark.parametrize("exchange", list(ExchangeType))
@pytest.mark.parametrize("response", [False, True])
def test_what_is_not_protected_ends_nothing(payload: Delete | Notify, exchange: ExchangeType, response: bool) -> None:
    pair = Pair().connect()
    sa = _sa(pair.west)
    for message_id in range(4):
        message = Message(sa.spi_i, sa.spi_r, exchange, True, response, message_id, (payload,))
        actions = _receive(pair, pair.east, emit_message(message))
        assert not any(isinstance(action, RemoveAssociation) for action in actions)
    assert pair.east.endpoint.status("west").state is PeerState.UP


def test_initial_contact_is_for_the_same_identity_only() -> None:
    pair = Pair()
    other = replace(pair.east_peer, name="other", addresses=(), identity=Identity.parse("other.example.org"))
    pair.connect()
    pair.tell("east", Configured((pair.east_peer, other)))
    third = pair.world.add("third", "192.0.2.9", 99)
    theirs = replace(pair.west_peer, local_identity=Identity.parse("other.example.org"))
    pair.tell("third", Configured((theirs,)))
    pair.tell("third", Connect("east"))
    assert third.endpoint.status("east").state is PeerState.UP
    assert pair.east.endpoint.status("west").state is PeerState.UP


def test_initial_contact_lets_go_of_an_earlier_life() -> None:
    pair = Pair().connect()
    pair.world.restart("west")
    pair.tell("west", Connect("east"))
    assert pair.east.endpoint.census().established == 1
    assert len(pair.east.plane.associations) == 2


# Row 18: amplification.


def test_a_first_message_is_answered_once_and_with_hardly_more() -> None:
    pair = Pair().configure()
    request = _first()
    answers = _answers(_receive(pair, pair.east, request, SocketAddress(pair.west.address, 500)))
    assert len(answers) == 1
    # A longer nonce than the least one, and that IKE_AUTH may come without a child.
    assert len(answers[0]) <= len(request) + 16 + 8
    for seconds in range(1, 120):
        late = pair.east.endpoint.step(DeadlineReached(), pair.world.now + seconds * SECOND)
        assert not _answers(late), "a responder repeats nothing by itself"


def test_who_floods_must_show_a_cookie() -> None:
    pair = Pair().configure()
    source = SocketAddress(pair.west.address, 500)
    for number in range(COOKIE_THRESHOLD_PER_SOURCE):
        _receive(pair, pair.east, _first(spi=b"flood%03d" % number), source)
    request = _first(spi=b"another!")
    (answer,) = _answers(_receive(pair, pair.east, request, source))
    assert _notified(answer) == [NotifyType.COOKIE]
    assert len(answer) < len(request)
    cookie = next(one for one in parse_message(answer).payloads if isinstance(one, Notify))
    held = pair.east.endpoint.census().setting_up
    again = _first(GOOD_PUBLIC, b"another!", Notify(NotifyType.COOKIE, cookie.data))
    (answer,) = _answers(_receive(pair, pair.east, again, source))
    assert read_header(answer).spi_r != NO_SPI
    assert pair.east.endpoint.census().setting_up == held + 1
    wrong = _first(GOOD_PUBLIC, b"a third!", Notify(NotifyType.COOKIE, cookie.data))
    assert _notified(_answers(_receive(pair, pair.east, wrong, source))[0]) == [NotifyType.COOKIE]


def test_half_open_is_bounded_and_dies_of_age() -> None:
    pair = Pair().configure()
    identified = replace(pair.east_peer, identity=Identity.parse("west.example.org"))
    pair.tell("east", Configured((identified,)))
    for host, number in itertools.product(range(100), range(3)):
        source = SocketAddress.parse(f"192.0.2.{host}", 500)
        _receive(pair, pair.east, _first(spi=b"%4d%4d" % (host, number)), source)
    held = pair.east.endpoint.census().setting_up
    assert 0 < held <= min(MAX_HALF_OPEN, 100 * MAX_HALF_OPEN_PER_SOURCE)
    pair.wait(120)
    assert pair.east.endpoint.census().setting_up == 0
    assert not pair.east.endpoint._ctx.sas
    assert not pair.east.endpoint._ctx.first_messages


# Row 19: bad public values.


@pytest.mark.parametrize("public", [b"", bytes(32), bytes([1]) + bytes(31), bytes(31), bytes(33), bytes([255]) * 32])
def test_a_bad_public_value_makes_no_ike_sa(public: bytes) -> None:
    pair = Pair().configure()
    actions = _receive(pair, pair.east, _first(public), SocketAddress(pair.west.address, 500))
    answers = _answers(actions)
    if public != bytes([255]) * 32:
        assert [_notified(answer) for answer in answers] == [[NotifyType.INVALID_SYNTAX]]
        assert pair.east.endpoint.census().setting_up == 0
    assert not any(isinstance(action, Log) and action.level >= 40 for action in actions)


@pytest.mark.parametrize("method", [0, 1, 2, 14, 19, 65_535])
def test_a_group_that_was_not_chosen_is_asked_for_again(method: int) -> None:
    pair = Pair().configure()
    data = _first(bytes(96), method=method)
    (answer,) = _answers(_receive(pair, pair.east, data, SocketAddress(pair.west.address, 500)))
    (notify,) = (one for one in parse_message(answer).payloads if isinstance(one, Notify))
    assert (notify.type, notify.data) == (NotifyType.INVALID_KE_PAYLOAD, X25519.to_bytes(2, "big"))


# Rows 4 and 20, the parts that are no matter of chance: see tests/property for the rest.


def test_an_unknown_critical_payload_is_named_and_the_ike_sa_stays() -> None:
    pair = Pair().connect()
    data = _sealed(pair.west, ExchangeType.INFORMATIONAL, (Unknown(99, True, b"?"),))
    (answer,) = _answers(_receive(pair, pair.east, data))
    assert len(answer) > 28
    assert pair.east.endpoint.status("west").state is PeerState.UP


def test_a_stranger_is_told_nothing_but_no() -> None:
    pair = Pair().configure()
    actions = _receive(pair, pair.east, _first(), STRANGER)
    (answer,) = _answers(actions)
    assert _notified(answer) == [NotifyType.NO_PROPOSAL_CHOSEN]
    assert len(answer) < len(_first())
    assert pair.east.endpoint.census().setting_up == 0


def test_a_later_version_is_told_ours() -> None:
    pair = Pair().configure()
    data = bytearray(_first())
    data[17] = 0x30
    (answer,) = _answers(_receive(pair, pair.east, bytes(data)))
    assert _notified(answer) == [NotifyType.INVALID_MAJOR_VERSION]


def test_forged_refusals_of_a_set_up_end_nothing_where_the_real_answer_comes() -> None:
    pair = Pair().configure()
    pair.world.at(pair.world.now, "west", Connect("east"))
    pair.world.run(pair.world.now + SECOND // 1_000)
    spi = _sa(pair.west).spi_i
    for type_ in (NotifyType.NO_PROPOSAL_CHOSEN, NotifyType.AUTHENTICATION_FAILED, NotifyType.INVALID_SYNTAX):
        forged = Message(spi, NO_SPI, ExchangeType.IKE_SA_INIT, False, True, 0, (Notify(type_),))
        _receive(pair, pair.west, emit_message(forged))
    pair.wait(2)
    assert pair.west.endpoint.status("east").state is PeerState.UP


def test_a_bug_ends_one_ike_sa_and_not_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair().connect()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("not for the log: " + "key")

    monkeypatch.setattr(informational, "respond", broken)
    actions = _receive(pair, pair.east, _sealed(pair.west, ExchangeType.INFORMATIONAL, ()))
    errors = [action for action in actions if isinstance(action, Log) and action.level >= 40]
    assert len(errors) == 1
    assert "ZeroDivisionError" in errors[0].message
    assert "key" not in errors[0].message
    assert pair.east.endpoint.census().established == 0
    monkeypatch.undo()
    pair.tell("east", Connect("west"))
    assert pair.east.endpoint.status("west").state is PeerState.UP


@pytest.mark.parametrize("by_initiator", [True, False])
@pytest.mark.parametrize("bit", [0, 7, 100, 255])
def test_a_proof_with_one_wrong_bit_is_none(monkeypatch: pytest.MonkeyPatch, by_initiator: bool, bit: int) -> None:
    """CVE-2004-0155: who claims must prove, at both ends."""
    real = proof.make

    def wrong(sa: IkeSa, peer: Peer, identification: Identification) -> Authentication:
        made = real(sa, peer, identification)
        flipped = (int.from_bytes(made.data, "big") ^ (1 << bit)).to_bytes(len(made.data), "big")
        return replace(made, data=flipped) if sa.initiator == by_initiator else made

    monkeypatch.setattr(proof, "make", wrong)
    pair = Pair().connect()
    for node, other in ((pair.west, "east"), (pair.east, "west")):
        assert node.endpoint.status(other).ike is None
        assert node.endpoint.status(other).reason is Refusal.AUTHENTICATION_FAILED
        assert not node.plane.associations


def test_one_source_cannot_fill_the_table() -> None:
    pair = Pair().configure()
    source = SocketAddress(pair.west.address, 500)
    for number in range(3 * MAX_HALF_OPEN_PER_SOURCE):
        spi = b"flood%03d" % number
        for answer in _answers(_receive(pair, pair.east, _first(spi=spi), source)):
            cookies = [one for one in parse_message(answer).payloads if isinstance(one, Notify)]
            if cookies:
                _receive(pair, pair.east, _first(GOOD_PUBLIC, spi, Notify(cookies[0].type, cookies[0].data)), source)
    assert pair.east.endpoint.census().setting_up == MAX_HALF_OPEN_PER_SOURCE


def test_one_spi_with_many_keys_is_a_flood_like_any_other() -> None:
    pair = Pair().configure()
    source = SocketAddress(pair.west.address, 500)
    kinds = list[object]()
    for number in range(3 * MAX_HALF_OPEN_PER_SOURCE):
        public = bytes([9, number]) + bytes(30)
        for answer in _answers(_receive(pair, pair.east, _first(public), source)):
            kinds += _notified(answer)
    ctx = pair.east.endpoint._ctx
    assert NotifyType.COOKIE in kinds
    assert ctx.half_open.of(source.ip) == len(ctx.half_open) == len(ctx.sas) == COOKIE_THRESHOLD_PER_SOURCE
    pair.wait(120)
    assert not ctx.sas
    assert not ctx.first_messages
    assert len(ctx.half_open) == 0


def test_an_established_peer_is_no_longer_counted_as_half_open() -> None:
    pair = Pair().connect()
    assert len(pair.east.endpoint._ctx.half_open) == 0
    assert list(pair.east.endpoint._ctx.by_peer) == ["west"]
    pair.tell("west", Disconnect("east"), 60)
    assert not pair.east.endpoint._ctx.by_peer
    assert not pair.west.endpoint._ctx.by_peer


@pytest.mark.parametrize("public", [bytes(255), bytes(256), bytes(255) + b"\x01", b"\xff" * 256])
def test_a_bad_public_value_of_a_large_group_costs_no_private_key(public: bytes) -> None:
    pair = Pair()
    pair.east_peer = replace(pair.east_peer, proposals=(ike_proposal("aes128gcm16-prfsha256-modp2048"),))
    pair.configure()
    offered = negotiation.offer(pair.east_peer.proposals, ProtocolId.IKE, b"", key_exchange=True)
    payloads = (offered, KeyExchangePayload(14, public), Nonce(bytes(16)))
    data = emit_message(Message(b"stranger", NO_SPI, ExchangeType.IKE_SA_INIT, True, False, 0, payloads))
    drawn: list[int] = []
    entropy = pair.east.endpoint._ctx.entropy
    pair.east.endpoint._ctx.entropy = Counted(entropy, drawn)
    (answer,) = _answers(_receive(pair, pair.east, data, SocketAddress(pair.west.address, 500)))
    assert _notified(answer) == [NotifyType.INVALID_SYNTAX]
    assert 40 not in drawn  # the octets of an exponent


@dataclass
class Counted:
    """A source that tells how much was drawn from it."""

    source: Entropy
    drawn: list[int]

    def octets(self, count: int) -> bytes:
        self.drawn.append(count)
        return self.source.octets(count)


def test_one_peer_cannot_pile_up_ike_sas() -> None:
    pair = Pair().connect()
    for _ in range(2 * MAX_IKE_SAS_PER_PEER):
        # It forgets each at once, and says so to nobody.
        pair.world.restart("west")
        ctx = pair.west.endpoint._ctx
        ctx.sas[b"not real"] = IkeSa(
            0, True, b"not real", NO_SPI, IkeState.DELETING, STRANGER, SocketAddress(pair.east.address, 500), 0
        )
        pair.tell("west", Connect("east"), 0.2)
    pair.wait(6)  # by then every child sends, whether or not its other end was seen to have it
    assert 1 < pair.east.endpoint.census().established <= MAX_IKE_SAS_PER_PEER
    assert len(pair.east.plane.associations) == 2 * pair.east.endpoint.census().children


def test_children_that_both_ends_delete_at_once_are_gone_without_an_answer_for_them() -> None:
    pair = Pair().connect()
    before = len(pair.world.trace)
    (child,) = pair.east.endpoint.status("west").children
    lineages = [next(iter(node.endpoint._ctx.lineages.values())) for node in (pair.west, pair.east)]
    for node, lineage in zip((pair.west, pair.east), lineages, strict=True):
        spi = next(iter(lineage.children))
        lineage.queue.append(DeleteChild(spi))
        node.endpoint._ctx.dirty[lineage.number] = None
        pair.world.at(pair.world.now, node.name, Connect("nobody"))
    trace = pair.wait(7, before)
    assert sum("removes" in line for line in trace) == 4
    assert sum("sends INFORMATIONAL" in line for line in trace) == 4
    assert child.inbound not in pair.east.plane.associations


def test_what_is_closed_is_forgotten_in_the_end() -> None:
    pair = Pair().connect()
    pair.tell("west", Disconnect("east"), 120)
    for node in (pair.west, pair.east):
        assert not node.endpoint._ctx.sas
        assert not node.endpoint._ctx.lineages
        assert not node.endpoint._ctx.child_owners
        assert node.endpoint.deadline() is None
