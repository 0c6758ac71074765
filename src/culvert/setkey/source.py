"""The text that statements come from, and how a place in it is shown: file, line, column, the line and a mark."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from culvert.errors import Problem
from culvert.setkey.bounds import MAX_SHOWN_CHARACTERS

_SECRETS = re.compile(r"""0[xX][0-9a-fA-F]{12,}+|"[^"\n]*+"?|(?<![0-9a-fA-F])[0-9a-fA-F]{16,}+""")
"""What may be a key: much longer than an SPI, or a string."""
_COMMAND = re.compile(r"[a-z]++")


@dataclass(frozen=True, slots=True)
class Source:
    """One text with its name. It may hold keys, and so has no repr."""

    file: str
    text: str = field(repr=False)

    def problem(self, start: int, end: int, what: str, what_to_do: str = "") -> Problem:
        """Tell what is wrong between two places, with the line and a mark under it. Keys are not shown."""
        first = self.text.rfind("\n", 0, start) + 1
        last = self.text.find("\n", start)
        line = self.text[first : len(self.text) if last < 0 else last]
        number = self.text.count("\n", 0, first) + 1
        shown = _shown(line, start - first, max(1, min(end, first + len(line)) - start))
        return Problem(f"{what}\n{shown}", f"{self.file}:{number}:{start - first + 1}", what_to_do)

    def blame(self, at: int, what: str, what_to_do: str = "") -> Problem:
        """Tell what is wrong with the statement that begins at a place; the mark is under its command."""
        word = _COMMAND.match(self.text, max(at, 0))
        return self.problem(max(at, 0), word.end() if word else at + 1, what, what_to_do)

    def line(self, at: int) -> int:
        """Give the number of the line that a place lies in."""
        return self.text.count("\n", 0, at) + 1


def _shown(line: str, column: int, width: int) -> str:
    """Give the line without its keys, and under it the mark; of a long line the part around the place."""
    safe = "".join(letter if letter.isprintable() else " " for letter in _SECRETS.sub(_stars, line))
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
        return '"' + "*" * (len(text) - 2) + text[-1] if len(text) > 1 else text
    return text[:2] + "*" * (len(text) - 2) if text[1] in "xX" else "*" * len(text)
