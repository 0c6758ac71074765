import asyncio
import json
import stat

import pytest

from culvert.control.client import CONTROL_SOCKET
from culvert.control.protocol import MAX_LINE_OCTETS, Code
from culvert.daemon import server as module
from culvert.daemon.logging import Journal
from culvert.daemon.server import MethodError, Server
from culvert.errors import CulvertError, Problem


async def handler(method, params, privileged):
    match method:
        case "echo":
            return {"params": dict(params), "privileged": privileged}
        case "problem":
            raise CulvertError([Problem("one", "here", "Do it."), Problem("two")])
        case "bug":
            raise KeyError("secret of the bug")
        case "wait":
            await asyncio.sleep(0.05)
            return "waited"
    raise MethodError(Code.METHOD_NOT_FOUND, "no such method")


@pytest.fixture
async def server(tmp_path):
    server = Server(tmp_path, handler, Journal())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def connection(server, tmp_path):
    reader, writer = await asyncio.open_unix_connection(tmp_path / CONTROL_SOCKET)
    yield reader, writer
    writer.close()


async def ask(connection, line):
    reader, writer = connection
    writer.write(line + b"\n")
    async with asyncio.timeout(5):
        return json.loads(await reader.readline())


def request(method, number=1, **params):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()


async def test_the_socket_is_for_root_and_the_group_alone(server, tmp_path):
    assert stat.S_IMODE((tmp_path / CONTROL_SOCKET).stat().st_mode) == 0o660


async def test_a_request_is_answered_and_we_may_do_everything(connection):
    answer = await ask(connection, request("echo", 7, a=1))
    assert answer == {"jsonrpc": "2.0", "id": 7, "result": {"params": {"a": 1}, "privileged": True}}


async def test_all_problems_of_an_error_are_told(connection):
    answer = await ask(connection, request("problem"))
    assert answer["error"]["code"] == Code.NOT_GOOD
    assert answer["error"]["data"]["problems"] == [
        {"what": "one", "where": "here", "what_to_do": "Do it."},
        {"what": "two", "where": "", "what_to_do": ""},
    ]


async def test_a_bug_is_told_without_its_insides_and_the_connection_goes_on(connection):
    answer = await ask(connection, request("bug"))
    assert answer["error"]["code"] == Code.INTERNAL_ERROR
    assert "secret" not in json.dumps(answer)
    assert (await ask(connection, request("echo")))["result"]["params"] == {}


@pytest.mark.parametrize("line", [b"rubbish", b"[1]", b'{"jsonrpc": "2.0", "id": 1, "result": 1}'])
async def test_rubbish_is_answered_with_an_error_and_the_connection_goes_on(connection, line):
    assert "error" in await ask(connection, line)
    assert "result" in await ask(connection, request("echo"))


async def test_a_line_without_end_closes_the_connection(connection):
    reader, writer = connection
    writer.write(b"a" * (MAX_LINE_OCTETS + 1))
    async with asyncio.timeout(5):
        assert "error" in json.loads(await reader.readline())
        assert await reader.read() == b""


MOST = module.MAX_CONNECTIONS + module.RESERVED_CONNECTIONS
"""We are who the daemon is."""


async def test_connections_are_bounded(server, tmp_path, monkeypatch):
    opened = [await asyncio.open_unix_connection(tmp_path / CONTROL_SOCKET) for _ in range(MOST)]
    for connection in opened:
        await ask(connection, request("echo"))
    reader, writer = await asyncio.open_unix_connection(tmp_path / CONTROL_SOCKET)
    async with asyncio.timeout(5):
        assert b"too many connections" in await reader.read()
    for _, one in [*opened, (reader, writer)]:
        one.close()


async def test_who_waits_for_an_answer_at_the_end_gets_it(server, connection):
    reader, writer = connection
    writer.write(request("wait") + b"\n")
    async with asyncio.timeout(5):
        while not server._answering:
            await asyncio.sleep(0)
        await server.stop()
        assert json.loads(await reader.readline())["result"] == "waited"
        assert await reader.read() == b""


async def test_an_old_socket_is_replaced(server, tmp_path):
    second = Server(tmp_path, handler, Journal())
    await second.start()
    reader, writer = await asyncio.open_unix_connection(tmp_path / CONTROL_SOCKET)
    assert "result" in await ask((reader, writer), request("echo"))
    writer.close()
    await second.stop()
