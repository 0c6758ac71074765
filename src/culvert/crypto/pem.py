"""PEM (RFC 7468): the blocks of a file, whatever stands between them."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

MAX_BLOCKS = 256
"""Blocks of one file; a bundle of all authorities of a browser has fewer."""
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_WIDTH = 64


class PemError(ValueError):
    """A block that is cut off or damaged."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its label, such as `CERTIFICATE`, its octets, and the line at which it begins, from 1."""

    label: str
    data: bytes = field(repr=False)
    line: int


def read(text: bytes) -> tuple[Block, ...]:
    """Give all blocks of a file. Raise PemError with the line of a block that cannot be read."""
    found, at = list[Block](), 0
    while (begin := _BEGIN.search(text, at)) is not None:
        line = text.count(b"\n", 0, begin.start()) + 1
        if len(found) == MAX_BLOCKS:
            raise PemError(f"more than {MAX_BLOCKS} blocks")
        end = b"-----END " + begin[1] + b"-----"
        stop = text.find(end, begin.end())
        if stop < 0:
            raise PemError(f"the block that begins in line {line} has no end")
        found.append(Block(begin[1].decode(), _octets(text[begin.end() : stop], line), line))
        at = stop + len(end)
    return tuple(found)


def _octets(text: bytes, line: int) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise PemError(f"the block that begins in line {line} is damaged") from None


def write(label: str, data: bytes) -> bytes:
    """Write one block."""
    text = base64.b64encode(data).decode()
    lines = [text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", "")).encode()
