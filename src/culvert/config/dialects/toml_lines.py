"""Where each key of a TOML document stands: tomllib reads the values, and forgets the lines.

The text has been through tomllib before, so it is known to be valid; this file only counts.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from typing import Any

from culvert.config.origins import Path

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*")
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SCALAR = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|[^,\]}#\n]+",
    re.DOTALL,
)


def lines_of(text: str) -> dict[Path, int]:
    """Map the path of every table, key and array item of valid TOML to its line, counted from 1."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._position = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._arrays: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        while self._skip_blank() < len(self._text):
            if self._text[self._position] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        """Read `[a.b]` or `[[a.b]]`; the path of the latter ends with its index."""
        line, doubled = self._line(), self._text.startswith("[[", self._position)
        self._position += 2 if doubled else 1
        self._skip_blank()
        path = self._key(line, ())
        if doubled:
            index = self._arrays[path] = self._arrays.get(path, -1) + 1
            path = (*path, index)
        self.lines.setdefault(path, line)
        self._skip_blank()
        self._position += 2 if doubled else 1
        return path

    def _pair(self, table: Path) -> None:
        path = self._key(self._line(), table)
        self._skip_blank()
        self._position += 1
        self._value(path)

    def _key(self, line: int, table: Path) -> Path:
        match = _KEY.match(self._text, self._position)
        if match is None:
            raise ValueError(f"no key in line {line}")
        self._position = match.end()
        path = table
        for part in _parts(match[0]):
            path = (*path, part)
            self.lines.setdefault(path, line)
        return path

    def _value(self, path: Path) -> None:
        self._skip_blank()
        opening = self._text[self._position]
        if opening == "[":
            self._items(path, "]")
        elif opening == "{":
            self._items(path, "}")
        elif (match := _SCALAR.match(self._text, self._position)) is not None:
            self._position = match.end()

    def _items(self, path: Path, closing: str) -> None:
        """Walk the inside of an array or of an inline table."""
        self._position += 1
        index = 0
        while self._text[self._skip_blank()] != closing:
            if self._text[self._position] == ",":
                self._position += 1
            elif closing == "]":
                self.lines.setdefault((*path, index), self._line())
                self._value((*path, index))
                index += 1
            else:
                self._pair(path)
        self._position += 1

    def _skip_blank(self) -> int:
        match = _BLANK.match(self._text, self._position)
        self._position = match.end() if match else self._position
        return self._position

    def _line(self) -> int:
        return bisect.bisect_left(self._ends, self._position) + 1


def _parts(key: str) -> list[str]:
    """Take a dotted key apart; tomllib knows the escapes of quoted ones."""
    if '"' not in key and "'" not in key:
        return [part.strip() for part in key.split(".")]
    parts: list[str] = []
    value: Any = tomllib.loads(f"{key} = 0")
    while isinstance(value, dict):
        part, value = next(iter(value.items()))
        parts.append(part)
    return parts
