"""The headers of fragments (RFC 7383 sections 2.5 and 2.6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.wire.isakmp.header import read_header
from culvert.wire.isakmp.numbers import PayloadType
from tests.unit.ike.line import Line, numbers

NUMBER_AT, IV_AT, IV_OCTETS, FIRST_PAYLOAD_AT = 32, 36, 8, 28
LONG = 60
"""So many networks make a message that does not fit into one datagram."""


def _fragments() -> tuple[Line, list[bytes]]:
    line = Line(selectors=LONG).connect()
    return line, line.fragments("west")


def test_fragments_of_a_message_differ_in_what_is_theirs_alone() -> None:
    _, fragments = _fragments()
    total = len(fragments)
    assert total > 1
    assert [numbers(data) for data in fragments] == [(number, total) for number in range(1, total + 1)]
    headers = [replace(read_header(data), length=0) for data in fragments]
    assert headers == [headers[0]] * total
    assert [read_header(data).length for data in fragments] == [len(data) for data in fragments]
    ivs = [data[IV_AT : IV_AT + IV_OCTETS] for data in fragments]
    assert len(dict.fromkeys(ivs)) == total
    assert [data[FIRST_PAYLOAD_AT] for data in fragments] == [PayloadType.IDI] + [PayloadType.NONE] * (total - 1)


@pytest.mark.parametrize("wrong", [(0, 2), (3, 2), (1, 0), (0, 0)])
def test_numbers_that_make_no_sense_are_dropped_without_a_word(wrong: tuple[int, int]) -> None:
    line, fragments = _fragments()
    line.sent.clear()
    data = bytearray(fragments[0])
    data[NUMBER_AT : NUMBER_AT + 4] = b"".join(number.to_bytes(2, "big") for number in wrong)
    data[20:24] = line.sa("east").window.expected.to_bytes(4, "big")
    line.receive("east", bytes(data))
    assert line.sent == []
    assert len(line.ends["east"].state.fragments) == 0
