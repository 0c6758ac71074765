import contextlib
import os

import pytest

from culvert.cli.ready import Ready, told
from culvert.errors import CulvertError, Problem


def story(act):
    reading, writing = os.pipe()
    try:
        act(writing)
    finally:
        with os.fdopen(reading, "rb") as pipe:
            told_story = pipe.read()
    return told(told_story)


def test_ready_is_said_once_and_what_follows_is_not():
    def act(writing):
        with contextlib.suppress(CulvertError), Ready(writing) as ready:
            ready.say()
            raise CulvertError(Problem("later"))

    assert story(act) is None


def test_problems_are_told_whole():
    problems = [Problem("one", "here", "Do it."), Problem("two")]

    def act(writing):
        with pytest.raises(CulvertError), Ready(writing):
            raise CulvertError(problems)

    assert story(act) == problems


def test_an_unexpected_failure_is_a_problem_too():
    def act(writing):
        with pytest.raises(KeyError), Ready(writing):
            raise KeyError

    assert "KeyError" in str(story(act)[0])


def test_a_daemon_that_ends_without_a_word_told_nothing():
    assert told(b"") == []
    assert told(b'[{"nonsense": 1}]') == []


def test_the_engine_does_not_inherit_the_pipe():
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    ready = Ready(writing)
    assert not os.get_inheritable(writing)
    ready.say()
    os.close(reading)


def test_without_a_pipe_nothing_happens():
    with Ready(None) as ready:
        ready.say()
