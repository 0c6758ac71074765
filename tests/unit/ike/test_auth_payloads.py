"""IKE_AUTH with payloads too many, too few, too long, or where they do not belong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from culvert.identities import IdentityType
from culvert.ike.events import Connect, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2 import requests
from culvert.ike.v2.sealing import Payloads
from culvert.ike.v2.sealing import seal_within as real_seal
from culvert.sim.pair import Pair
from culvert.wire.isakmp.auth import Authentication, AuthMethod
from culvert.wire.isakmp.cert import Certificate
from culvert.wire.isakmp.identification import IDi, IDr
from culvert.wire.isakmp.message import Message, emit_message
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType
from culvert.wire.isakmp.payload import Payload, Unknown
from tests.certified import certified_pair

Change = Callable[[Payloads], Payloads]
AUTH = Authentication(AuthMethod.SHARED_KEY, bytes(32))


def _is(kind: type) -> Callable[[Payload], bool]:
    return lambda one: isinstance(one, kind)


def _without(kind: type) -> Change:
    return lambda payloads: tuple(one for one in payloads if not isinstance(one, kind))


def _twice(kind: type) -> Change:
    return lambda payloads: (*payloads, *(one for one in payloads if isinstance(one, kind)))


def _instead(kind: type, payload: Payload) -> Change:
    return lambda payloads: tuple(payload if isinstance(one, kind) else one for one in payloads)


def _raw(kind: PayloadType, body: bytes) -> Payload:
    """Give octets as they are, whatever our own writer thinks of them."""
    return Unknown(kind, False, body)


def _speak(monkeypatch: pytest.MonkeyPatch, exchange: ExchangeType, change: Change, *, initiator: bool) -> None:
    """Let one end write its messages of an exchange in another way."""

    def seal(sa, entropy, written, payloads, **more):  # type: ignore[no-untyped-def]
        mine = written == exchange and sa.initiator == initiator
        return real_seal(sa, entropy, written, change(payloads) if mine else payloads, **more)

    monkeypatch.setattr(requests, "seal_within", seal)


REQUESTS: dict[str, Change] = {
    "no identity": _without(IDi),
    "two identities": _twice(IDi),
    "two proofs": _twice(Authentication),
    "two wishes": _twice(IDr),
    "an empty proof": _instead(Authentication, _raw(PayloadType.AUTH, b"")),
    "a proof of three octets": _instead(Authentication, _raw(PayloadType.AUTH, b"\2\0\0")),
    "a proof without data": _instead(Authentication, Authentication(AuthMethod.SHARED_KEY, b"")),
    "a proof of 4,000 octets": _instead(Authentication, Authentication(AuthMethod.SHARED_KEY, bytes(4_000))),
    "an empty identity": _instead(IDi, _raw(PayloadType.IDI, b"")),
    "an identity of no type": _instead(IDi, _raw(PayloadType.IDI, b"\0\0\0\0abc")),
    "an identity of type 200": _instead(IDi, _raw(PayloadType.IDI, b"\xc8\0\0\0abc")),
    "an address of three octets": _instead(IDi, _raw(PayloadType.IDI, b"\1\0\0\0abc")),
    "an identity of 1,025 octets": _instead(IDi, _raw(PayloadType.IDI, b"\2\0\0\0" + b"a" * 1_025)),
    "a name that is no name": _instead(IDi, IDi(IdentityType.FQDN, b"\0\xff\n\x1b[2J")),
    "a distinguished name that is none": _instead(IDi, IDi(IdentityType.DER_ASN1_DN, b"\x30\x84\xff\xff\xff\xff")),
    "a general name": _instead(IDi, IDi(IdentityType.DER_ASN1_GN, b"\x82\x01a")),
    "an empty certificate payload": lambda payloads: (*payloads, _raw(PayloadType.CERT, b"")),
}


@pytest.mark.parametrize("made", [Pair, certified_pair], ids=["secret", "certificate"])
@pytest.mark.parametrize("what", REQUESTS)
def test_a_request_that_is_wrong_sets_nothing_up(
    monkeypatch: pytest.MonkeyPatch, made: Callable[[], Pair], what: str
) -> None:
    """CVE-2025-9242: nothing that an identity or a proof may be long, short or twice gets past."""
    pair = made()
    pair.configure()
    _speak(monkeypatch, ExchangeType.IKE_AUTH, REQUESTS[what], initiator=True)
    said = pair.tell("west", Connect("east"))
    assert pair.east.endpoint.census().established == 0
    assert not pair.east.plane.associations
    assert not any("bug" in line for line in said)
    assert all(line.isprintable() for line in said)
    monkeypatch.undo()
    pair.wait(40)
    pair.tell("west", Connect("east"))
    assert pair.east.endpoint.status("west").state is PeerState.UP


RESPONSES: dict[str, Change] = {
    "no identity": _without(IDr),
    "no proof": _without(Authentication),
    "two proofs": _twice(Authentication),
    "two identities": _twice(IDr),
    "the other's identity": lambda payloads: tuple(
        IDi(one.type, one.value) if isinstance(one, IDr) else one for one in payloads
    ),
    "nothing": lambda _payloads: (),
    "an identity of type 200": _instead(IDr, _raw(PayloadType.IDR, b"\xc8\0\0\0abc")),
    "an empty identity": _instead(IDr, _raw(PayloadType.IDR, b"\2\0\0\0")),
}


@pytest.mark.parametrize("made", [Pair, certified_pair], ids=["secret", "certificate"])
@pytest.mark.parametrize("what", RESPONSES)
def test_a_response_that_is_wrong_sets_nothing_up(
    monkeypatch: pytest.MonkeyPatch, made: Callable[[], Pair], what: str
) -> None:
    pair = made()
    pair.configure()
    _speak(monkeypatch, ExchangeType.IKE_AUTH, RESPONSES[what], initiator=False)
    said = pair.tell("west", Connect("east"))
    assert pair.west.endpoint.census().established == 0
    assert not pair.west.plane.associations
    assert not any("bug" in line for line in said)


def test_a_proof_that_comes_early_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof covers the first messages; in them there can be none yet."""

    def emit(message: Message) -> bytes:
        if message.exchange == ExchangeType.IKE_SA_INIT and not message.response:
            early = (*message.payloads, AUTH)
            fields = (message.spi_i, message.spi_r, message.exchange, True, False, 0)
            return emit_message(Message(*fields, early))
        return emit_message(message)

    monkeypatch.setattr(requests, "emit_message", emit)
    pair = Pair()
    pair.configure()
    said = pair.tell("west", Connect("east"))
    assert any("a payload AUTH that does not belong there" in line for line in said)
    assert pair.east.endpoint.census().setting_up == 0


@pytest.mark.parametrize("late", [AUTH, IDi(IdentityType.FQDN, b"somebody")], ids=["proof", "identity"])
def test_who_is_established_proves_nothing_else_later(monkeypatch: pytest.MonkeyPatch, late: Payload) -> None:
    pair = Pair().connect()
    before = pair.east.endpoint.status("west").ike
    _speak(monkeypatch, ExchangeType.CREATE_CHILD_SA, lambda payloads: (*payloads, late), initiator=True)
    pair.tell("west", RekeyRequested("east"))
    assert pair.east.endpoint.refused() == {"INVALID_SYNTAX": 1}
    assert before is not None
    after = pair.east.endpoint.status("west").ike
    assert after is None or after.identity == before.identity


def test_the_other_certificates_of_a_message_are_not_read_where_a_secret_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = Pair()
    pair.configure()
    junk = Certificate(4, bytes(3_000))
    _speak(monkeypatch, ExchangeType.IKE_AUTH, lambda payloads: (*payloads, junk, junk), initiator=True)
    pair.tell("west", Connect("east"))
    assert pair.east.endpoint.status("west").state is PeerState.UP
