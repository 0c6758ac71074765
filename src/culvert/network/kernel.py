"""rtnetlink in the kernel's own words, for what there may be thousands of: peers' ways, and our routes.

A question and its answer take some ten microseconds, a hundredth of what a library for all of rtnetlink takes.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from culvert.errors import HostError, Problem

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERRNO = struct.Struct("=i")
_KIND_MASK = 0x3FFF
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
CREATE, REPLACE = 0x400, 0x100
"""Flags of a change (linux/netlink.h)."""
_ERROR, _DONE = 2, 3
_DUMP_INTERRUPTED = 0x10
"""Flag of an answer: what is dumped changed since the dump began (NLM_F_DUMP_INTR)."""
_MAX_DUMPS = 8
"""So often a dump is asked for that changes meanwhile: a host on which it always does is not waited for."""
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
        """Ask, and give the answers: one, or all of a dump. Raise OSError where the kernel refuses, with EINTR where
        every dump is interrupted by changes.
        """
        if not dump:
            return iter(self._asked(question, payload, _REQUEST)[0])
        for _ in range(_MAX_DUMPS):
            answers, interrupted = self._asked(question, payload, _REQUEST | _DUMP)
            if not interrupted:
                return iter(answers)
        raise OSError(errno.EINTR, "what is read changes all the while")

    def _asked(self, question: int, payload: bytes, flags: int) -> tuple[list[bytes], bool]:
        """Ask once. Tell with the answers whether something changed meanwhile: then some may be missing."""
        self.opened.send(_message(question, payload, flags, 0))
        answers: list[bytes] = []
        interrupted = 0
        while flags & _DUMP or not answers:
            for one in _messages(self.opened.recv(_RECEIVE_OCTETS)):
                interrupted |= one.flags & _DUMP_INTERRUPTED
                if one.kind in {_ERROR, _DONE}:
                    _raise_refusal(one.payload)
                    return answers, bool(interrupted)
                answers.append(one.payload)
        return answers, False

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
            for one in _messages(self.opened.recv(_RECEIVE_OCTETS)):
                if one.kind == _ERROR:
                    refusals[one.number] = _refusal(one.payload)
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


class _Message(NamedTuple):
    kind: int
    flags: int
    number: int
    payload: bytes


def _messages(datagram: bytes) -> Iterator[_Message]:
    while len(datagram) >= _HEADER.size:
        length, kind, flags, number, _ = _HEADER.unpack_from(datagram)
        if not _HEADER.size <= length <= len(datagram):
            return
        yield _Message(kind, flags, number, datagram[_HEADER.size : length])
        datagram = datagram[(length + 3) & ~3 :]


def _raise_refusal(answer: bytes) -> None:
    """Raise OSError where this end of a dump, or this acknowledgement, is a refusal."""
    if number := _refusal(answer):
        raise OSError(number, os.strerror(number))


def _refusal(answer: bytes) -> int:
    number: int = -_ERRNO.unpack_from(answer)[0]
    return number
