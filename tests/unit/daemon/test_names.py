import asyncio
import socket
import threading
from ipaddress import ip_address

import pytest

from culvert.daemon import names as subject
from culvert.daemon.fake import FakeHost
from culvert.daemon.names import MAX_LOOKUPS, Names, SystemNames

A, B = ip_address("198.51.100.1"), ip_address("198.51.100.2")


async def test_whoever_asks_the_same_shares_one_question():
    host = FakeHost({"gw.example": [A]}, {})
    host.silent["gw.example"] = None
    names = Names(host.lookup)
    first, second = names.ask("gw.example"), names.ask("gw.example")
    assert first is second
    first.set_result([A])
    assert names.addresses("gw.example") == [A]
    assert names.ask("gw.example") is first  # hardly old
    assert host.asked == ["gw.example"]


async def test_what_a_name_stood_for_serves_while_nobody_answers():
    host = FakeHost({"gw.example": [A]}, {})
    names = Names(host.lookup, fresh_s=0, patience_s=0)
    assert await names.wait(["gw.example"])
    assert names.addresses("gw.example") == [A]
    for failure in (OSError(socket.EAI_AGAIN, "try again"), TimeoutError()):
        host.silent["gw.example"] = None
        assert not await names.wait(["gw.example"])
        assert names.addresses("gw.example") == [A]
        host.silent["gw.example"].set_exception(failure)
        await names.settled(["gw.example"])
        assert names.addresses("gw.example") == [A]


async def test_a_name_that_is_no_more_is_forgotten():
    host = FakeHost({"gw.example": [A]}, {})
    names = Names(host.lookup, fresh_s=0)
    await names.wait(["gw.example"])
    host.names.clear()
    await names.wait(["gw.example"])
    with pytest.raises(OSError, match="not known"):
        names.addresses("gw.example")


async def test_a_name_that_was_never_known_is_waited_for():
    host = FakeHost({}, {})
    host.silent["gw.example"] = None
    names = Names(host.lookup, patience_s=0)
    waiting = asyncio.ensure_future(names.wait(["gw.example"]))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    host.silent["gw.example"].set_result([B])
    assert await waiting
    assert names.addresses("gw.example") == [B]


async def test_questions_to_the_system_are_few_at_a_time_and_given_up(monkeypatch):
    """Threads that hang in the system's resolver are not joined by others without end."""
    release, running, most = threading.Event(), [], []

    def hang(name):
        running.append(name)
        most.append(len(running))
        release.wait(10)
        running.remove(name)
        raise OSError(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(subject, "_lookup", hang)
    monkeypatch.setattr(subject, "LOOKUP_S", 0.2)
    system = SystemNames()
    answers = [system.lookup(f"gw{number}.example") for number in range(100)]
    done, _ = await asyncio.wait(answers)
    assert all(isinstance(one.exception(), TimeoutError) for one in done)
    assert max(most) <= MAX_LOOKUPS
    release.set()
