"""`struct xfrm_algo`, `xfrm_algo_auth` and `xfrm_algo_aead`: a name, a key, and for the latter two an ICV length."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from culvert.wire.netlink.framing import ParseError

NAME_OCTETS = 64
MAX_KEY_OCTETS = 512
"""Longest key in octets; the longest that we use is HMAC-SHA2-512's 64."""

_PLAIN = struct.Struct("=64sI")
_WITH_ICV = struct.Struct("=64sII")


@dataclass(frozen=True, slots=True)
class Algorithm:
    """The kernel's name, the key (with its salt, if any), and the ICV in bits where the structure has one."""

    name: str
    key: bytes = field(repr=False)
    icv_bits: int = 0


def emit(value: Algorithm, with_icv: bool) -> bytes:
    """Give the structure and the key behind it."""
    name = value.name.encode("ascii")
    if with_icv:
        return _WITH_ICV.pack(name, len(value.key) * 8, value.icv_bits) + value.key
    return _PLAIN.pack(name, len(value.key) * 8) + value.key


def parse_optional(octets: bytes | None, with_icv: bool) -> Algorithm | None:
    """Read the structure; None stays None. Raise ParseError."""
    if octets is None:
        return None
    layout = _WITH_ICV if with_icv else _PLAIN
    if len(octets) < layout.size:
        raise ParseError(f"an algorithm has {len(octets)} octets instead of {layout.size} or more")
    name, key_bits, *icv = layout.unpack_from(octets)
    key = octets[layout.size :]
    if key_bits != len(key) * 8 or len(key) > MAX_KEY_OCTETS:
        raise ParseError(f"an algorithm says {key_bits} bits of key and carries {len(key) * 8}")
    return Algorithm(_name(name), key, icv[0] if icv else 0)


def _name(octets: bytes) -> str:
    text, zero, _ = octets.partition(b"\0")
    if not zero or not text or not text.isascii() or not text.decode("ascii").isprintable():
        raise ParseError("an algorithm's name is not printable, or does not end")
    return text.decode("ascii")
