"""Questions to a kernel that answers from a script."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from culvert.network.kernel import Kernel

QUESTION, ANSWER, ERROR, DONE = 26, 24, 2, 3
MULTI, INTERRUPTED = 0x2, 0x10


@dataclass
class Script:
    """The kernel's end of a socket: a test says beforehand what it answers."""

    end: socket.socket
    kernel: Kernel

    def say(self, *messages: tuple[int, int, bytes]) -> None:
        """Answer with one datagram of type, flags and payload."""
        self.end.send(
            b"".join(struct.pack("=IHHII", 16 + len(it), kind, flags, 0, 0) + it for kind, flags, it in messages)
        )

    def asked(self) -> int:
        """Count the questions."""
        self.end.setblocking(False)
        count = 0
        try:
            while self.end.recv(4096):
                count += 1
        except BlockingIOError:
            return count
        return count


@pytest.fixture
def script() -> Iterator[Script]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.settimeout(0.1)
    with closing(theirs), closing(Kernel(ours)) as kernel:
        yield Script(theirs, kernel)


def end(number: int = 0) -> bytes:
    return struct.pack("=i", -number)


def test_a_dump_is_read_to_its_end(script: Script) -> None:
    script.say((ANSWER, MULTI, b"one."), (ANSWER, MULTI, b"two."))
    script.say((ANSWER, MULTI, b"3..."))
    script.say((DONE, MULTI, end()))
    assert list(script.kernel.ask(QUESTION, b"", dump=True)) == [b"one.", b"two.", b"3..."]
    assert script.asked() == 1


def test_a_dump_that_ends_with_an_error_is_none(script: Script) -> None:
    script.say((ANSWER, MULTI, b"one."))
    script.say((DONE, MULTI, end(errno.ENOENT)))
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)) as refused:
        list(script.kernel.ask(QUESTION, b"", dump=True))
    assert refused.value.errno == errno.ENOENT


@pytest.mark.parametrize("dump", [False, True])
def test_what_is_refused_at_once(script: Script, dump: bool) -> None:
    script.say((ERROR, 0, end(errno.EPERM)))
    with pytest.raises(PermissionError):
        list(script.kernel.ask(QUESTION, b"", dump=dump))


@pytest.mark.parametrize("flags", [(INTERRUPTED, 0), (0, INTERRUPTED)])
def test_an_interrupted_dump_is_asked_for_again(script: Script, flags: tuple[int, int]) -> None:
    script.say((ANSWER, MULTI | flags[0], b"part"), (DONE, MULTI | flags[1], end()))
    script.say((ANSWER, MULTI, b"one."), (ANSWER, MULTI, b"two."), (DONE, MULTI, end()))
    assert list(script.kernel.ask(QUESTION, b"", dump=True)) == [b"one.", b"two."]
    assert script.asked() == 2


def test_a_dump_that_is_always_interrupted_is_given_up(script: Script) -> None:
    for _ in range(8):
        script.say((DONE, MULTI | INTERRUPTED, end()))
    with pytest.raises(InterruptedError, match="changes all the while"):
        list(script.kernel.ask(QUESTION, b"", dump=True))
    assert script.asked() == 8


def test_one_answer_ends_a_question_that_is_no_dump(script: Script) -> None:
    script.say((ANSWER, 0, b"one."))
    assert list(script.kernel.ask(QUESTION, b"")) == [b"one."]
