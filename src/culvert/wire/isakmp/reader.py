"""Reading octets from the left, never past the end; and writing numbers."""

from __future__ import annotations

import struct
from struct import Struct

from culvert.reasons import Refusal
from culvert.wire.isakmp.errors import ParseError


class Reader:
    """A place in some octets. Every read takes exactly what it asks for or raises ParseError."""

    __slots__ = ("_at", "_data", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def octets(self, count: int) -> bytes:
        start, end = self._at, self._at + count
        if not start <= end <= len(self._data):
            raise self._short(count)
        self._at = end
        return self._data[start:end]

    def number(self, count: int) -> int:
        """Read an unsigned number of `count` octets, the highest first."""
        return int.from_bytes(self.octets(count), "big")

    def fields(self, layout: Struct) -> tuple[int, ...]:
        """Read numbers as `layout` has them."""
        start, end = self._at, self._at + layout.size
        if end > len(self._data):
            raise self._short(layout.size)
        self._at = end
        return layout.unpack_from(self._data, start)

    def rest(self) -> bytes:
        start, self._at = self._at, len(self._data)
        return self._data[start:]

    def end(self) -> None:
        if self._at != len(self._data):
            raise ParseError(Refusal.INVALID_SYNTAX, f"{self._what} has {self.left} octets too many")

    def _short(self, count: int) -> ParseError:
        return ParseError(Refusal.INVALID_SYNTAX, f"{self._what} needs {count} octets and {self.left} are left")


def octets_of(number: int, count: int) -> bytes:
    """Write an unsigned number in `count` octets. Raise ParseError where it does not fit."""
    try:
        return number.to_bytes(count, "big")
    except OverflowError:
        raise ParseError(Refusal.INVALID_SYNTAX, f"{number} does not fit into {count} octets") from None


def packed(layout: Struct, *numbers: int) -> bytes:
    """Write numbers as `layout` has them. Raise ParseError where one does not fit."""
    try:
        return layout.pack(*numbers)
    except struct.error:
        raise ParseError(Refusal.INVALID_SYNTAX, f"{numbers} do not fit into {layout.format}") from None
