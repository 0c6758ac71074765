"""Sequence numbers and windows: `struct xfrm_replay_state_esn`, and the older `struct xfrm_replay_state`."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from culvert.wire.netlink.framing import ParseError

MAX_REPLAY_WINDOW_PACKETS = 65_536
"""What the engine takes; the kernel takes 4,096."""

_ESN = struct.Struct("=6I")
_PLAIN = struct.Struct("=3I")


@dataclass(frozen=True, slots=True)
class ReplayWire:
    """`struct xfrm_replay_state_esn`. Sequences are of 64 bits; `bitmap` has 32 packets in each number.

    The older structure fits too: sequences of 32 bits, a bitmap of one number, and its window elsewhere.
    """

    window_packets: int
    sequence_out: int = 0
    sequence_in: int = 0
    bitmap: tuple[int, ...] = ()


def emit_replay(value: ReplayWire) -> bytes:
    """Give the structure with its whole bitmap."""
    words = (value.window_packets + 31) // 32
    bitmap = (*value.bitmap, *(0,) * words)[:words]
    high_out, low_out = divmod(value.sequence_out, 2**32)
    high_in, low_in = divmod(value.sequence_in, 2**32)
    return _ESN.pack(words, low_out, low_in, high_out, high_in, value.window_packets) + struct.pack(
        f"={words}I", *bitmap
    )


def parse_replay(octets: bytes | None) -> ReplayWire | None:
    """Read the window; None stays None. The bitmap may be left out, as towards the kernel. Raise ParseError."""
    if octets is None:
        return None
    if len(octets) < _ESN.size:
        raise ParseError(f"a replay window has {len(octets)} octets instead of {_ESN.size} or more")
    words, low_out, low_in, high_out, high_in, window = _ESN.unpack_from(octets)
    if window > MAX_REPLAY_WINDOW_PACKETS or window > words * 32:
        raise ParseError(f"a replay window of {window} packets does not fit {words} words of bitmap")
    bitmap = octets[_ESN.size :]
    if bitmap and len(bitmap) != 4 * words:
        raise ParseError(f"a bitmap of {len(bitmap)} octets is not the {words} words that it should be")
    numbers = struct.unpack(f"={len(bitmap) // 4}I", bitmap)
    return ReplayWire(window, high_out << 32 | low_out, high_in << 32 | low_in, numbers)


def emit_plain_replay(value: ReplayWire) -> bytes:
    """Give the older structure; of the sequences go the lower 32 bits."""
    bitmap = value.bitmap[0] if value.bitmap else 0
    return _PLAIN.pack(value.sequence_out & 0xFFFF_FFFF, value.sequence_in & 0xFFFF_FFFF, bitmap)


def parse_plain_replay(octets: bytes | None, window_packets: int = 0) -> ReplayWire | None:
    """Read the older structure; None stays None. Raise ParseError."""
    if octets is None:
        return None
    if len(octets) != _PLAIN.size:
        raise ParseError(f"a replay state has {len(octets)} octets instead of {_PLAIN.size}")
    sequence_out, sequence_in, bitmap = _PLAIN.unpack(octets)
    return ReplayWire(window_packets, sequence_out, sequence_in, (bitmap,))
