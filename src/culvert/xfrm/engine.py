"""The engine's process: found, started, waited for, found again after a restart of the daemon, and ended."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

from culvert.errors import HostError, Problem
from culvert.xfrm.refusals import explain

PROGRAM = "culvert-engine"
READY_TIMEOUT_S = 10.0
MAX_LINE_OCTETS = 4096

_CREDENTIALS = struct.Struct("=iII")


def find_program(environment: Mapping[str, str] | None = None) -> Path:
    """Find the engine: CULVERT_ENGINE, else beside this Python, else on PATH. Raise HostError."""
    environment = os.environ if environment is None else environment
    named = environment.get("CULVERT_ENGINE")
    beside = Path(sys.executable).parent / PROGRAM
    for candidate in (named,) if named else (str(beside), shutil.which(PROGRAM, path=environment.get("PATH"))):
        if candidate and os.access(candidate, os.X_OK) and Path(candidate).is_file():
            return Path(candidate)
    where = f"CULVERT_ENGINE={named}" if named else f"{beside} and PATH"
    raise HostError(Problem(f"the packet engine {PROGRAM} is not there", where, "Install it: make setup"))


class EngineProcess:
    """A running engine, our child or not. `exited` resolves within milliseconds of its end.

    The result is its exit code, negative for a signal; for one that is not our child it is always 0.
    """

    def __init__(self, pid: int) -> None:
        """Raise ProcessLookupError where there is no such process."""
        self.pid = pid
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._descriptor = os.pidfd_open(pid)
        self._loop.add_reader(self._descriptor, self._ended)

    @classmethod
    async def start(
        cls, socket_path: Path, tun: str, mark: int, log_level: str = "info", *, log_json: bool = False
    ) -> EngineProcess:
        """Start an engine and wait until it is ready. Raise HostError with what the host refused.

        Its log goes to our standard error; `log_level` is "error", "warn", "info", "debug" or "trace".
        """
        program = find_program()
        reader, writer = os.pipe()
        with open(reader, "rb", buffering=0) as ready:  # noqa: PTH123
            arguments = ["--socket", str(socket_path), "--tun", tun, "--mark", str(mark), "--log-level", log_level]
            arguments += ["--log-format", "json"] if log_json else []
            try:
                process = cls(_spawn(program, [*arguments, "--ready-fd", str(writer)], writer))
            finally:
                os.close(writer)
            await process._until_ready(ready.fileno(), str(program))
        return process

    @classmethod
    async def attach(cls, socket_path: Path) -> EngineProcess | None:
        """Find the engine that listens at `socket_path`; None where nobody does."""
        pid = _listener_pid(socket_path)
        try:
            return cls(pid) if pid else None
        except ProcessLookupError:
            return None

    def signal(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; nothing happens where it has ended."""
        if not self.exited.done():
            signal.pidfd_send_signal(self._descriptor, number)

    async def stop(self, timeout_s: float = 5.0) -> int:
        """End it: SIGTERM, and SIGKILL where that takes too long. Give the exit code."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self.exited)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.exited

    def release(self) -> None:
        """Look no longer; the engine goes on."""
        if not self.exited.done():
            self.exited.cancel()
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _ended(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        if not self.exited.done():
            self.exited.set_result(_reap(self.pid))

    async def _until_ready(self, descriptor: int, program: str) -> None:
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                said = await _read_all(descriptor)
                if len(said) == 1:
                    return
                code = await asyncio.shield(self.exited)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.exited
            what = f"the engine was not ready within {READY_TIMEOUT_S:.0f} seconds"
            raise HostError(Problem(what, program, "What it wrote to its log says more.")) from None
        except asyncio.CancelledError:
            self.signal(signal.SIGKILL)
            raise
        raise explain(said.decode(errors="replace").strip(), code, program)


def _spawn(program: Path, arguments: list[str], ready: int) -> int:
    """Start a program in a session of its own; it inherits our standard error and the descriptor `ready`.

    Not our standard output: whoever reads that of `culvert up -d` would wait for the engine's end.
    """
    try:
        return os.posix_spawn(
            program,
            [str(program), *arguments],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, ready, ready),
            ],
            setsid=True,
        )
    except OSError as error:
        problem = Problem(f"cannot be started: {error.strerror}", str(program), "Install it again: make setup")
        raise HostError(problem) from error


async def _read_all(descriptor: int) -> bytes:
    """Read a pipe to its end, MAX_LINE_OCTETS at most."""
    loop = asyncio.get_running_loop()
    os.set_blocking(descriptor, False)
    octets = b""
    while len(octets) < MAX_LINE_OCTETS:
        readable = asyncio.Event()
        loop.add_reader(descriptor, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(descriptor)
        part = os.read(descriptor, MAX_LINE_OCTETS - len(octets))
        if not part:
            break
        octets += part
    return octets


def _reap(pid: int) -> int:
    try:
        _, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status)


def _listener_pid(path: Path) -> int:
    """Ask the kernel who listens at a socket (SO_PEERCRED); 0 where nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        try:
            sock.connect(str(path))
        except OSError:
            return 0
        octets = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid: int = _CREDENTIALS.unpack(octets)[0]
    return pid
