"""The control socket: who may connect, one JSON-RPC line in, one out."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from culvert.control.client import CONTROL_SOCKET
from culvert.control.protocol import (
    Code,
    Failure,
    LineBuffer,
    LineTooLongError,
    Message,
    Notification,
    ProtocolError,
    Request,
    Response,
    decode,
    encode,
)
from culvert.daemon.locking import group_id
from culvert.daemon.logging import Journal
from culvert.errors import CulvertError, HostError, Problem

MAX_CONNECTIONS = 64
"""Most clients at once; a person has one, a monitoring a few."""
RESERVED_CONNECTIONS = 8
"""As many more for root, so that nobody of the group can lock out `culvert down`."""
CHUNK_OCTETS = 65_536
MAX_UNREAD_OCTETS = 256 * 1024
"""What a client may leave unread of what it is told unasked; more is lost to it. A thousand lines, for each client."""
WRITE_S = 10.0
"""How long a client may leave its answer unread."""
LAST_ANSWERS_S = 1.0
"""How long the end of the daemon waits for answers that are under way."""


class MethodError(Exception):
    """An answer that is an error: `code`, a sentence, and data for programs."""

    def __init__(self, code: Code, message: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data or {}

    @classmethod
    def of_problems(cls, error: CulvertError, reason: str = "") -> MethodError:
        problems = [{"what": p.what, "where": p.where, "what_to_do": p.what_to_do} for p in error.problems]
        return cls(Code.NOT_GOOD, error.problems[0].what, {"problems": problems, "reason": reason})


Handler = Callable[[str, Mapping[str, Any], bool], Awaitable[Any]]
"""Called with the method, its parameters and whether the caller may do everything. Raises MethodError, CulvertError."""
Push = Callable[[str, Mapping[str, Any]], bool]
"""Tell a client something that it did not ask for. False where it does not read, or is gone: then it was not told."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on: `first` is the result; `begin` is given a way to tell more, and gives how to end that."""

    first: Any
    begin: Callable[[Push], Callable[[], None]]


class _Connection:
    """One client: what it is told unasked, and who it is."""

    def __init__(self, writer: asyncio.StreamWriter, privileged: bool) -> None:
        self.writer, self.privileged = writer, privileged
        self._end: Callable[[], None] | None = None

    def begin(self, stream: Stream) -> None:
        """Let a stream go on; the one before ends."""
        self.end()
        self._end = stream.begin(self._push)

    def end(self) -> None:
        if self._end is not None:
            self._end()
            self._end = None

    def _push(self, method: str, params: Mapping[str, Any]) -> bool:
        transport = self.writer.transport
        if transport.is_closing() or transport.get_write_buffer_size() > MAX_UNREAD_OCTETS:
            return False
        try:
            self.writer.write(encode(Notification(method, params)))
        except LineTooLongError:
            return False
        return True


class Server:
    """Listens in the run directory and answers with what `handler` gives."""

    def __init__(self, run_dir: Path, handler: Handler, journal: Journal) -> None:
        self._path = run_dir / CONTROL_SOCKET
        self._handler, self._journal = handler, journal
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._answering = 0
        self._idle = asyncio.Event()

    async def start(self) -> None:
        """Begin to listen. The caller holds the lock of the run directory, so an old socket is nobody's."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.unlink(missing_ok=True)
            _bind(listener, self._path)
        except OSError as error:
            listener.close()
            raise HostError(Problem(f"no control socket: {error.strerror}", str(self._path))) from None
        self._server = await asyncio.start_unix_server(self._accept, sock=listener)

    async def stop(self) -> None:
        """Close everything; clients take the end of their connection as the end of the daemon."""
        if self._server is None:
            return
        self._server.close()
        self._path.unlink(missing_ok=True)
        await self._last_answers()
        connections = [task for task in self._connections if task is not asyncio.current_task()]
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        self._server = None

    async def _last_answers(self) -> None:
        """Let those who wait for an answer have it, such as the one who asked us to end."""
        try:
            async with asyncio.timeout(LAST_ANSWERS_S):
                while self._answering:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            self._journal.debug("Some requests were left without an answer.", requests=self._answering)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        privileged = _privileged(writer.get_extra_info("socket"))
        if task is None or len(self._connections) >= MAX_CONNECTIONS + RESERVED_CONNECTIONS * privileged:
            writer.write(encode(Failure(None, Code.NOT_GOOD, "too many connections; try again in a moment")))
            writer.close()
            return
        self._connections.add(task)
        connection = _Connection(writer, privileged)
        try:
            await self._converse(reader, connection)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # the client is gone, or we end
        finally:
            connection.end()
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        lines = LineBuffer()
        while octets := await reader.read(CHUNK_OCTETS):
            try:
                for line in lines.feed(octets):
                    await self._serve(line, connection)
            except LineTooLongError as error:
                await self._reply(connection.writer, error.failure())
                return

    async def _serve(self, line: bytes, connection: _Connection) -> None:
        self._answering += 1
        try:
            answer = await self._answer(line, connection.privileged)
            if isinstance(answer, Response) and isinstance(answer.result, Stream):
                stream, answer = answer.result, Response(answer.id, answer.result.first)
                connection.writer.write(encode(answer))
                connection.begin(stream)
                return
            await self._reply(connection.writer, answer)
        finally:
            self._answering -= 1
            self._idle.set()

    async def _answer(self, line: bytes, privileged: bool) -> Response | Failure | None:
        try:
            message = decode(line)
        except ProtocolError as error:
            return error.failure()
        if isinstance(message, Notification):
            return None
        if not isinstance(message, Request):
            return Failure(None, Code.INVALID_REQUEST, "this end answers; it does not ask")
        return await self._call(message, privileged)

    async def _call(self, request: Request, privileged: bool) -> Response | Failure:
        try:
            return Response(request.id, await self._handler(request.method, request.params, privileged))
        except MethodError as error:
            return Failure(request.id, error.code, str(error), error.data)
        except CulvertError as error:
            refused = MethodError.of_problems(error)
            return Failure(request.id, refused.code, str(refused), refused.data)
        except Exception as error:
            self._journal.bug("A control request failed.", error, method=request.method)
            return Failure(request.id, Code.INTERNAL_ERROR, "the daemon failed at this request; its log says where")

    async def _reply(self, writer: asyncio.StreamWriter, answer: Message | None) -> None:
        if answer is None:
            return
        writer.write(encode(answer))
        async with asyncio.timeout(WRITE_S):
            await writer.drain()


def _bind(listener: socket.socket, path: Path) -> None:
    """Make the socket with mode 0660 from its first moment, and give it to the group where there is one."""
    umask = os.umask(0o117)
    try:
        listener.bind(str(path))
    finally:
        os.umask(umask)
    group = group_id()
    if group is not None and os.geteuid() == 0:
        os.chown(path, 0, group)


def _privileged(connection: Any) -> bool:
    """Tell whether the other end is root or ourselves (SO_PEERCRED); others may only ask for the status."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (0, os.geteuid())
