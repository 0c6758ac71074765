"""The last lines of the log in memory, and those who follow it. What debugging brings does not push out the rest."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import merge
from typing import Any

MAX_LINES = 2_000
"""Ordinary lines: of a thousand peers whose tunnels come up, one each and one more."""
MAX_TOPIC_LINES = 4_000
"""Lines of topics: some twenty set-ups with all that is in their messages."""
MAX_FIELDS = 24
"""Fields of one line; none of ours has half of it."""
MAX_FIELD_CHARACTERS = 2_000
"""Longest field and longest sentence, as the IKE core has it."""
FIELDS, TOPIC = "culvert_fields", "culvert_topic"
"""Attributes of a log record that hold its fields and its topic."""

Line = dict[str, Any]
Follower = Callable[[Line], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line as it is kept: `created` in seconds since 1970, `fields` by name."""

    number: int
    created: float
    level: int
    message: str
    topic: str = ""
    fields: dict[str, object] = field(default_factory=dict)

    def line(self) -> Line:
        """Give the values that JSON has. What is too long is cut: a peer may have had a hand in it."""
        time = datetime.fromtimestamp(self.created, UTC).isoformat(timespec="milliseconds")
        head: Line = {"time": time, "level": logging.getLevelName(self.level).lower(), "message": cut(self.message)}
        if self.topic:
            head["topic"] = self.topic
        return head | {name: _value(value) for name, value in list(self.fields.items())[:MAX_FIELDS]}


def _value(value: object) -> Any:
    return value if isinstance(value, bool | int | float) or value is None else cut(str(value))


def cut(text: str) -> str:
    return text if len(text) <= MAX_FIELD_CHARACTERS else f"{text[: MAX_FIELD_CHARACTERS - 4]} ..."


class LogBook(logging.Handler):
    """A handler beside the one that writes. It takes every record that reaches the logger."""

    def __init__(self, lines: int = MAX_LINES, topic_lines: int = MAX_TOPIC_LINES) -> None:
        super().__init__()
        self._lines: deque[Entry] = deque(maxlen=lines)
        self._topic_lines: deque[Entry] = deque(maxlen=topic_lines)
        self._followers: list[tuple[str, Follower]] = []
        self._count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record and tell it to followers."""
        entry = self._entered(record)
        (self._topic_lines if entry.topic else self._lines).append(entry)
        for known in tuple(self._followers):
            try:
                if concerns(entry, known[0]):
                    known[1](entry.line())
            except Exception:
                # Whoever logs must not fail because somebody who listens does.
                self._followers.remove(known)

    def _entered(self, record: logging.LogRecord) -> Entry:
        self._count += 1
        fields, topic = getattr(record, FIELDS, {}), getattr(record, TOPIC, "")
        return Entry(self._count, record.created, record.levelno, record.getMessage(), topic, fields)

    def last(self, count: int, peer: str = "") -> list[Line]:
        """Give the last lines, the oldest first; of one peer, where one is named."""
        entries = merge(self._lines, self._topic_lines, key=lambda entry: entry.number)
        chosen = deque((entry for entry in entries if concerns(entry, peer)), maxlen=count)
        return [entry.line() for entry in chosen]

    def follow(self, follower: Follower, peer: str = "") -> Callable[[], None]:
        """Have every new line told, until what is returned is called."""
        known = (peer, follower)
        self._followers.append(known)
        return lambda: self._followers.remove(known) if known in self._followers else None


def concerns(entry: Entry, peer: str) -> bool:
    """Tell whether a line is one peer's. Of a message whose sender is not known yet it may be, so it is shown."""
    return not peer or entry.fields.get("peer", "" if entry.topic else None) in (peer, "")
