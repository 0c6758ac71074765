"""Reads a text of statements whole: either what it says, or everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter

from culvert.errors import Problem
from culvert.setkey import associations, policies
from culvert.setkey.bounds import (
    MAX_FILE_CHARACTERS,
    MAX_LINE_CHARACTERS,
    MAX_PROBLEMS,
    MAX_STATEMENT_CHARACTERS,
    MAX_STATEMENTS,
)
from culvert.setkey.context import Context
from culvert.setkey.endpoints import Endpoints
from culvert.setkey.names import Names, Resolver
from culvert.setkey.rehearse import Tables, rehearse
from culvert.setkey.source import Source
from culvert.setkey.statements import AddAssociation, AddPolicy, Exit, Statement
from culvert.setkey.words import COMMANDS, Words, Wrong, beginnings, cut, places, statements

Reader = Callable[[Words, Context], Iterator[Statement]]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text says. Where there are problems, `statements` are those that have none.

    Problems and warnings are in the order of the text; each shows its line without keys.
    """

    source: Source
    statements: tuple[Statement, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def parse(text: str, file: str, resolver: Resolver, *, legacy: bool = False) -> Parsed:
    """Read all statements of `text`. `file` names it in problems. Octets that are not UTF-8 are surrogates in it.

    `legacy` allows algorithms that RFC 8221 advises against. Nothing is raised but what `resolver` raises besides
    UnknownNameError.
    """
    source = Source(file, text)
    if problem := _oversized(source):
        return Parsed(source, (), (problem,), ())
    reading = _Reading(source, Context(Endpoints(Names(resolver)), legacy))
    reading.run()
    reading.take_back_repeated()
    problems = tuple(problem for _, problem in sorted(reading.problems, key=itemgetter(0)))
    return Parsed(source, tuple(reading.found), problems, tuple(reading.warnings))


def _oversized(source: Source) -> Problem | None:
    if len(source.text) > MAX_FILE_CHARACTERS:
        return Problem(f"the text is longer than {MAX_FILE_CHARACTERS} characters", source.file, "Divide it.")
    for number, line in enumerate(source.text.split("\n"), 1):
        if len(line) > MAX_LINE_CHARACTERS:
            what = f"the line is longer than {MAX_LINE_CHARACTERS} characters"
            return Problem(what, f"{source.file}:{number}", "Divide it: a statement may take several lines.")
    return None


class _FullError(Exception):
    """There is no use in reading on."""


class _Reading:
    """One text, what was found in it so far, and what is wrong."""

    def __init__(self, source: Source, context: Context) -> None:
        self._source, self._context = source, context
        self.found: list[Statement] = []
        self.problems: list[tuple[int, Problem]] = []
        self.warnings: list[Problem] = []

    def run(self) -> None:
        """Read until the end, or an `exit`."""
        try:
            for start, end in statements(self._source.text):
                if self._one(start, end):
                    return
        except _FullError:
            return

    def take_back_repeated(self) -> None:
        """Tell of what the text itself has twice, and have it once."""
        objections = rehearse(self.found, Tables.unknown())
        if not objections:
            return
        refused = {id(objection.statement) for objection in objections}
        self.found = [statement for statement in self.found if id(statement) not in refused]
        first = {_name(statement): statement.at for statement in reversed(self.found)}
        for objection in objections[: max(0, MAX_PROBLEMS - len(self.problems))]:
            at, there = objection.statement.at, first.get(_name(objection.statement))
            what = objection.what if there is None else f"{objection.what}: line {self._source.line(there)}"
            self.problems.append((at, self._source.blame(at, what, objection.what_to_do)))

    def _one(self, start: int, end: int) -> bool:
        """Read one statement. Give True where it is the last one."""
        text = self._source.text
        if end - start > MAX_STATEMENT_CHARACTERS:
            return self._parts(start, end, None)
        statement = text[start:end]
        words = cut(statement)
        if not words:
            return False
        if text[end - 1] != ";":
            return self._parts(start, end, None)
        self._context.at = start
        try:
            found = self._read(words)
        except Wrong as wrong:
            return self._parts(start, end, wrong)
        self._take(found)
        self._warn(start, end)
        return isinstance(found[0], Exit)

    def _read(self, words: list[str]) -> list[Statement]:
        """Raise Wrong."""
        reader = _READERS.get(words[0])
        if reader is None:
            raise Wrong(0, "there is no command of this name", f"There are {', '.join(sorted(_READERS))}.")
        cursor = Words(words)
        cursor.at = 1
        return list(reader(cursor, self._context))

    def _take(self, found: list[Statement]) -> None:
        self.found += found
        if len(self.found) > MAX_STATEMENTS:
            del self.found[MAX_STATEMENTS:]
            self._problem(self._context.at, self._context.at + 1, f"{MAX_STATEMENTS} statements are the most")
            raise _FullError

    def _warn(self, start: int, end: int) -> None:
        if self._context.warnings:
            spans = places(self._source.text, start, end)
            for warned in self._context.warnings:
                self.warnings.append(self._source.problem(*spans[warned.index], warned.what, warned.what_to_do))
            self._context.warnings.clear()

    def _parts(self, start: int, end: int, wrong: Wrong | None) -> bool:
        """Look for the `;` that was forgotten: where a command begins a line inside, a statement ended before it."""
        inside = beginnings(self._source.text, start, end)
        spans = places(self._source.text, start, min(end, start + MAX_STATEMENT_CHARACTERS))
        first = spans[0][0] if spans else start
        later = [at for at in inside if at > first]
        self._context.warnings.clear()
        if not later:
            self._blame(spans, wrong)
            return False
        self._blame(places(self._source.text, start, later[0]), None)
        for begin, after in zip(later, [*later[1:], end], strict=True):
            if after == end and self._source.text[end - 1] == ";":
                return self._one(begin, end)
            self._blame(places(self._source.text, begin, after), None)
        return False

    def _blame(self, spans: list[tuple[int, int]], wrong: Wrong | None) -> None:
        """Tell what is wrong with the words at `spans`; without a cause, it is that their `;` is missing."""
        if not spans:
            return
        if wrong is None:
            wrong = self._cause(spans)
        place = spans[wrong.index] if wrong.index < len(spans) else (spans[-1][1], spans[-1][1] + 1)
        self._problem(*place, wrong.what, wrong.what_to_do)

    def _cause(self, spans: list[tuple[int, int]]) -> Wrong:
        """Say what is wrong with a statement that does not end."""
        words = [self._source.text[start:end] for start, end in spans]
        try:
            self._read(words)
        except Wrong as wrong:
            if wrong.index < len(words):
                return wrong
        finally:
            self._context.warnings.clear()
        return Wrong(len(words), "the `;` that ends the statement is missing", "Write `;` here.")

    def _problem(self, start: int, end: int, what: str, what_to_do: str = "") -> None:
        self.problems.append((start, self._source.problem(start, end, what, what_to_do)))
        if len(self.problems) >= MAX_PROBLEMS:
            what = f"{MAX_PROBLEMS} problems were found; what follows is not read"
            self.problems.append((len(self._source.text), Problem(what, self._source.file)))
            raise _FullError


def _name(statement: Statement) -> object:
    """Give what tells the thing apart that a statement adds."""
    if isinstance(statement, AddAssociation):
        return statement.association.id
    if isinstance(statement, AddPolicy):
        return statement.policy.selector, statement.policy.direction
    return None


def _exit(words: Words, context: Context) -> Iterator[Statement]:
    words.end()
    yield Exit(context.at)


_READERS: dict[str, Reader] = {
    "add": associations.add,
    "update": associations.update,
    "get": associations.get,
    "getspi": associations.getspi,
    "delete": associations.delete,
    "deleteall": associations.deleteall,
    "flush": associations.flush,
    "dump": associations.dump,
    "spdadd": policies.spdadd,
    "spdupdate": policies.spdupdate,
    "spddelete": policies.spddelete,
    "spdflush": policies.spdflush,
    "spddump": policies.spddump,
    **dict.fromkeys(("exit", "quit", "bye"), _exit),
}
assert tuple(sorted(_READERS)) == COMMANDS  # noqa: S101 - two lists of one thing
