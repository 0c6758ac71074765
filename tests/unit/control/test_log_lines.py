"""Lines of the log as people read them, and topics as people write them."""

import re

import pytest

from culvert.control.log_lines import TOPICS, UnknownTopicError, text_of, topics_of

LINE = {"time": "2026-01-31T15:04:05.000+00:00", "level": "info", "message": "The tunnel is up.", "peer": "office"}


def test_a_line_is_its_time_its_sentence_and_its_fields() -> None:
    assert re.fullmatch(r"2026-0[12]-\d\d \d\d:\d\d:05 The tunnel is up. peer=office", text_of(LINE))


def test_the_level_is_shown_where_it_is_not_info_and_the_topic_in_its_place() -> None:
    assert " WARNING The tunnel" in text_of(LINE | {"level": "warning"})
    assert " [ike] The tunnel" in text_of(LINE | {"level": "debug", "topic": "ike"})


def test_a_line_of_anything_is_one_line_without_control_characters() -> None:
    hostile = {"time": "now\x1b[2J", "level": "lo\nud", "message": "a\r\nb\x00", "peer": "\u202ex\x07", "\x1b": "k"}
    text = text_of(hostile)
    assert text.isprintable()
    assert "\n" not in text


def test_a_line_without_anything_is_no_failure() -> None:
    assert text_of({}).strip() == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ike"], {"ike"}),
        (["ike,esp", "net"], {"ike", "esp", "net"}),
        (["ike esp"], {"ike", "esp"}),
        (["all"], set(TOPICS)),
        (["all", "none"], set()),
        (["none,spd"], {"spd"}),
        ([], set()),
        ([""], set()),
    ],
)
def test_topics_are_words(words: list[str], expected: set[str]) -> None:
    assert topics_of(words) == expected


def test_a_word_that_is_no_topic_is_answered_with_those_that_are() -> None:
    with pytest.raises(UnknownTopicError, match="'pike' is no topic; there are ike, esp, spd, net, all and none"):
        topics_of(["ike,pike"])
