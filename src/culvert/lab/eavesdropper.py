"""Listens on an interface of a lab's host, as somebody on the Internet would."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import TracebackType

from culvert.lab.host import Host

_ALL_PROTOCOLS = 0x0003
_QUEUE_OCTETS = 8 << 20
_FRAME_OCTETS = 1 << 17


class Eavesdropper:
    """Keeps every frame that an interface sent or received since it began. Use it as a context."""

    def __init__(self, host: Host, interface: str) -> None:
        self._socket = host.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE_OCTETS)
        self._socket.bind((interface, _ALL_PROTOCOLS))
        self._frames: list[bytes] = []

    def __enter__(self) -> Eavesdropper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def frames(self) -> list[bytes]:
        """Give all frames so far, from the link header on. A frame is there once its sender's call returned."""
        while True:
            try:
                self._frames.append(self._socket.recv(_FRAME_OCTETS))
            except BlockingIOError:
                return list(self._frames)

    def matching(self, wanted: Callable[[bytes], bool]) -> list[bytes]:
        """Give the frames that `wanted` chooses."""
        return [frame for frame in self.frames() if wanted(frame)]
