"""Traffic without pause: pings, UDP and TCP SYNs from one host to several addresses, whether they arrive or not.

Run as a program inside a host of the lab, `fire.py MARK SHOT...` with shots written "SOURCE>TARGET" (SOURCE empty: not
bound). Each round fires every shot once as a marked echo request, a marked datagram and a SYN, and says so in a line:
the number of the round, then of the echo replies with the mark from each target since the line before.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from culvert.lab.host import Host

PAUSE_S = 0.02
"""Between two rounds: a fence that is open for longer than that is caught."""
PORT = 7009
PATIENCE_S = 30.0
_ECHO = {socket.AF_INET: (8, 0, 1), socket.AF_INET6: (128, 129, 58)}
"""Type of the request, of the reply, and the protocol (RFC 792, RFC 4443)."""


class Fire:
    """The traffic of one host, while the block runs. `shots` are (source or "", target)."""

    def __init__(self, host: Host, mark: bytes, *shots: tuple[str, str]) -> None:
        self._host, self._targets = host, [target for _, target in shots]
        self._arguments = [mark.hex(), *(f"{source}>{target}" for source, target in shots)]
        self._news = threading.Condition()
        self._rounds = 0
        self._replies: Counter[str] = Counter()

    def __enter__(self) -> Fire:
        command = [sys.executable, str(Path(__file__)), *self._arguments]
        self._process = self._host.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.rounds(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join()
        self._process.stdout.close()

    def rounds(self, count: int) -> None:
        """Wait until `count` more rounds have been fired."""
        with self._news:
            until = self._rounds + count
            assert self._news.wait_for(lambda: self._rounds >= until, PATIENCE_S), f"{self._host} fires no more"

    def crosses(self, count: int = 3) -> None:
        """Wait until every target has answered `count` more pings."""
        with self._news:
            until = {target: self._replies[target] + count for target in self._targets}
            done = self._news.wait_for(lambda: all(self._replies[one] >= until[one] for one in until), PATIENCE_S)
            assert done, f"{self._host}: no answers from {[one for one in until if self._replies[one] < until[one]]}"

    def _read(self) -> None:
        for line in self._process.stdout:
            number, *answered = line.split()
            with self._news:
                self._rounds = int(number)
                self._replies.update(answered)
                self._news.notify_all()


def main(mark: bytes, shots: list[tuple[str, str]]) -> None:
    """Fire until standard input ends."""
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    number = 0
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(_raw(family)) for family in _ECHO]
        while not over.is_set():
            number += 1
            for source, target in shots:
                _fire(mark, source, target, number)
            print(number, *_answers(listening, mark), flush=True)
            time.sleep(PAUSE_S)  # the pace of the traffic; nothing waits for it


def _fire(mark: bytes, source: str, target: str, number: int) -> None:
    """Each with a fresh socket, so that nothing is remembered of the way that the one before took."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    request = bytes((_ECHO[family][0], 0, 0, 0)) + number.to_bytes(4, "big") + mark
    if family == socket.AF_INET:  # the kernel does the checksum of ICMPv6, but not this one
        request = request[:2] + _checksum(request).to_bytes(2, "big") + request[4:]
    with _raw(family) as ping, _open(family, socket.SOCK_DGRAM) as udp, _open(family, socket.SOCK_STREAM) as tcp:
        for one, act in (
            (ping, lambda: ping.sendto(request, (target, 0))),
            (udp, lambda: udp.sendto(mark, (target, PORT))),
            (tcp, lambda: tcp.connect((target, PORT))),
        ):
            with contextlib.suppress(OSError):  # no route, no address, refused by the fence: all the same to us
                if source:
                    one.bind((source, 0))
                act()


def _open(family: int, kind: int, protocol: int = 0) -> socket.socket:
    opened = socket.socket(family, kind, protocol)
    opened.setblocking(False)
    return opened


def _raw(family: int) -> socket.socket:
    return _open(family, socket.SOCK_RAW, _ECHO[family][2])


def _answers(listening: list[socket.socket], mark: bytes) -> Iterator[str]:
    for one in listening:
        with contextlib.suppress(BlockingIOError):
            while True:
                octets, address = one.recvfrom(2048)
                header = 20 if one.family == socket.AF_INET else 0
                if octets[header] == _ECHO[one.family][1] and octets.endswith(mark):
                    yield address[0]


def _checksum(octets: bytes) -> int:
    padded = octets + bytes(len(octets) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


if __name__ == "__main__":
    main(
        bytes.fromhex(sys.argv[1]),
        [(source, target) for source, _, target in (one.partition(">") for one in sys.argv[2:])],
    )
