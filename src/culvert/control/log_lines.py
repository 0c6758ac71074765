"""Lines of the log as the control socket has them and as people read them, and the topics that can be turned up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

TOPICS = ("ike", "esp", "spd", "net")
"""Key exchange; packets that are dropped and associations; policies, acquires, fence; routes, rules, sysctls."""
ALL, NONE = "all", "none"
HEAD = ("time", "level", "message", "topic")
"""Keys of every line, `topic` of those that debugging brought; the others are fields."""


class UnknownTopicError(ValueError):
    """A word that is no topic; the text has those that are."""


def topics_of(words: Iterable[str]) -> frozenset[str]:
    """Read topics as people write them: `ike,esp`, `all`, `none`. Raise UnknownTopicError."""
    found: set[str] = set()
    for word in (part for text in words for part in text.replace(",", " ").split()):
        if word == ALL:
            found |= set(TOPICS)
        elif word == NONE:
            found.clear()
        elif word in TOPICS:
            found.add(word)
        else:
            raise UnknownTopicError(f"{word!r} is no topic; there are {', '.join(TOPICS)}, {ALL} and {NONE}")
    return frozenset(found)


def text_of(line: Mapping[str, Any]) -> str:
    """`2026-01-31 15:04:05 The tunnel is up. peer=warehouse`, with its topic, or its level where that is not INFO."""
    mark = f"[{line['topic']}] " if line.get("topic") else _level(str(line.get("level", "")))
    fields = "".join(f" {name}={value}" for name, value in line.items() if name not in HEAD)
    return plain(f"{_local(str(line.get('time', '')))} {mark}{line.get('message', '')}{fields}")


def _level(level: str) -> str:
    return "" if level == "info" else f"{level.upper()} "


def _local(time: str) -> str:
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return time


def plain(value: object) -> str:
    """Keep what comes from the network from writing lines, or control sequences, of its own."""
    text = re.sub(r"\s*\n\s*", "; ", str(value))
    return text if text.isprintable() else "".join(one if one.isprintable() else "?" for one in text)
