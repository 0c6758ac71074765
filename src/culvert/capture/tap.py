"""Listens on an interface (packet(7)), with the kernel's timestamps, into a bounded ring."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from types import TracebackType

from culvert.capture.offload import wire_packets
from culvert.capture.packets import ETHERTYPE_IPV4, ETHERTYPE_IPV6, Captured
from culvert.errors import HostError, Problem

MAX_PACKETS = 65_536
MAX_OCTETS = 64 * 1024 * 1024
"""What a ring holds at most; a file of this size still opens in Wireshark at once."""
SNAPSHOT_OCTETS = 262_144
"""More than any packet, those of segmentation offload included."""
QUEUE_OCTETS = 32 * 1024 * 1024
PACKETS_PER_TURN = 256

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_STATISTICS = struct.Struct("=II")
_TIMESPEC = struct.Struct("=qq")


class Tap:
    """Keeps what an interface sends and receives from its start on. Use it as a context; needs CAP_NET_RAW."""

    def __init__(self, interface: str) -> None:
        """Raise HostError where the interface is missing or may not be listened on."""
        self.interface = interface
        self.packets: deque[Captured] = deque()
        self._octets = 0
        self._lost = 0
        self._arrived = asyncio.Event()
        self._socket = _open(interface)

    def __enter__(self) -> Tap:
        asyncio.get_running_loop().add_reader(self._socket, self._readable)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def take(self) -> list[Captured]:
        """Give everything so far, and forget it. What was sent before this call is in it."""
        while self._read_one():
            pass
        packets = list(self.packets)
        self.packets.clear()
        self._octets = 0
        self._arrived.clear()
        return packets

    async def wait(self) -> None:
        """Return when there is something to take."""
        await self._arrived.wait()

    def lost(self) -> int:
        """Give the packets that were not kept since the last call: the kernel's queue or the ring was full."""
        octets = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        lost = self._lost + int(_STATISTICS.unpack(octets)[1])
        self._lost = 0
        return lost

    def _readable(self) -> None:
        for _ in range(PACKETS_PER_TURN):
            if not self._read_one():
                return

    def _read_one(self) -> bool:
        try:
            octets, ancillary, _, address = self._socket.recvmsg(SNAPSHOT_OCTETS, 256)
        except OSError:  # nothing there; or the interface went down, and may come back, and the tap with it
            return False
        _, ethertype, kind, hardware, link = address
        moment = _moment(ancillary)
        for part in wire_packets(octets) if ethertype in (ETHERTYPE_IPV4, ETHERTYPE_IPV6) else (octets,):
            self._keep(Captured(moment, self.interface, ethertype, kind, part, hardware, bytes(link)))
        return True

    def _keep(self, packet: Captured) -> None:
        """The oldest make room for the newest."""
        self.packets.append(packet)
        self._octets += len(packet.octets)
        while len(self.packets) > MAX_PACKETS or self._octets > MAX_OCTETS:
            self._octets -= len(self.packets.popleft().octets)
            self._lost += 1
        self._arrived.set()


def _open(interface: str) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    except OSError as error:
        problem = Problem(f"cannot listen: {error.strerror}", interface, "Run it as root, or with CAP_NET_RAW.")
        raise HostError(problem) from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        _enlarge(sock)
        sock.bind((interface, _ETH_P_ALL))
    except OSError as error:
        sock.close()
        raise HostError(Problem(f"cannot listen: {error.strerror}", interface, "See: ip link")) from error
    return sock


def _enlarge(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, QUEUE_OCTETS)
    except PermissionError:  # root of a user namespace only: what the host allows must do
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_OCTETS)


def _moment(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, octets in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(octets) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(octets)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()
