"""What must hold for the readers of IKE messages, whatever octets come: for `atheris_run.py` and `test_corpora.py`.

The first octet says what the rest is: a whole datagram, one whose header is put right, or a chain of payloads that
begins with the type that the second octet says.
"""

from __future__ import annotations

import struct

from culvert.ike.v2 import rendering, table
from culvert.ike.v2.reading import Contents, names, selectors_of
from culvert.ike.v2.sa import IkeState
from culvert.reasons import Refusal
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import HEADER_OCTETS
from culvert.wire.isakmp.limits import MAX_PAYLOADS
from culvert.wire.isakmp.message import emit_message, emit_payloads, first_payload, parse_message, parse_payloads
from culvert.wire.isakmp.numbers import ExchangeType
from culvert.wire.isakmp.payload import Payload
from culvert.wire.isakmp.ts import TrafficSelectors

MAX_LINE_CHARACTERS = 4_000
"""A line before it is cut for the log; the longest lists sixteen authorities."""
GENERIC = struct.Struct("!BBH")


def judge(octets: bytes) -> None:
    """Read octets, and raise AssertionError where something does not hold."""
    kind, first, rest = octets[:1], octets[1:2], octets[2:]
    try:
        match kind[0] % 4 if kind and first else 0:
            case 0:
                _message(octets[1:])
            case 1:
                _message(_put_right(rest))
            case 2:
                _payloads(first[0], rest)
            case _:
                _payloads(first[0], GENERIC.pack(0, 0, min(len(rest) + 4, 0xFFFF)) + rest)
    except ParseError as error:
        _told(error)


def _told(error: ParseError) -> None:
    assert error.text
    assert error.text.isprintable()
    assert isinstance(error.reason, Refusal)


def _put_right(octets: bytes) -> bytes:
    """Give the header its version and its length."""
    data = bytearray(octets.ljust(HEADER_OCTETS, b"\1"))
    data[17] = 0x20
    struct.pack_into("!I", data, 24, len(data))
    return bytes(data)


def _message(data: bytes) -> None:
    message = parse_message(data)
    again = parse_message(emit_message(message))
    assert again == message
    _look(message.payloads)


def _payloads(first: int, data: bytes) -> None:
    payloads = parse_payloads(first, data)
    assert parse_payloads(first_payload(payloads), emit_payloads(payloads)) == payloads
    _look(payloads)


def _look(payloads: tuple[Payload, ...]) -> None:
    """Do what is done with payloads before anybody is believed."""
    assert len(payloads) <= MAX_PAYLOADS
    lines = rendering.lines(payloads)
    assert len(lines) <= rendering.MAX_LINES + 1
    assert max(map(len, lines)) <= MAX_LINE_CHARACTERS
    assert all(one.isprintable() for one in (*lines, names(payloads)))
    contents = Contents(payloads)
    for exchange in ExchangeType:
        for state in IkeState:
            assert table.judge_request(state, exchange, contents).isprintable()
    for one in contents.all(TrafficSelectors):
        selectors_of(one)
