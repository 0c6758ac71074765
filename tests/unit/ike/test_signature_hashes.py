"""SIGNATURE_HASH_ALGORITHMS as it goes over the line (RFC 7427 section 4)."""

from __future__ import annotations

from dataclasses import replace

from culvert.addresses import SocketAddress
from culvert.ike.actions import Transmit
from culvert.ike.events import Connect
from culvert.wire.isakmp.message import Message, emit_message, parse_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ProtocolId
from tests.unit.ike.line import Line

HASHES = NotifyType.SIGNATURE_HASH_ALGORITHMS
ANNOUNCED = bytes.fromhex("0002 0003 0004 0005")
"""SHA2-256, SHA2-384, SHA2-512, and that of Ed25519; SHA-1, which is 1, is not among them."""


def _announced(message: Message) -> list[Notify]:
    return [one for one in message.payloads if isinstance(one, Notify) and one.type == HASHES]


def test_both_ends_announce_the_hashes_that_they_take() -> None:
    first, answer = (parse_message(data) for _, data in Line().connect().sent[:2])
    for message in (first, answer):
        assert _announced(message) == [Notify(HASHES, ANNOUNCED, ProtocolId.NONE, b"")]


def test_who_announces_none_is_told_of_none() -> None:
    line = Line()
    line.tell("west", Connect("east"))
    first = parse_message(line.sent[0][1])
    silent = replace(first, payloads=tuple(one for one in first.payloads if one not in _announced(first)))
    ends = [SocketAddress(line.address(name), 500) for name in ("east", "west")]
    (answer,) = (one for one in line.receive("east", emit_message(silent), *ends) if isinstance(one, Transmit))
    assert _announced(parse_message(answer.data)) == []
