"""The log: sentences with fields, as text for people or as JSON lines for machines. Never key material.

Topics are told in detail while somebody wants them: to the log book and its followers, and to the log itself where
that is written at the level of debugging.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from typing import Any, TextIO

from culvert.control.log_lines import text_of
from culvert.daemon.log_book import FIELDS, TOPIC, Entry, LogBook
from culvert.daemon.topics import Topics

LOGGER = "culvert"


class Journal:
    """What the rooms above write to. A message is a sentence; who and how much are fields."""

    def __init__(self, logger: logging.Logger | None = None, book: LogBook | None = None) -> None:
        self._logger = logger or logging.getLogger(LOGGER)
        self.book = book or LogBook()
        self.topics = Topics()

    def debug(self, sentence: str, **fields: object) -> None:
        self.log(logging.DEBUG, sentence, **fields)

    def info(self, sentence: str, **fields: object) -> None:
        self.log(logging.INFO, sentence, **fields)

    def warning(self, sentence: str, **fields: object) -> None:
        """Something that a human should look at."""
        self.log(logging.WARNING, sentence, **fields)

    def error(self, sentence: str, **fields: object) -> None:
        self.log(logging.ERROR, sentence, **fields)

    def bug(self, sentence: str, error: BaseException, **fields: object) -> None:
        """An exception that nobody expected: what it says and where it was raised, without the values of variables."""
        frames = traceback.extract_tb(error.__traceback__)
        trace = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-12:]))
        self.error(sentence, error=f"{type(error).__name__}: {error}", trace=trace, **fields)

    def log(self, level: int, sentence: str, **fields: object) -> None:
        """Write at one of the standard library's levels. Fields that are None or empty are left out."""
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", sentence, extra={FIELDS: _present(fields), TOPIC: ""})

    def tell(self, topic: str, sentence: str, **fields: object) -> None:
        """Tell a detail of a topic, if that is on."""
        if topic in self.topics.on:
            extra = {FIELDS: _present(fields), TOPIC: topic}
            record = self._logger.makeRecord(
                self._logger.name, logging.DEBUG, "", 0, "%s", (sentence,), None, None, extra
            )
            self._logger.handle(record)


def _present(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None and value != ""}


class TextFormatter(logging.Formatter):
    """`2026-01-31 15:04:05 The tunnel is up. peer=warehouse`; the level where it is not INFO."""

    def format(self, record: logging.LogRecord) -> str:
        return text_of(_document(record))


class JsonFormatter(logging.Formatter):
    """One object a line: `time`, `level`, `message`, and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_document(record), default=str)


def set_up(*, as_json: bool, level: int = logging.INFO, stream: TextIO | None = None) -> Journal:
    """Make the program's log write to `stream` (standard error), and be kept in a book, and nothing else."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    handler.setLevel(level)
    book = LogBook()
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [handler, book]
    logger.propagate = False
    logger.setLevel(level)
    return Journal(logger, book)


def _document(record: logging.LogRecord) -> dict[str, Any]:
    fields, topic = getattr(record, FIELDS, {}), getattr(record, TOPIC, "")
    return Entry(0, record.created, record.levelno, record.getMessage(), topic, fields).line()
