"""The log line of a bad message: what a peer writes never writes lines, or control sequences, of its own.

Everything is told: the topic `ike` is on at all ends of `stands.py`, and `Trial` looks at each line as `culvert log`
shows it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from culvert import der
from culvert.identities import IdentityType
from culvert.wire.isakmp.message import emit_payloads
from culvert.wire.isakmp.notify import NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType
from culvert.wire.isakmp.payload import Payload, Unknown
from tests.fuzz.endpoint_target import Script, Trial, _clear, _sealed
from tests.fuzz.stands import STATES, Stand, stand

WORDS = (
    b"one\nJan 1 00:00:00 culvert: all is well",
    b"\r\x1b[2J\x1b]0;title\x07\x9b31m",
    "\u202egnp.exe\u2066\u200f\u061c\u2028\u2029\u0085\ufeff".encode(),
    b"\xff\xfe\x00\x01\xc0\x80\xed\xa0\x80",
    b"%s%n{0}{self}\\n",
    b"peer=somebody level=error topic=ike " * 200,
    "\U000e0041\u0301".encode() * 600,
)
SHARES = 7
"""Into so many all of it is divided among the states."""


def dn(word: bytes) -> bytes:
    """Write a distinguished name that holds a word: its type is commonName, or one that nobody knows."""
    parts = b""
    for oid in (b"\x55\x04\x03", b"\x2a\x03\x04\x05"):
        for tag in (der.UTF8_STRING, 0x13, 0x1E):
            attribute = der.encode(der.SEQUENCE, der.encode(der.OID, oid) + der.encode(tag, word))
            parts += der.encode(der.SET, attribute)
    return der.encode(der.SEQUENCE, parts)


def payloads(word: bytes) -> Iterator[Payload]:
    """Put a word wherever a message has room for one."""
    for kind in (PayloadType.IDI, PayloadType.IDR):
        for type_ in (*IdentityType, 0, 255):
            yield Unknown(kind, False, bytes((type_, 0, 0, 0)) + (dn(word) if type_ == 9 else word))
    for notify in (*NotifyType, 0, 8_191, 40_960, 65_535):
        yield Unknown(PayloadType.NOTIFY, False, b"\0\0" + notify.to_bytes(2, "big") + word)
        yield Unknown(PayloadType.NOTIFY, False, b"\3\4" + notify.to_bytes(2, "big") + (word * 4)[:4] + word)
    for kind in (PayloadType.VENDOR_ID, PayloadType.NONCE, PayloadType.CP, PayloadType.EAP, 200):
        yield Unknown(kind, False, word)
    for kind in (PayloadType.CERT, PayloadType.CERTREQ, PayloadType.AUTH, PayloadType.KE, PayloadType.DELETE):
        for first in (b"\1", b"\4", b"\x0c", b"\x0e\0\0\0"):
            yield Unknown(kind, False, first + word)


@pytest.mark.parametrize("state", STATES)
def test_one_line_of_printable_characters_is_written_whatever_it_is_about(state: str) -> None:
    """In clear and sealed, in requests and responses of every exchange; each state has its share of all."""
    share = tuple(STATES).index(state)
    for number, payload in enumerate(one for word in WORDS for one in payloads(word)):
        if number % SHARES == share % SHARES:
            _tell(stand(state).copied(), payload, number // SHARES % len(ExchangeType) | 8 * (number % 3 > 0))


def _tell(at: Stand, payload: Payload, flags: int) -> None:
    inner = emit_payloads((payload,))
    script = bytes((flags, payload.payload_type)) + min(len(inner), 2_047).to_bytes(2, "big") + inner
    trial = Trial(at, at.now)
    _sealed(trial, Script(script))
    _clear(trial, Script(script))
