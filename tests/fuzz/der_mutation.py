"""Draws changed DER from a seed: trees whose lengths are right, and in which something else is not."""

from __future__ import annotations

import random

from culvert import der

MAX_DEPTH = 12
PLAIN = (der.INTEGER, der.BIT_STRING, der.OCTET_STRING, der.NULL, der.OID, der.UTF8_STRING, der.UTC_TIME, 0x01, 0x82)
HOLDING = (der.SEQUENCE, der.SET, 0xA0, 0xA1, 0xA3)


def mutated(source: random.Random, octets: bytes) -> bytes:
    """Change a few values anywhere in the tree; sometimes octets as well, whatever they are."""
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        octets = _changed(source, octets, 0)
    if source.random() < 0.2 and octets:
        bent = bytearray(octets)
        bent[source.randrange(len(bent))] ^= 1 << source.randrange(8)
        octets = bytes(bent)
    return octets


def _changed(source: random.Random, octets: bytes, depth: int) -> bytes:
    """Change one of the values that stand here one behind the other, or one inside of it."""
    try:
        values = list(der.elements(octets))
    except der.DerError:
        return _plain(source, octets)
    if not values:
        return source.choice((b"", b"\x05\x00", b"\x30\x00", source.randbytes(3)))
    at = source.randrange(len(values))
    return b"".join(_value(source, one, depth) if number == at else one.whole for number, one in enumerate(values))


def _value(source: random.Random, one: der.Element, depth: int) -> bytes:
    inside = bool(one.tag & 0x20) or (one.tag in (der.OCTET_STRING, der.BIT_STRING) and source.random() < 0.5)
    if inside and depth < MAX_DEPTH and source.random() < 0.85:
        skip = 1 if one.tag == der.BIT_STRING else 0
        return der.encode(one.tag, one.content[:skip] + _changed(source, one.content[skip:], depth + 1))
    match source.randrange(6):
        case 0:
            return b""
        case 1:
            return one.whole * source.choice((2, 3, 20))
        case 2:
            return der.encode(source.choice(PLAIN if not one.tag & 0x20 else HOLDING), one.content)
        case 3:
            return der.encode(der.SEQUENCE, one.whole)
        case 4:
            return bytes((one.tag, 0x81, len(one.content) & 0xFF)) + one.content
        case _:
            return der.encode(one.tag, _plain(source, one.content))


def _plain(source: random.Random, content: bytes) -> bytes:
    bent = bytearray(content)
    at = source.randrange(len(bent) + 1)
    match source.randrange(4):
        case 0:
            del bent[at : at + source.choice((1, 1, 4, 40))]
        case 1:
            bent[at:at] = source.randbytes(source.choice((1, 1, 4, 40)))
        case 2:
            bent[:] = source.choice((b"", b"\0", b"\xff" * 20, bytes(40), b"*", b"\x80"))
        case _ if at < len(bent):
            bent[at] = source.choice((0, 1, 0x2A, 0x7F, 0x80, 0xFF, bent[at] ^ 1))
    return bytes(bent)
