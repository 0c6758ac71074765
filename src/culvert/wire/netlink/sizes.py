"""How full the tables are: the answers to GETSADINFO and GETSPDINFO."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from culvert.wire.netlink.framing import ParseError, emit_attribute, parse_attributes, split
from culvert.wire.netlink.numbers import PADDING, SadAttribute, SpdAttribute

_U32 = struct.Struct("=I")
_SPD = struct.Struct("=6I")
FLAGS_OCTETS = 4


@dataclass(frozen=True, slots=True)
class SpdSizeWire:
    """`struct xfrmu_spdinfo`: policies by direction; those of sockets are the kernel's alone."""

    inward: int = 0
    outward: int = 0
    forward: int = 0
    socket_inward: int = 0
    socket_outward: int = 0
    socket_forward: int = 0


def emit_size_request() -> bytes:
    """Give the body of GETSADINFO and GETSPDINFO: flags, of which none mean anything."""
    return bytes(FLAGS_OCTETS)


def emit_sad_size(associations: int) -> bytes:
    """Give the body of NEWSADINFO."""
    return bytes(FLAGS_OCTETS) + emit_attribute(SadAttribute.CNT, _U32.pack(associations))


def parse_sad_size(body: bytes) -> int:
    """Read the body of NEWSADINFO. Raise ParseError."""
    _, rest = split(body, FLAGS_OCTETS, "the size of the SAD")
    octets = parse_attributes(rest, PADDING).get(SadAttribute.CNT, b"")
    if len(octets) != _U32.size:
        raise ParseError("the size of the SAD has no count of four octets")
    count: int = _U32.unpack(octets)[0]
    return count


def emit_spd_size(value: SpdSizeWire) -> bytes:
    """Give the body of NEWSPDINFO."""
    counts = (value.inward, value.outward, value.forward)
    sockets = (value.socket_inward, value.socket_outward, value.socket_forward)
    return bytes(FLAGS_OCTETS) + emit_attribute(SpdAttribute.INFO, _SPD.pack(*counts, *sockets))


def parse_spd_size(body: bytes) -> SpdSizeWire:
    """Read the body of NEWSPDINFO. Raise ParseError."""
    _, rest = split(body, FLAGS_OCTETS, "the size of the SPD")
    octets = parse_attributes(rest, PADDING).get(SpdAttribute.INFO, b"")
    if len(octets) != _SPD.size:
        raise ParseError(f"the size of the SPD has {len(octets)} octets instead of {_SPD.size}")
    return SpdSizeWire(*_SPD.unpack(octets))
