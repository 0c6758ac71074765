"""rtnetlink in the kernel's own words, for what there may be thousands of: peers' ways, and our routes.

A question and its answer take some ten microseconds, a hundredth of what a library for all of rtnetlink takes.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from culvert.errors import HostError, Problem

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERRNO = struct.Struct("=i")
_KIND_MASK = 0x3FFF
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
CREATE, REPLACE = 0x400, 0x100
"""Flags of a change (linux/netlink.h)."""
_ERROR, _DONE = 2, 3
_SOL_NETLINK, _GET_STRICT_CHK = 270, 12
_ANSWER_S = 2.0
_RECEIVE_OCTETS = 1 << 16
MAX_CHANGES = 64
"""Changes in one datagram: their acknowledgements fit into any socket's queue."""

Attributes = dict[int, bytes]


def _open() -> socket.socket:
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        # Strict: a dump leaves out what was not asked for. A router may have a million other routes.
        opened.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
    except OSError as error:
        raise refused(error, "rtnetlink") from error
    opened.settimeout(_ANSWER_S)
    return opened


@dataclass(frozen=True, slots=True)
class Change:
    """One message that asks for a change; `flags` as CREATE and REPLACE."""

    kind: int
    payload: bytes
    flags: int = 0


@dataclass(slots=True)
class Kernel:
    """One socket for some questions in this network namespace. Raise HostError where there is none."""

    opened: socket.socket = field(default_factory=_open)

    def close(self) -> None:
        self.opened.close()

    def ask(self, question: int, payload: bytes, *, dump: bool = False) -> Iterator[bytes]:
        """Ask, and give the answers. Raise OSError where the kernel refuses."""
        self.opened.send(_message(question, payload, _REQUEST | (_DUMP if dump else 0), 0))
        while True:
            for kind, _, answer in _messages(self.opened.recv(_RECEIVE_OCTETS)):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    number = _refusal(answer)
                    raise OSError(number, os.strerror(number))
                yield answer
                if not dump:
                    return

    def change(self, changes: Sequence[Change]) -> list[int]:
        """Ask for at most MAX_CHANGES changes, done in their order. Give each one's errno, 0 where it is done.

        One that is refused does not keep the next from being done. Raise OSError where the kernel does not answer.
        """
        flags = _REQUEST | _ACK
        self.opened.send(
            b"".join(_message(one.kind, one.payload, flags | one.flags, at) for at, one in enumerate(changes))
        )
        refusals: dict[int, int] = {}
        while len(refusals) < len(changes):
            for kind, number, answer in _messages(self.opened.recv(_RECEIVE_OCTETS)):
                if kind == _ERROR:
                    refusals[number] = _refusal(answer)
        return [refusals[number] for number in range(len(changes))]


def attribute(kind: int, value: bytes) -> bytes:
    """Write an attribute, padded."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(octets: bytes) -> Attributes:
    """Read attributes by their numbers, as far as they can be read."""
    found: Attributes = {}
    while len(octets) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(octets)
        if not _ATTRIBUTE.size <= length <= len(octets):
            break
        found[kind & _KIND_MASK] = octets[_ATTRIBUTE.size : length]
        octets = octets[(length + 3) & ~3 :]
    return found


def refused(error: OSError, where: str) -> HostError:
    """Say in our words what the kernel refuses."""
    return HostError(Problem(f"the kernel refuses: {error.strerror or error}", where))


def _message(kind: int, payload: bytes, flags: int, number: int) -> bytes:
    message = _HEADER.pack(_HEADER.size + len(payload), kind, flags, number, 0) + payload
    return message + bytes(-len(message) % 4)


def _messages(datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Give type, sequence number and payload of each."""
    while len(datagram) >= _HEADER.size:
        length, kind, _, number, _ = _HEADER.unpack_from(datagram)
        if not _HEADER.size <= length <= len(datagram):
            return
        yield kind, number, datagram[_HEADER.size : length]
        datagram = datagram[(length + 3) & ~3 :]


def _refusal(answer: bytes) -> int:
    number: int = -_ERRNO.unpack_from(answer)[0]
    return number
