"""The control protocol: JSON-RPC 2.0, one object a line, without any I/O.

A line has at most MAX_LINE_OCTETS with its newline. Batches are not spoken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

MAX_LINE_OCTETS = 1024 * 1024
"""Longest line: the status of some thousand peers fits, and a client cannot make the daemon hold more."""
MAX_ID = 2**53
"""Largest identifier of a request: JSON's numbers are exact up to here everywhere."""


class Code(IntEnum):
    """Error codes: JSON-RPC's own, and two of ours above zero."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    NOT_GOOD = 1
    NOT_PERMITTED = 2


@dataclass(frozen=True, slots=True)
class Request:
    """Something that is asked for and will be answered."""

    id: int
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notification:
    """Something that is said and not answered."""

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """The good answer to a request."""

    id: int
    result: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """The other answer. `id` is None where the request could not be read; `data` may hold `problems` and `reason`."""

    id: int | None
    code: int
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


Message = Request | Notification | Response | Failure


class ProtocolError(Exception):
    """A line that is no message of ours. `id` is the request's, where it could be read."""

    def __init__(self, code: Code, message: str, request: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.id = request

    def failure(self) -> Failure:
        return Failure(self.id, self.code, str(self))


class LineTooLongError(ProtocolError):
    """What follows cannot be told apart any more: the connection must end."""

    def __init__(self) -> None:
        super().__init__(Code.INVALID_REQUEST, f"a line has at most {MAX_LINE_OCTETS} octets")


class LineBuffer:
    """Cuts a stream of octets into lines, holding at most one unfinished line."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """Give the lines that are complete, without their newline. Raise LineTooLongError."""
        first, *others = octets.split(b"\n")
        for following in others:
            line = bytes(self._rest + first)
            _bounded(line)
            self._rest.clear()
            first = following
            if line.strip():
                yield line
        self._rest += first
        _bounded(self._rest)


def _bounded(line: bytes | bytearray) -> None:
    if len(line) >= MAX_LINE_OCTETS:
        raise LineTooLongError


def encode(message: Message) -> bytes:
    """Give the line of a message, newline included. Raise LineTooLongError."""
    line = json.dumps(_document(message), separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_LINE_OCTETS:
        raise LineTooLongError
    return line


def _document(message: Message) -> dict[str, Any]:
    match message:
        case Request():
            body = {"id": message.id, "method": message.method, "params": dict(message.params)}
        case Notification():
            body = {"method": message.method, "params": dict(message.params)}
        case Response():
            body = {"id": message.id, "result": message.result}
        case Failure():
            error = {"code": int(message.code), "message": message.message, "data": dict(message.data)}
            body = {"id": message.id, "error": error}
    return {"jsonrpc": "2.0", **body}


def decode(line: bytes) -> Message:
    """Read one line. Raise ProtocolError with the code that JSON-RPC has for what is wrong."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError(Code.PARSE_ERROR, "the line is not JSON") from None
    if not isinstance(document, dict) or document.get("jsonrpc") != "2.0":
        raise ProtocolError(Code.INVALID_REQUEST, 'a message is an object with "jsonrpc": "2.0"')
    if "method" in document:
        return _request(document)
    return _answer(document)


def _request(document: dict[str, Any]) -> Message:
    request = _id(document) if "id" in document else None
    method, params = document["method"], document.get("params", {})
    if not isinstance(method, str):
        raise ProtocolError(Code.INVALID_REQUEST, "`method` is a string", request)
    if not isinstance(params, dict):
        raise ProtocolError(Code.INVALID_PARAMS, "`params` is an object", request)
    return Notification(method, params) if request is None else Request(request, method, params)


def _answer(document: dict[str, Any]) -> Message:
    error = document.get("error")
    if error is None and "result" in document:
        return Response(_id(document), document["result"])
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        raise ProtocolError(Code.INVALID_REQUEST, "a message has a `method`, a `result` or an `error`")
    data = error.get("data", {})
    request = None if document.get("id") is None else _id(document)
    return Failure(request, error["code"], str(error.get("message", "")), data if isinstance(data, dict) else {})


def _id(document: dict[str, Any]) -> int:
    value = document.get("id")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_ID:
        raise ProtocolError(Code.INVALID_REQUEST, "`id` is a number from 0 to 2^53")
    return value
