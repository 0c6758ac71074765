import io
import json
import logging
import re

import pytest

from culvert.daemon.logging import LOGGER, set_up
from culvert.daemon.tasks import Tasks


@pytest.fixture
def restored():
    logger = logging.getLogger(LOGGER)
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate, logger.level = before


@pytest.fixture
def written(restored):
    stream = io.StringIO()
    return stream, lambda **options: set_up(stream=stream, **options)


def test_text_is_a_sentence_with_fields(written):
    stream, start = written
    start(as_json=False).warning("The peer is gone.", peer="warehouse", reason=None)
    assert stream.getvalue().endswith("WARNING The peer is gone. peer=warehouse\n")


def test_a_line_has_its_day_as_well(written):
    stream, start = written
    start(as_json=False).info("Ready.")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d Ready.\n", stream.getvalue())


def test_json_is_one_object_a_line(written):
    stream, start = written
    start(as_json=True).info("The peer is\nup.", peer="warehouse", children=2)
    document = json.loads(stream.getvalue())
    assert document.pop("time").endswith("+00:00")
    assert document == {"level": "info", "message": "The peer is\nup.", "peer": "warehouse", "children": 2}


def test_what_comes_from_the_network_writes_no_lines_of_its_own(written):
    stream, start = written
    start(as_json=False).info("A stranger came.", identity="x\n12:00:00 All is well. \x1b[31m")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_a_percent_sign_is_a_percent_sign(written):
    stream, start = written
    start(as_json=False).info("100 %s of it.", part="%d")
    assert "100 %s of it. part=%d" in stream.getvalue()


def test_less_is_written_where_less_is_wanted(written):
    stream, start = written
    journal = start(as_json=False, level=logging.WARNING)
    journal.info("Small talk.")
    assert stream.getvalue() == ""


async def test_a_task_that_fails_is_said_with_its_name(written):
    stream, start = written

    async def fail():
        raise KeyError("gone")

    task = Tasks(start(as_json=False)).spawn("watch the sky", fail())
    with pytest.raises(KeyError):
        await task
    assert "task=watch the sky" in stream.getvalue()
    assert "KeyError" in stream.getvalue()
