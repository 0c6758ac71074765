"""The methods `log` and `debug`, and streams over the control socket."""

import asyncio
import json
import logging
from functools import partial

import pytest

from culvert.control.client import CONTROL_SOCKET
from culvert.control.protocol import MAX_LINE_OCTETS, Code, Response, encode
from culvert.daemon import server as server_module
from culvert.daemon.log_book import LogBook
from culvert.daemon.log_service import LogService
from culvert.daemon.logging import Journal
from culvert.daemon.server import MethodError, Server, Stream


@pytest.fixture
def journal(request):
    logger = logging.getLogger(f"culvert.test.{request.node.name}")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    book = LogBook()
    logger.handlers[:] = [book]
    yield Journal(logger, book)
    logger.handlers.clear()


@pytest.fixture
def service(journal):
    return LogService(journal)


async def test_the_last_lines_and_the_topics_that_are_on(journal, service):
    for number in range(60):
        journal.info(f"line {number}", peer="office" if number % 2 else "shop")
    answer = await service.log({}, False)
    assert len(answer["lines"]) == 50
    assert answer["topics"] == answer["kept"] == []
    answer = await service.log({"lines": 2, "peer": "office"}, False)
    assert [line["message"] for line in answer["lines"]] == ["line 57", "line 59"]


async def test_an_answer_holds_as_many_lines_as_fit(journal, service):
    for _ in range(2_000):
        journal.info("x" * 1_900)
    answer = await service.log({"lines": 2_000}, False)
    assert 300 < len(answer["lines"]) < 450
    assert len(encode(Response(1, answer))) < MAX_LINE_OCTETS


async def test_debug_turns_topics_up_and_down_for_good(journal, service):
    assert (await service.debug({"topics": ["net,ike"]}))["topics"] == ["ike", "net"]
    assert (await service.debug({}))["kept"] == ["ike", "net"]
    assert (await service.debug({"topics": ["none"]}))["topics"] == []
    assert journal.topics.on == frozenset()
    assert "What is told in detail is another now." in [line["message"] for line in journal.book.last(5)]


@pytest.mark.parametrize(
    "params",
    [
        {"lines": -1},
        {"lines": True},
        {"lines": "5"},
        {"lines": 10**9},
        {"peer": 5},
        {"topics": "ike"},
        {"topics": [5]},
        {"topics": ["pike"]},
    ],
)
async def test_wrong_parameters_are_refused(service, params):
    with pytest.raises(MethodError) as raised:
        await service.log(params, True)
    assert raised.value.code == Code.INVALID_PARAMS


async def test_only_root_may_turn_topics_up(journal, service):
    with pytest.raises(MethodError) as raised:
        await service.log({"topics": ["ike"], "follow": True}, False)
    assert raised.value.code == Code.NOT_PERMITTED
    assert journal.topics.on == frozenset()
    await service.log({"topics": []}, False)


async def test_what_a_follower_turned_up_goes_down_with_it(journal, service):
    told = []
    stream = await service.log({"topics": ["ike"], "follow": True}, True)
    assert isinstance(stream, Stream)
    end = stream.begin(lambda method, params: told.append((method, params)) is None)
    journal.tell("ike", "a detail")
    end()
    journal.tell("ike", "another")
    assert [(method, [line["message"] for line in params["lines"]]) for method, params in told] == [
        ("log", ["a detail"])
    ]


async def test_a_follower_that_does_not_read_is_told_how_much_it_missed(journal, service):
    told, reads = [], [True]

    def push(_method, params):
        if reads[0]:
            told.extend(line["message"] for line in params["lines"])
        return reads[0]

    stream = await service.log({"follow": True}, False)
    stream.begin(push)
    journal.info("one")
    reads[0] = False
    for number in range(7):
        journal.info(f"missed {number}")
    reads[0] = True
    journal.info("two")
    journal.info("three")
    assert told == ["one", "7 lines came too fast.", "two", "three"]


# --- over the socket ---


@pytest.fixture
async def connected(journal, service, tmp_path):
    async def handle(method, params, privileged):
        return await (service.log(params, privileged) if method == "log" else service.debug(params))

    server = Server(tmp_path, handle, journal)
    await server.start()
    yield partial(asyncio.open_unix_connection, tmp_path / CONTROL_SOCKET)
    await server.stop()


def request(method, **params):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n"


async def line_of(reader):
    async with asyncio.timeout(5):
        return json.loads(await reader.readline())


async def test_lines_follow_the_answer_and_other_requests_are_answered_meanwhile(journal, connected):
    reader, writer = await connected()
    writer.write(request("log", follow=True, topics=["ike"]))
    assert (await line_of(reader))["result"]["lines"] == []
    journal.tell("ike", "a detail", peer="office")
    told = await line_of(reader)
    assert told["method"] == "log"
    assert [(one["message"], one["peer"]) for one in told["params"]["lines"]] == [("a detail", "office")]
    writer.write(request("debug"))
    assert (await line_of(reader))["result"] == {"topics": ["ike"], "kept": []}
    writer.close()
    async with asyncio.timeout(5):
        while journal.topics.on:
            await asyncio.sleep(0)


async def test_a_second_stream_takes_the_place_of_the_first(journal, connected):
    reader, writer = await connected()
    for topics in (["ike"], ["net"]):
        writer.write(request("log", follow=True, topics=topics))
        await line_of(reader)
    assert journal.topics.on == {"net"}
    journal.info("once")
    assert len((await line_of(reader))["params"]["lines"]) == 1
    writer.write(request("debug"))
    assert "result" in await line_of(reader)
    writer.close()


async def test_a_reader_that_stops_reading_costs_a_bounded_amount(journal, connected, monkeypatch):
    monkeypatch.setattr(server_module, "MAX_UNREAD_OCTETS", 100_000)
    reader, writer = await connected()
    writer.write(request("log", follow=True))
    await line_of(reader)
    for _ in range(3_000):
        journal.info("x" * 1_500)
    seen, said = 0, "x"
    while said.startswith(("x", "the last")):
        said = (await line_of(reader))["params"]["lines"][0]["message"]
        journal.info("the last")
        seen += 1
    assert said.endswith("lines came too fast.")
    assert seen < 1_500
    writer.close()


async def test_who_follows_sees_the_end_of_the_gateway(journal, service, tmp_path):
    async def handle(_method, params, privileged):
        return await service.log(params, privileged)

    server = Server(tmp_path, handle, journal)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(tmp_path / CONTROL_SOCKET)
    writer.write(request("log", follow=True, topics=["all"]))
    await line_of(reader)
    async with asyncio.timeout(5):
        await server.stop()
        assert await reader.read() == b""
    assert journal.topics.on == frozenset()
    journal.info("nobody is told")
    writer.close()
