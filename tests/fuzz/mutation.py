"""Draws changed IKE messages from a seed: some nonsense, most nearly right."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

HEADER_OCTETS = 28
PAYLOADS = (0, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 53, 54, 255)
EXCHANGES = (34, 35, 36, 37, 38, 43, 0, 255)


def mutated(source: random.Random, messages: Sequence[bytes]) -> bytes:
    """Give a changed copy of one of `messages`, with a right length in its header more often than not."""
    octets = bytearray(source.choice(messages))
    for _ in range(source.choice((0, 1, 1, 1, 2, 4, 16))):
        _change(source, octets, messages)
    if len(octets) >= HEADER_OCTETS and source.random() < 0.85:
        struct.pack_into("!I", octets, 24, len(octets))
    return bytes(octets)


def _change(source: random.Random, octets: bytearray, messages: Sequence[bytes]) -> None:
    at = source.randrange(len(octets) + 1)
    match source.randrange(10):
        case 0:
            del octets[at:]
        case 1:
            octets[at:at] = source.randbytes(source.choice((1, 2, 4, 8, 64, 2_000)))
        case 2:
            del octets[at : at + source.choice((1, 2, 4, 8))]
        case 3:
            other = source.choice(messages)
            octets[at:] = other[min(at, len(other)) :]
        case 4 | 5:
            _change_header(source, octets, messages)
        case 6:
            _change_chain(source, octets)
        case 7 if at + 2 <= len(octets):
            struct.pack_into("!H", octets, at, source.choice((0, 1, 3, 4, 5, 8, 0x7FFF, 0xFFFF)))
        case _ if at < len(octets):
            octets[at] ^= 1 << source.randrange(8)


def _change_header(source: random.Random, octets: bytearray, messages: Sequence[bytes]) -> None:
    if len(octets) < HEADER_OCTETS:
        return
    match source.randrange(7):
        case 0:
            octets[0:8] = source.choice((bytes(8), source.randbytes(8), source.choice(messages)[0:8].ljust(8)))
        case 1:
            octets[8:16] = source.choice((bytes(8), source.randbytes(8), source.choice(messages)[8:16].ljust(8)))
        case 2:
            octets[16] = source.choice(PAYLOADS)
        case 3:
            octets[17] = source.choice((0x20, 0x21, 0x10, 0x30, 0))
        case 4:
            octets[18] = source.choice(EXCHANGES)
        case 5:
            octets[19] ^= source.choice((0x08, 0x20, 0x28, 0x10, 0x80))
        case _:
            struct.pack_into("!I", octets, 20, source.choice((0, 1, 2, 3, 0x7FFFFFFF, 0xFFFFFFFF)))


def _change_chain(source: random.Random, octets: bytearray) -> None:
    """Walk the generic payload headers and spoil one: its successor's type, its critical bit or its length."""
    places, at = [], HEADER_OCTETS
    while at + 4 <= len(octets) and len(places) < 40:
        places.append(at)
        at += max(4, struct.unpack_from("!H", octets, at + 2)[0])
    if places:
        spoil(source, octets, source.choice(places))


def spoil(source: random.Random, octets: bytearray, at: int) -> None:
    """Change the generic header that begins at `at`."""
    match source.randrange(3):
        case 0:
            octets[at] = source.choice(PAYLOADS)
        case 1:
            octets[at + 1] ^= 0x80
        case _:
            struct.pack_into("!H", octets, at + 2, source.choice((0, 3, 4, 5, 8, 9, 0xFFFF, source.randrange(200))))


def inner_mutated(source: random.Random, octets: bytes) -> bytes:
    """Change the payloads inside of a sealed message, as only a peer with the keys can."""
    changed = bytearray(octets)
    for _ in range(source.choice((0, 1, 1, 2, 3, 8))):
        at = source.randrange(len(changed) + 1)
        match source.randrange(7):
            case 0:
                del changed[at:]
            case 1:
                changed[at:at] = source.randbytes(source.choice((1, 4, 8, 40)))
            case 2:
                changed[:] = bytes(HEADER_OCTETS) + changed
                _change_chain(source, changed)
                del changed[:HEADER_OCTETS]
            case 3:
                changed += changed[: source.randrange(len(changed) + 1)]
            case 4 if at + 2 <= len(changed):
                struct.pack_into("!H", changed, at, source.choice((0, 1, 4, 16_393, 0x7FFF, 0x8000, 0xFFFF)))
            case _ if at < len(changed):
                changed[at] = source.choice((0, 1, 0x7F, 0xFF, changed[at] ^ 1))
    return bytes(changed[:8_000])
