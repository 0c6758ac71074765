"""Reading octets from the left, never past the end."""

from __future__ import annotations

from culvert.wire.isakmp.errors import require


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
        require(0 <= count <= self.left, f"{self._what} needs {count} octets and {self.left} are left")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, count: int) -> int:
        """Read an unsigned number of `count` octets, the highest first."""
        return int.from_bytes(self.octets(count), "big")

    def rest(self) -> bytes:
        return self.octets(self.left)

    def end(self) -> None:
        require(self.left == 0, f"{self._what} has {self.left} octets too many")


def octets_of(number: int, count: int) -> bytes:
    """Write an unsigned number in `count` octets. Raise ParseError where it does not fit."""
    require(0 <= number < 1 << (8 * count), f"{number} does not fit into {count} octets")
    return number.to_bytes(count, "big")
