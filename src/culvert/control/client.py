"""The blocking client of a running gateway, for the command line."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from culvert.control.protocol import (
    Failure,
    LineBuffer,
    Message,
    ProtocolError,
    Request,
    Response,
    decode,
    encode,
)
from culvert.errors import CulvertError, Problem

CONTROL_SOCKET = "control.sock"
"""Name of the daemon's socket inside the run directory."""
ANSWER_S = 10.0
"""How long an answer may take where the caller does not say otherwise."""
CHUNK_OCTETS = 65_536


class NoGatewayError(CulvertError):
    """No daemon answers in this run directory."""


class NotAllowedError(CulvertError):
    """We may not talk to whoever is in this run directory."""


class RefusedError(CulvertError):
    """The daemon answered with an error. `reason` is a name from the file of reasons, or empty."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(_problems(failure))
        self.code = failure.code
        reason = failure.data.get("reason", "")
        self.reason = reason if isinstance(reason, str) else ""


class Client:
    """One connection. Every call is one request and waits for its answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = LineBuffer()
        self._next_id = 1

    @classmethod
    def connect(cls, run_dir: Path) -> Client:
        """Connect to the gateway of `run_dir`. Raise NoGatewayError, or NotAllowedError where we may not ask."""
        path = run_dir / CONTROL_SOCKET
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(ANSWER_S)
        try:
            connection.connect(str(path))
        except OSError as error:
            connection.close()
            raise _unreachable(path, run_dir, error) from None
        return cls(connection)

    def call(self, method: str, params: Mapping[str, Any] | None = None, timeout_s: float = ANSWER_S) -> Any:
        """Ask and give the result. Raise RefusedError with the daemon's error, NoGatewayError where it went away."""
        request = Request(self._next_id, method, params or {})
        self._next_id += 1
        self._connection.settimeout(timeout_s)
        try:
            with contextlib.suppress(BrokenPipeError):  # whoever closes at once may have said why
                self._connection.sendall(encode(request))
            answer = self._answer(request.id)
        except TimeoutError:
            raise CulvertError(_silent(method, timeout_s)) from None
        except (OSError, ProtocolError) as error:
            raise NoGatewayError(Problem(f"the gateway ended before it answered `{method}`: {error}")) from None
        if isinstance(answer, Failure):
            raise RefusedError(answer)
        return answer.result

    def stream(self, method: str, params: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """Ask, and give the result, then what follows it, until the daemon ends. Raise as `call` does."""
        request = Request(self._next_id, method, params or {})
        self._next_id += 1
        self._connection.settimeout(None)
        try:
            self._connection.sendall(encode(request))
            while octets := self._connection.recv(CHUNK_OCTETS):
                for line in self._lines.feed(octets):
                    yield _streamed(decode(line))
        except (OSError, ProtocolError) as error:
            raise NoGatewayError(Problem(f"the gateway ended while it was told of: {error}")) from None

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until the daemon closes the connection, as it does when it has ended."""
        self._connection.settimeout(timeout_s)
        try:
            while self._connection.recv(CHUNK_OCTETS):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, request: int) -> Response | Failure:
        while True:
            for message in self._messages():
                if isinstance(message, Response | Failure) and message.id in (request, None):
                    return message

    def _messages(self) -> list[Message]:
        octets = self._connection.recv(CHUNK_OCTETS)
        if not octets:
            raise ConnectionError("it closed the connection")
        return [decode(line) for line in self._lines.feed(octets)]


def _streamed(message: Message) -> Any:
    if isinstance(message, Failure):
        raise RefusedError(message)
    return message.result if isinstance(message, Response) else getattr(message, "params", {})


def _unreachable(path: Path, run_dir: Path, error: OSError) -> CulvertError:
    if isinstance(error, PermissionError):
        what_to_do = "Run the command as root; for `status` and `log` it is enough to be in the group culvert."
        return NotAllowedError(Problem("you may not talk to the gateway", str(path), what_to_do))
    return NoGatewayError(Problem("no gateway runs here", str(run_dir), f"Start one with: {start_command(run_dir)}"))


def start_command(run_dir: Path) -> str:
    """Give the command that starts a gateway in this run directory."""
    option = "" if run_dir == Path("/run/culvert") else f" --run-dir {run_dir}"
    return f"culvert{option} up -c /etc/culvert/gateway.toml"


def _silent(method: str, timeout_s: float) -> Problem:
    return Problem(
        f"the gateway did not answer `{method}` within {timeout_s:g} seconds",
        what_to_do="Look at its log; `culvert down` and `culvert up` start it anew.",
    )


def _problems(failure: Failure) -> list[Problem]:
    found = failure.data.get("problems")
    problems = [_problem(entry) for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    return problems or [Problem(failure.message)]


def _problem(entry: dict[str, Any]) -> Problem:
    return Problem(str(entry.get("what", "")), str(entry.get("where", "")), str(entry.get("what_to_do", "")))
