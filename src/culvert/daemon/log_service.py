"""The control methods `log` and `debug`: the last lines, the ones that come, and what is told in detail."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from culvert.control.log_lines import TOPICS, UnknownTopicError, topics_of
from culvert.control.protocol import MAX_LINE_OCTETS, Code
from culvert.daemon.log_book import MAX_LINES, MAX_TOPIC_LINES, Line
from culvert.daemon.logging import Journal
from culvert.daemon.server import MethodError, Push, Stream

Params = Mapping[str, Any]
DEFAULT_LINES = 50
MOST_LINES = MAX_LINES + MAX_TOPIC_LINES
MAX_ANSWER_OCTETS = MAX_LINE_OCTETS * 3 // 4
"""Of the lines in one answer."""
LINES = "log"
"""Name of the notification that brings lines."""


class LogService:
    """Answers requests about the log. Changing what is told is root's; reading is the group's."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def debug(self, params: Params) -> dict[str, Any]:
        """Turn topics up and the others down; without `topics` only tell which are up."""
        if "topics" in params:
            self._journal.topics.keep(_topics(params))
            on = ", ".join(sorted(self._journal.topics.on)) or "nothing"
            self._journal.info("What is told in detail is another now.", topics=on)
        return self._told()

    async def log(self, params: Params, privileged: bool) -> Any:
        """Give the last lines, and with `follow` a stream of those that come."""
        topics = _topics(params) if params.get("topics") is not None else None
        if topics and not privileged:
            raise MethodError(Code.NOT_PERMITTED, "only root may turn topics up; reading needs no `topics`")
        peer, count = _peer(params), _count(params)
        first = self._told() | {"lines": _fitting(self._journal.book.last(count, peer))}
        if params.get("follow") is not True:
            return first
        return Stream(first, lambda push: self._follow(push, peer, topics))

    def _follow(self, push: Push, peer: str, topics: frozenset[str] | None) -> Callable[[], None]:
        """Have lines told until the reader goes; then what was turned up for it goes down."""
        reader = _Reader(push)
        leave = self._journal.book.follow(reader.read, peer)
        if topics:
            self._journal.topics.hold(reader, topics)

        def end() -> None:
            leave()
            self._journal.topics.release(reader)

        return end

    def _told(self) -> dict[str, Any]:
        topics = self._journal.topics
        return {"topics": sorted(topics.on, key=TOPICS.index), "kept": sorted(topics.kept, key=TOPICS.index)}


class _Reader:
    """One who follows. Lines that it does not take in time are lost to it, and counted."""

    def __init__(self, push: Push) -> None:
        self._push = push
        self._lost = 0

    def read(self, line: Line) -> None:
        lines = [line]
        if self._lost:
            missed = {"time": line["time"], "level": "warning", "message": f"{self._lost} lines came too fast."}
            lines = [missed, line]
        self._lost = 0 if self._push(LINES, {"lines": lines}) else self._lost + 1


def _fitting(lines: list[Line]) -> list[Line]:
    """Leave out the oldest lines where all of them are more than an answer holds."""
    left, kept = MAX_ANSWER_OCTETS, 0
    for line in reversed(lines):
        left -= len(json.dumps(line))
        if left < 0:
            break
        kept += 1
    return lines[len(lines) - kept :]


def _topics(params: Params) -> frozenset[str]:
    words = params["topics"]
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise MethodError(Code.INVALID_PARAMS, "`topics` is a list of words")
    try:
        return topics_of(words)
    except UnknownTopicError as error:
        raise MethodError(Code.INVALID_PARAMS, str(error)) from None


def _peer(params: Params) -> str:
    peer = params.get("peer", "")
    if not isinstance(peer, str):
        raise MethodError(Code.INVALID_PARAMS, "`peer` is the name of a peer")
    return peer


def _count(params: Params) -> int:
    count = params.get("lines", DEFAULT_LINES)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_LINES:
        raise MethodError(Code.INVALID_PARAMS, f"`lines` is a number up to {MOST_LINES}")
    return count
