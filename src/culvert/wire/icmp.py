"""Echo requests and replies (RFC 792, RFC 4443 section 4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from culvert.wire.ip import PacketError, checksum

ECHO_REQUEST = {4: 8, 6: 128}
ECHO_REPLY = {4: 0, 6: 129}
"""Types by IP version."""

_HEADER = struct.Struct("!BBHHH")


@dataclass(frozen=True, slots=True)
class Echo:
    """An echo message of either kind and version."""

    type: int
    identifier: int
    sequence: int
    data: bytes = field(repr=False)


def emit_echo(echo: Echo) -> bytes:
    """Give the message with ICMP's checksum; for ICMPv6 the kernel writes its own over it."""
    header = _HEADER.pack(echo.type, 0, 0, echo.identifier, echo.sequence)
    total = checksum(header + echo.data)
    return _HEADER.pack(echo.type, 0, total, echo.identifier, echo.sequence) + echo.data


def parse_echo(octets: bytes) -> Echo:
    """Read an echo message; its checksum was the kernel's to judge. Raise PacketError."""
    if len(octets) < _HEADER.size:
        raise PacketError(f"{len(octets)} octets are too few for an echo")
    kind, code, _, identifier, sequence = _HEADER.unpack_from(octets)
    if code or kind not in (*ECHO_REQUEST.values(), *ECHO_REPLY.values()):
        raise PacketError(f"ICMP type {kind} code {code} is no echo")
    return Echo(kind, identifier, sequence, octets[_HEADER.size :])
