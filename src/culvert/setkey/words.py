"""Cuts text into statements and statements into words.

Words carry no places, for 100,000 statements have two million of them: where something is wrong, its statement is cut
once more, with places. No expression here can backtrack: each repetition is possessive, and its parts begin
differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

COMMANDS = (
    "add",
    "bye",
    "delete",
    "deleteall",
    "dump",
    "exit",
    "flush",
    "get",
    "getspi",
    "quit",
    "spdadd",
    "spddelete",
    "spddump",
    "spdflush",
    "spdupdate",
    "update",
)

_STATEMENT = re.compile(r"""[^;#"]*+(?:(?:\#[^\n]*+|"[^"\n]*+"?)[^;#"]*+)*+;""")
_NOTHING = re.compile(r"""(?:\s++|\#[^\n]*+)*+""")
_WORD = re.compile(r"""[^\s/\[\]"\#;]++|[/\[\]]|"[^"\n]*+"?|\#[^\n]*+""")
_BEGINNING = re.compile(rf"^[^\S\n]*+({'|'.join(COMMANDS)})(?![^\s;#])", re.MULTILINE)


class Wrong(Exception):  # noqa: N818 - it reads as a sentence where it is raised
    """Something is wrong at the word number `index` of a statement; one past the last: behind its end."""

    def __init__(self, index: int, what: str, what_to_do: str = "") -> None:
        super().__init__(what)
        self.index, self.what, self.what_to_do = index, what, what_to_do


class Words:
    """The words of one statement and how far they are read. Quoted strings keep their quotes."""

    __slots__ = ("_padded", "all", "at")

    def __init__(self, words: list[str]) -> None:
        self.all = words
        self._padded = [*words, "", "", ""]
        self.at = 0

    def next(self, wanted: str) -> str:
        """Give the next word. Raise Wrong where there is none; `wanted` says what it would be."""
        at = self.at
        if at >= len(self.all):
            raise Wrong(at, f"{wanted} is missing before the `;`")
        self.at = at + 1
        return self.all[at]

    def peek(self, ahead: int = 0) -> str:
        """Give the next word, or one of the two behind it, and leave it; empty where there is none."""
        return self._padded[self.at + ahead]

    def take(self, word: str) -> bool:
        """Pass over the next word where it is this one."""
        if self._padded[self.at] != word:
            return False
        self.at += 1
        return True

    def wrong(self, what: str, what_to_do: str = "") -> Wrong:
        """Blame the word that was read last."""
        return Wrong(max(self.at - 1, 0), what, what_to_do)

    def end(self) -> None:
        """Raise Wrong where a word is left."""
        if self.at < len(self.all):
            raise Wrong(self.at, "nothing more was expected here", "End the statement with `;` before this.")


def statements(text: str) -> Iterator[tuple[int, int]]:
    """Give where each statement begins and ends, its `;` included; the last one may lack it.

    Blanks and comments before a statement are none of it: there may be very many.
    """
    at = 0
    while match := _STATEMENT.match(text, at):
        yield beginning(text, at), match.end()
        at = match.end()
    if (at := beginning(text, at)) < len(text):
        yield at, len(text)


def beginning(text: str, at: int) -> int:
    """Give the place of the first word from a place on, or the end of the text."""
    match = _NOTHING.match(text, at)
    return match.end() if match else at


def cut(statement: str) -> list[str]:
    """Give the words of a statement."""
    words = _WORD.findall(statement)
    if "#" in statement:
        return [word for word in words if word[0] != "#"]
    return words


def places(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Give where each word of the statement between `start` and `end` begins and ends."""
    return [match.span() for match in _WORD.finditer(text, start, end) if match[0][0] != "#"]


def beginnings(text: str, start: int, end: int) -> list[int]:
    """Give the places of commands that begin a line: there a statement begins, whatever was forgotten before."""
    return [match.start(1) for match in _BEGINNING.finditer(text, start, end)]
