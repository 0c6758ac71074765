"""Requests and their answers: sequence numbers, acknowledgements, dumps, batches, and the end of the connection."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from culvert.wire.netlink.framing import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    Acknowledgement,
    Message,
    ParseError,
    pack,
    parse_acknowledgement,
    parse_messages,
)
from culvert.wire.netlink.numbers import Own
from culvert.xfrm.errors import XfrmError, lost
from culvert.xfrm.transport import Transport

ANSWER_TIMEOUT_S = 10.0
"""An engine answers within microseconds; one that does not within this time is stuck."""
DUMP_TIMEOUT_S = 60.0
PART = 100
"""Requests to the kernel at once: as many refusals fit into the buffer of its socket."""
UNAWAITED = 2**32 - 1
"""The sequence number of requests whose answer nobody awaits."""
DUMP_ATTEMPTS = 8
"""A table that changes during every one of these dumps is read as it comes."""


class _Wants(Enum):
    """What ends a request."""

    ACKNOWLEDGEMENT = auto()
    ANSWER = auto()
    DUMP = auto()
    REFUSAL = auto()


@dataclass(slots=True)
class _Pending:
    wants: _Wants
    future: asyncio.Future[None]
    answers: list[Message] = field(default_factory=list)
    interrupted: bool = False


class Exchanges:
    """Asks over a transport, and gives to `notify` what nobody asked for.

    `closed` resolves with the reason as soon as the connection ends; whatever waits then fails with the same reason.
    """

    def __init__(self, transport: Transport, notify: Callable[[Message], None]) -> None:
        self.closed: asyncio.Future[XfrmError] = asyncio.get_running_loop().create_future()
        self._transport = transport
        self._notify = notify
        self._pending: dict[int, _Pending] = {}
        self._sequence = 0
        self._dumping = asyncio.Lock()
        self.on_refusal: Callable[[XfrmError], None] = lambda _error: None
        transport.start(self._received, self._lost)

    @property
    def own_family(self) -> bool:
        """Whether the other side understands our own messages."""
        return self._transport.own_family

    def close(self) -> None:
        """End the connection; whatever waits fails."""
        self._transport.close()
        self._lost(lost("the connection to the data plane was closed"))

    async def acknowledged(self, kind: int, body: bytes = b"", flags: int = 0) -> None:
        """Ask, and wait until it is done. Raise XfrmError."""
        async with self._asking(_Wants.ACKNOWLEDGEMENT, ANSWER_TIMEOUT_S) as (sequence, pending):
            self._transport.send(Message(kind, NLM_F_REQUEST | NLM_F_ACK | flags, sequence, 0, body).emit())
            await pending.future

    def unawaited(self, requests: Iterable[tuple[int, bytes]]) -> None:
        """Ask and go on. It is done before whatever is asked later; a refusal goes to `on_refusal`. Raise XfrmError."""
        if self.closed.done():
            raise self.closed.result()
        for datagram in pack([Message(kind, NLM_F_REQUEST, UNAWAITED, 0, body) for kind, body in requests]):
            self._transport.send(datagram)

    async def answered(self, kind: int, body: bytes = b"") -> Message:
        """Ask for one message. Raise XfrmError."""
        async with self._asking(_Wants.ANSWER, ANSWER_TIMEOUT_S) as (sequence, pending):
            self._transport.send(Message(kind, NLM_F_REQUEST, sequence, 0, body).emit())
            await pending.future
            return pending.answers[0]

    async def dumped(self, kind: int) -> list[Message]:
        """Ask for a whole table; again where it changed meanwhile, a few times. Raise XfrmError."""
        async with self._dumping:
            for _ in range(DUMP_ATTEMPTS):
                answers, interrupted = await self._dump(kind)
                if not interrupted:
                    break
            return answers

    async def _dump(self, kind: int) -> tuple[list[Message], bool]:
        async with self._asking(_Wants.DUMP, DUMP_TIMEOUT_S) as (sequence, pending):
            self._transport.send(Message(kind, NLM_F_REQUEST | NLM_F_DUMP, sequence).emit())
            await pending.future
            return pending.answers, pending.interrupted

    async def batch(self, requests: Iterable[tuple[int, bytes]]) -> None:
        """Have all of it done, or none. Raise XfrmError with the first refusal.

        Only the commit asks for an acknowledgement: the first error comes by itself, and before the commit's.
        """
        body = [(int(Own.BATCH_BEGIN), b""), *requests]
        await self._together(body, (Own.BATCH_COMMIT, b""))

    async def one_after_the_other(self, requests: Sequence[tuple[int, bytes]]) -> None:
        """Have all of it done in order, quickly. Raise XfrmError with the first refusal; what follows soon is done too.

        Only the last of each part is acknowledged: the kernel drops answers where too many wait.
        """
        for start in range(0, len(requests), PART):
            part = requests[start : start + PART]
            await self._together(part[:-1], part[-1])

    async def _together(self, requests: Iterable[tuple[int, bytes]], last: tuple[int, bytes]) -> None:
        async with (
            self._asking(_Wants.REFUSAL, DUMP_TIMEOUT_S) as (refused, refusal),
            self._asking(_Wants.ACKNOWLEDGEMENT, DUMP_TIMEOUT_S) as (final, done),
        ):
            messages = [Message(kind, NLM_F_REQUEST, refused, 0, body) for kind, body in requests]
            messages.append(Message(last[0], NLM_F_REQUEST | NLM_F_ACK, final, 0, last[1]))
            for datagram in pack(messages):
                self._transport.send(datagram)
            await asyncio.wait([done.future])
            if refusal.future.done():
                refusal.future.result()
            done.future.result()

    @asynccontextmanager
    async def _asking(self, wants: _Wants, timeout_s: float) -> AsyncIterator[tuple[int, _Pending]]:
        if self.closed.done():
            raise self.closed.result()
        sequence = self._next_sequence()
        pending = _Pending(wants, asyncio.get_running_loop().create_future())
        self._pending[sequence] = pending
        try:
            async with asyncio.timeout(timeout_s):
                yield sequence, pending
        except TimeoutError:
            raise XfrmError(errno.ETIMEDOUT, f"no answer came within {timeout_s:.0f} seconds") from None
        finally:
            del self._pending[sequence]
            if pending.future.done() and not pending.future.cancelled():
                pending.future.exception()

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % (UNAWAITED - 1) + 1
        while self._sequence in self._pending:
            self._sequence = self._sequence % (UNAWAITED - 1) + 1
        return self._sequence

    def _received(self, datagram: bytes) -> None:
        try:
            for message in parse_messages(datagram):
                self._one(message)
        except ParseError as error:
            self._transport.close()
            self._lost(XfrmError(errno.EPROTO, f"the data plane sent what cannot be read: {error}"))

    def _one(self, message: Message) -> None:
        pending = self._pending.get(message.sequence)
        if message.type == NLMSG_NOOP:
            return
        if message.sequence == 0 and message.type not in (NLMSG_ERROR, NLMSG_DONE):
            self._notify(message)
        elif message.sequence == UNAWAITED:
            self._refused(message)
        elif pending is not None and not pending.future.done():
            _conclude(pending, message)

    def _refused(self, message: Message) -> None:
        outcome = parse_acknowledgement(message)
        if outcome.error:
            self.on_refusal(XfrmError(outcome.error, outcome.text))

    def _lost(self, reason: XfrmError) -> None:
        if self.closed.done():
            return
        self.closed.set_result(reason)
        for pending in self._pending.values():
            if not pending.future.done():
                pending.future.set_exception(reason)


def _conclude(pending: _Pending, message: Message) -> None:
    """Give an answer to what waits for it."""
    pending.interrupted |= bool(message.flags & NLM_F_DUMP_INTR and pending.wants is _Wants.DUMP)
    if message.type in (NLMSG_ERROR, NLMSG_DONE):
        _acknowledge(pending, message.type, parse_acknowledgement(message))
    else:
        pending.answers.append(message)
        if pending.wants is _Wants.ANSWER:
            pending.future.set_result(None)


def _acknowledge(pending: _Pending, kind: int, outcome: Acknowledgement) -> None:
    if outcome.error:
        pending.future.set_exception(XfrmError(outcome.error, outcome.text))
    elif pending.wants is (_Wants.DUMP if kind == NLMSG_DONE else _Wants.ACKNOWLEDGEMENT):
        pending.future.set_result(None)
