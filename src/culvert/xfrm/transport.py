"""How datagrams of netlink messages travel: to the engine over a UNIX socket, or to the kernel over netlink."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from culvert.wire.netlink.framing import MAX_DATAGRAM_OCTETS, Message
from culvert.wire.netlink.numbers import NO_GROUPS, Groups, Own, kernel_groups
from culvert.xfrm.errors import XfrmError, lost

MAX_QUEUED_DATAGRAMS = 4096
"""Datagrams that wait while the other side does not read: 128 MiB at most, a hundred thousand policies."""
DATAGRAMS_PER_TURN = 64
"""Read at once before the event loop may do something else."""

NETLINK_XFRM = 6
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11

Received = Callable[[bytes], None]
Lost = Callable[[XfrmError], None]


class Transport(Protocol):
    """One connection to a data plane. `own_family`: it understands our own messages, batches among them."""

    own_family: bool

    def start(self, received: Received, lost: Lost) -> None:
        """From now on hand over each datagram; `lost` comes once, and nothing after it."""

    def send(self, datagram: bytes) -> None:
        """Send, now or as soon as the other side reads, in order. Raise XfrmError where that cannot be."""

    def close(self) -> None:
        """End it without a word."""


class SocketTransport:
    """Datagrams over a socket that keeps their bounds, driven by the running event loop."""

    def __init__(self, sock: socket.socket, own_family: bool) -> None:
        sock.setblocking(False)
        self.own_family = own_family
        self._socket = sock
        self._queue: deque[bytes] = deque()
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def start(self, received: Received, lost: Lost) -> None:
        self._received, self._lost = received, lost
        self._loop.add_reader(self._socket, self._readable)

    def send(self, datagram: bytes) -> None:
        if self._closed:
            raise lost("the connection to the data plane is closed")
        if len(self._queue) >= MAX_QUEUED_DATAGRAMS:
            raise XfrmError(errno.ENOBUFS, "the data plane does not read what is sent to it")
        self._queue.append(datagram)
        if len(self._queue) == 1:
            self._writable()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._queue.clear()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def _writable(self) -> None:
        try:
            while self._queue:
                self._socket.send(self._queue[0])
                self._queue.popleft()
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._socket, self._writable)
        except OSError as error:
            self._loop.call_soon(self._fail, f"the data plane is gone: {error.strerror}")
        else:
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        for _ in range(DATAGRAMS_PER_TURN):
            if self._closed or not self._read_one():
                return

    def _read_one(self) -> bool:
        try:
            datagram, _, flags, _ = self._socket.recvmsg(MAX_DATAGRAM_OCTETS)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            return self._read_error(error)
        if flags & socket.MSG_TRUNC:
            self._fail("the data plane sent more than a datagram may hold", errno.EPROTO)
        elif not datagram:
            self._fail("the data plane ended")
        else:
            self._received(datagram)
        return True

    def _read_error(self, error: OSError) -> bool:
        """The kernel says ENOBUFS where it dropped notifications; the engine has a message for it."""
        if error.errno == errno.ENOBUFS:
            self._received(Message(Own.OVERRUN).emit())
            return True
        self._fail(f"the data plane is gone: {error.strerror}")
        return False

    def _fail(self, message: str, number: int = errno.ECONNRESET) -> None:
        if self._closed:
            return
        self.close()
        self._lost(XfrmError(number, message))


async def engine_transport(path: Path) -> SocketTransport:
    """Connect to the engine that listens at `path`. Raise XfrmError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, str(path))
    except OSError as error:
        sock.close()
        raise _not_connected(error, path) from error
    return SocketTransport(sock, own_family=True)


def _not_connected(error: OSError, path: Path) -> XfrmError:
    number = error.errno or errno.EIO
    if number in (errno.ENOENT, errno.ECONNREFUSED):
        return XfrmError(number, "no packet engine listens here", str(path))
    return XfrmError(number, f"cannot be reached: {error.strerror or error}", str(path))


def kernel_transport(groups: Groups = NO_GROUPS) -> SocketTransport:
    """Open a netlink socket to the kernel's XFRM in this network namespace. Raise XfrmError."""
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_XFRM)
    except OSError as error:
        raise XfrmError(error.errno or errno.EIO, "the kernel has no XFRM", "netlink") from error
    sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
    sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
    sock.bind((0, kernel_groups(groups)))
    return SocketTransport(sock, own_family=False)
