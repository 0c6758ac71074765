"""The text that statements come from, and how a place in it is shown: file, line, column, the line and a mark."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field

from culvert.errors import Problem
from culvert.setkey.bounds import MAX_SHOWN_CHARACTERS

_SECRETS = re.compile(r"""0[xX][0-9a-fA-F]{12,}+|"[^"\n]*+"?|(?<![0-9a-fA-F])[0-9a-fA-F]{16,}+""")
"""What may be a key: much longer than an SPI, or a string."""
_BEHIND_ALGORITHM = re.compile(r"""-[EA]\s++[^\s;]++(?:\s++\#[^\n]*+)*+(\s++(?!-)[^\s;]++(?:\s++(?!-)[^\s;]{6,}+)*+)""")
"""Where a key stands, whatever it looks like: one that is no key for a slip in it is not shown either."""
_SHOWN_BEFORE = 8_192
"""So far before its line an algorithm is looked for to which a key may belong."""
_KEY_LETTER = re.compile(r"""(?<!\S)0[xX]|[^\s"]""")
_COMMAND = re.compile(r"[a-z]++")


@dataclass(frozen=True, slots=True)
class Source:
    """One text with its name. It may hold keys, and so has no repr."""

    file: str
    text: str = field(repr=False)
    _breaks: list[int] = field(default_factory=list, init=False, repr=False, compare=False)
    """Where lines end; looked for once, for there may be many problems in many lines."""

    def problem(self, start: int, end: int, what: str, what_to_do: str = "") -> Problem:
        """Tell what is wrong between two places, with the line and a mark under it. Keys are not shown."""
        first = self.text.rfind("\n", 0, start) + 1
        last = self.text.find("\n", start)
        line = self.text[first : len(self.text) if last < 0 else last]
        shown = _shown(self._without_keys(first, line), start - first, max(1, min(end, first + len(line)) - start))
        return Problem(f"{what}\n{shown}", f"{self.file}:{self.line(start)}:{start - first + 1}", what_to_do)

    def blame(self, at: int, what: str, what_to_do: str = "") -> Problem:
        """Tell what is wrong with the statement that begins at a place; the mark is under its command."""
        word = _COMMAND.match(self.text, max(at, 0))
        return self.problem(max(at, 0), word.end() if word else at + 1, what, what_to_do)

    def line(self, at: int) -> int:
        """Give the number of the line that a place lies in."""
        if not self._breaks:
            self._breaks.extend(match.start() for match in re.finditer("\n", self.text))
        return bisect_left(self._breaks, at) + 1

    def _without_keys(self, first: int, line: str) -> str:
        """Give the line with stars where keys stand, so that the mark still stands under its place."""
        safe, last = _SECRETS.sub(_stars, line), first + len(line)
        for match in _BEHIND_ALGORITHM.finditer(self.text, max(0, first - _SHOWN_BEFORE), last):
            start, end = max(match.start(1), first) - first, match.end(1) - first
            if end > 0:
                safe = safe[:start] + _KEY_LETTER.sub(_star, safe[start:end]) + safe[end:]
        return safe


def _shown(line: str, column: int, width: int) -> str:
    """Give the line and under it the mark; of a long line the part around the place."""
    safe = "".join(letter if letter.isprintable() else " " for letter in line)
    begin = 0
    if len(safe) > MAX_SHOWN_CHARACTERS:
        begin = max(0, min(column - MAX_SHOWN_CHARACTERS // 2, len(safe) - MAX_SHOWN_CHARACTERS))
        safe = safe[begin : begin + MAX_SHOWN_CHARACTERS]
    mark = " " * (column - begin) + "^" * max(1, min(width, len(safe) - (column - begin)))
    return f"    {safe.rstrip()}\n    {mark}"


def _stars(match: re.Match[str]) -> str:
    """Hide a key and keep its length, so that the mark still stands under its place."""
    text = match[0]
    if text[0] == '"':
        closed = len(text) > 1 and text[-1] == '"'
        return '"' + "*" * (len(text) - 1 - closed) + '"' * closed
    return text[:2] + "*" * (len(text) - 2) if text[1] in "xX" else "*" * len(text)


def _star(match: re.Match[str]) -> str:
    """Hide a letter of a key; that it is hexadecimal may be seen."""
    return match[0] if len(match[0]) > 1 else "*"
