"""Echo requests from an address of ours, as ping(8) sends them: they take the way that any traffic takes."""

from __future__ import annotations

import asyncio
import os
import socket
import time

from culvert.addresses import IPAddress
from culvert.wire.icmp import ECHO_REPLY, ECHO_REQUEST, Echo, emit_echo, parse_echo
from culvert.wire.ip import ICMP, ICMPV6, PacketError, parse_ip

MAX_REPLY_OCTETS = 2048


class EchoSocket:
    """One conversation of echoes. Needs CAP_NET_RAW; raises OSError where the source is no address of ours."""

    def __init__(self, source: IPAddress, destination: IPAddress) -> None:
        self._version = source.version
        self._destination = destination
        self._identifier = int.from_bytes(os.urandom(2), "big")
        self._sent: dict[int, tuple[int, bytes]] = {}
        self._replies: dict[int, int] = {}
        family, protocol = (socket.AF_INET, ICMP) if source.version == 4 else (socket.AF_INET6, ICMPV6)
        self._socket = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        try:
            self._socket.bind((str(source), 0))
            self._socket.connect((str(destination), 0))
        except OSError:
            self._socket.close()
            raise

    def send(self, sequence: int, payload: bytes) -> str:
        """Send one; give the reason where the host refuses, else nothing."""
        message = emit_echo(Echo(ECHO_REQUEST[self._version], self._identifier, sequence, payload))
        self._sent[sequence] = (time.monotonic_ns(), payload)
        try:
            self._socket.send(message)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    async def replies(self, count: int, timeout_s: float) -> dict[int, int]:
        """Wait for `count` replies; give nanoseconds from request to reply by sequence, of those that came in time."""
        loop = asyncio.get_running_loop()
        enough = asyncio.Event()
        loop.add_reader(self._socket, self._readable, count, enough)
        try:
            async with asyncio.timeout(timeout_s):
                await enough.wait()
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(self._socket)
        return dict(self._replies)

    def close(self) -> None:
        """Be done."""
        self._socket.close()

    def _readable(self, count: int, enough: asyncio.Event) -> None:
        try:
            octets = self._socket.recv(MAX_REPLY_OCTETS)
        except OSError:
            return  # an ICMP error for one of ours; that reply does not come
        try:
            echo = parse_echo(parse_ip(octets).payload if self._version == 4 else octets)
        except PacketError:
            return
        self._note(echo)
        if len(self._replies) >= count:
            enough.set()

    def _note(self, echo: Echo) -> None:
        """Take only a reply to us that brings back what we sent."""
        sent = self._sent.get(echo.sequence)
        ours = echo.type == ECHO_REPLY[self._version] and echo.identifier == self._identifier
        if ours and sent is not None and sent[1] == echo.data:
            self._replies.setdefault(echo.sequence, time.monotonic_ns() - sent[0])
