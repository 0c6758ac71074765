"""The log: sentences with fields, as text for people or as JSON lines for machines. Never key material."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

FIELDS = "culvert_fields"
"""Attribute of a log record that holds its fields."""
LOGGER = "culvert"


class Journal:
    """What the rooms above write to. A message is a sentence; who and how much are fields."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger(LOGGER)

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
            present = {name: value for name, value in fields.items() if value is not None and value != ""}
            self._logger.log(level, "%s", sentence, extra={FIELDS: present})


class TextFormatter(logging.Formatter):
    """`2026-01-31 15:04:05 The tunnel is up. peer=warehouse`; the level where it is not INFO."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        level = "" if record.levelno == logging.INFO else f"{record.levelname} "
        fields = "".join(f" {name}={_plain(value)}" for name, value in _fields(record).items())
        return f"{time} {level}{_plain(record.getMessage())}{fields}"


class JsonFormatter(logging.Formatter):
    """One object a line: `time`, `level`, `message`, and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        document: dict[str, Any] = {"time": time, "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps(document | _fields(record), default=str)


def set_up(*, as_json: bool, level: int = logging.INFO, stream: TextIO | None = None) -> Journal:
    """Make the program's log write to `stream` (standard error), and to nothing else."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level)
    return Journal(logger)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, FIELDS, {})
    return fields if isinstance(fields, dict) else {}


def _plain(value: object) -> str:
    """Keep what comes from the network from writing lines, or control sequences, of its own."""
    text = re.sub(r"\s*\n\s*", "; ", str(value))
    return "".join(character if character.isprintable() else "?" for character in text)
