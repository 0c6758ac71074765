"""The last lines in memory: bounded in number and length, told to those who follow."""

import json
import logging

import pytest

from culvert.daemon.log_book import MAX_FIELD_CHARACTERS, MAX_FIELDS, LogBook
from culvert.daemon.logging import Journal
from culvert.reasons import Refusal


@pytest.fixture
def journal(request):
    logger = logging.getLogger(f"culvert.test.{request.node.name}")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    book = LogBook(lines=5, topic_lines=3)
    logger.handlers[:] = [book]
    yield Journal(logger, book)
    logger.handlers.clear()


def messages(journal, *arguments):
    return [line["message"] for line in journal.book.last(*arguments)]


def test_the_last_lines_are_given_in_their_order(journal):
    for number in range(9):
        journal.info(f"line {number}")
    assert messages(journal, 3) == ["line 6", "line 7", "line 8"]
    assert messages(journal, 100) == [f"line {number}" for number in range(4, 9)]
    assert messages(journal, 0) == []


def test_a_line_has_what_json_has(journal):
    journal.warning("Gone.", peer="office", reason=Refusal.PEER_DEAD, count=3, ok=True, nothing=None, where="")
    (line,) = journal.book.last(1)
    assert line.pop("time").endswith("+00:00")
    assert json.loads(json.dumps(line)) == {
        "level": "warning",
        "message": "Gone.",
        "peer": "office",
        "reason": "PEER_DEAD",
        "count": 3,
        "ok": True,
    }


def test_what_is_below_the_level_is_not_kept_and_topics_are_while_they_are_on(journal):
    journal.debug("small talk")
    journal.tell("ike", "off")
    journal.topics.keep(frozenset({"ike"}))
    journal.tell("ike", "on")
    journal.tell("esp", "another")
    assert messages(journal, 10) == ["on"]
    assert journal.book.last(1)[0]["topic"] == "ike"


def test_topics_do_not_push_out_other_lines(journal):
    journal.topics.keep(frozenset({"ike"}))
    journal.info("kept")
    for number in range(50):
        journal.tell("ike", f"detail {number}")
    journal.info("last")
    assert messages(journal, 10) == ["kept", "detail 47", "detail 48", "detail 49", "last"]


def test_lines_of_one_peer_and_topics_of_nobody_yet(journal):
    journal.topics.keep(frozenset({"ike"}))
    journal.info("of the office", peer="office")
    journal.info("of the shop", peer="shop")
    journal.info("of nobody")
    journal.tell("ike", "a caller")
    journal.tell("ike", "the shop calls", peer="shop")
    assert messages(journal, 10, "office") == ["of the office", "a caller"]


def test_long_and_many_fields_are_cut(journal):
    journal.info("x" * 10_000, **{f"field{number}": "y" * 10_000 for number in range(100)})
    (line,) = journal.book.last(1)
    assert len(line) == MAX_FIELDS + 3
    assert {len(value) for name, value in line.items() if name not in ("time", "level")} == {MAX_FIELD_CHARACTERS}


def test_followers_are_told_what_comes_until_they_leave(journal):
    told, of_shop = [], []
    leave = journal.book.follow(told.append)
    journal.book.follow(of_shop.append, "shop")
    journal.info("one")
    journal.info("two", peer="shop")
    leave()
    leave()
    journal.info("three", peer="shop")
    assert [line["message"] for line in told] == ["one", "two"]
    assert [line["message"] for line in of_shop] == ["two", "three"]


def test_a_follower_that_fails_is_none_any_more_and_nobody_else_notices(journal):
    told = []

    def fail(_line):
        raise RuntimeError("gone")

    leave = journal.book.follow(fail)
    journal.book.follow(told.append)
    journal.info("one")
    journal.info("two")
    leave()
    assert [line["message"] for line in told] == ["one", "two"]


def test_topics_are_what_is_kept_and_what_followers_hold(journal):
    heard = []
    topics = journal.topics
    topics.watch(heard.append)
    topics.hold("one", frozenset({"ike"}))
    topics.hold("two", frozenset({"ike", "net"}))
    topics.keep(frozenset({"esp"}))
    topics.release("two")
    topics.release("two")
    topics.release("one")
    assert heard == [{"ike"}, {"ike", "net"}, {"esp", "ike", "net"}, {"esp", "ike"}, {"esp"}]
    later = []
    topics.watch(later.append)
    assert later == [{"esp"}]
