"""Writes captures that Wireshark and tcpdump read (IETF draft-ietf-opsawg-pcapng).

Packets go in Linux's cooked form (LINKTYPE_LINUX_SLL), which suits every kind of interface.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

from culvert.capture.packets import Captured

LINKTYPE_LINUX_SLL = 113
SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_OPTION_END, _IF_NAME, _IF_TIMESTAMP_RESOLUTION, _PACKET_FLAGS = 0, 2, 9, 2
_NANOSECONDS = bytes([9])
_INBOUND, _OUTBOUND = 1, 2

_SECTION = struct.Struct("<IHHq")
_INTERFACE = struct.Struct("<HHI")
_PACKET = struct.Struct("<5I")
_COOKED = struct.Struct("!HHH8sH")


class PcapngWriter:
    """Writes one section to a binary stream. The interfaces are named beforehand."""

    def __init__(self, stream: BinaryIO, interfaces: Sequence[str]) -> None:
        self._stream = stream
        self._indices = {name: index for index, name in enumerate(interfaces)}
        stream.write(_block(SECTION, _SECTION.pack(_BYTE_ORDER_MAGIC, 1, 0, -1)))
        for name in interfaces:
            options = _option(_IF_NAME, name.encode()) + _option(_IF_TIMESTAMP_RESOLUTION, _NANOSECONDS)
            body = _INTERFACE.pack(LINKTYPE_LINUX_SLL, 0, 0) + options + _option(_OPTION_END, b"")
            stream.write(_block(INTERFACE, body))

    def write(self, packet: Captured) -> None:
        """Append a packet. Raise KeyError where its interface was not named."""
        frame = cooked(packet)
        high, low = divmod(packet.time_ns, 2**32)
        header = _PACKET.pack(self._indices[packet.interface], high, low, len(frame), len(frame))
        flags = struct.pack("<I", _OUTBOUND if packet.outgoing else _INBOUND)
        options = _option(_PACKET_FLAGS, flags) + _option(_OPTION_END, b"")
        self._stream.write(_block(PACKET, header + frame + bytes(-len(frame) % 4) + options))


def cooked(packet: Captured) -> bytes:
    """Give the packet behind a header of 16 octets: kind, hardware, the sender's address, ethertype."""
    address = packet.address[:8]
    header = _COOKED.pack(packet.kind, packet.hardware, len(address), address.ljust(8, b"\0"), packet.ethertype)
    return header + packet.octets


def _option(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length
