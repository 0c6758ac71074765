"""TCP segments and UDP datagrams that carry a marker, and that nobody answers: they take the way of any such traffic.

Their checksum is wrong on purpose. Whoever they reach must let them go without a word (RFC 1122 sections 4.1.3.4 and
4.2.2.7): no service takes them for a client's, and no ICMP error, which may be outside of what is protected, brings
their content back in clear.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from culvert.proof.protection import Flow
from culvert.wire.ip import TCP, checksum
from culvert.wire.udp import UDP_HEADER_OCTETS

_TCP = struct.Struct("!HHIIBBHHH")
_UDP = struct.Struct("!4H")
_PSEUDO = struct.Struct("!I3xB")
_SYN, _WINDOW = 0x02, 65_535


class SegmentSocket:
    """Segments of one flow. Needs CAP_NET_RAW; raises OSError where the source is no address of ours."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        family = socket.AF_INET if flow.source.version == 4 else socket.AF_INET6
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(family, kind, flow.protocol)
        try:
            self._socket.bind((str(flow.source), 0))
            self._socket.connect((str(flow.destination), 0))
        except OSError:
            self._socket.close()
            raise

    def send(self, sequence: int, payload: bytes) -> str:
        """Send one; give the reason where the host refuses, else nothing."""
        try:
            self._socket.send(segment(self._flow, sequence, payload))
        except OSError as error:
            return error.strerror or str(error)
        return ""

    async def replies(self, count: int, timeout_s: float) -> dict[int, int]:  # noqa: ARG002
        """Give the segments the time to leave: nothing tells when they have, for no reply is asked for."""
        await asyncio.sleep(timeout_s)
        return {}

    def close(self) -> None:
        """Be done."""
        self._socket.close()


def segment(flow: Flow, sequence: int, payload: bytes) -> bytes:
    """Give a SYN with data (RFC 9293 section 3.5 allows that), or a datagram."""
    if flow.ports is None:
        raise ValueError("a segment has ports")
    source, destination = flow.ports
    if flow.protocol == TCP:
        header = _TCP.pack(source, destination, sequence, 0, _TCP.size // 4 << 4, _SYN, _WINDOW, 0, 0)
        place = 16
    else:
        header = _UDP.pack(source, destination, UDP_HEADER_OCTETS + len(payload), 0)
        place = 6
    octets = header + payload
    pseudo = flow.source.packed + flow.destination.packed + _PSEUDO.pack(len(octets), flow.protocol)
    return octets[:place] + struct.pack("!H", wrong(checksum(pseudo + octets))) + octets[place + 2 :]


def wrong(right: int) -> int:
    """Give a checksum that is not the right one, and not 0: that is none, in UDP."""
    return right ^ 0x5555 or 0x1234
