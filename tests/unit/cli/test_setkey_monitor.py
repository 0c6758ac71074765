"""`setkey -x`: what changes, and what the data plane tells, as lines."""

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert.cli import setkey_monitor
from culvert.cli.setkey_monitor import monitor
from culvert.setkey.names import TableResolver
from culvert.setkey.parse import parse
from culvert.xfrm.events import AcquireEvent, ExpireEvent, IkeDatagram, MigrateEvent, Overrun, PathMtuEvent
from culvert.xfrm.fake import FakeEngine

ADD = f"add 192.0.2.1 198.51.100.1 esp 0x1001 -u 7 -E aes-cbc 0x{'11' * 16} -A hmac-sha1 0x{'22' * 20};"
POLICY = "spdadd 10.0.0.0/8 10.1.0.0/16[80] tcp -P out discard;"


def only(text):
    (statement,) = parse(text, "", TableResolver()).statements
    return statement


async def test_changes_of_both_tables_are_told_as_they_come(monkeypatch):
    engine = FakeEngine()
    watcher, writer = engine.connect(), engine.connect()
    lines, looked = asyncio.Queue(), asyncio.Event()
    policies = watcher.policies

    async def look():
        found = await policies()
        looked.set()
        return found

    monkeypatch.setattr(watcher, "policies", look)
    task = asyncio.create_task(monitor(watcher, lines.put_nowait, unix_time=True))

    async def line():
        clock, _, rest = (await asyncio.wait_for(lines.get(), 10)).partition(" ")
        assert float(clock) > 0
        return rest

    association = only(ADD).association
    await asyncio.wait_for(looked.wait(), 10)
    await writer.add_association(association)
    assert await line() == "add esp 192.0.2.1 198.51.100.1 spi=0x00001001 reqid=7 mode=any\n"
    await writer.add_policy(only(POLICY).policy)
    assert (await line()).startswith("add policy 10.0.0.0/8[any] 10.1.0.0/16[80] tcp out discard spid=")
    await writer.delete_association(association.id)
    await writer.add_association(replace(association, spi=0x2002))
    assert await line() == "delete esp 192.0.2.1 198.51.100.1 spi=0x00001001 reqid=7 mode=any\n"
    assert await line() == "add esp 192.0.2.1 198.51.100.1 spi=0x00002002 reqid=7 mode=any\n"
    writer.close()
    engine.close()
    await asyncio.wait_for(task, 10)
    watcher.close()


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            AcquireEvent(7, ip_address("10.0.0.1"), ip_address("10.1.0.1"), 6, ip_address("192.0.2.1")),
            "acquire 10.0.0.1 10.1.0.1 protocol=6 reqid=7 gateway=192.0.2.1",
        ),
        (
            AcquireEvent(0, ip_address("::1"), ip_address("::2"), 58, ip_address("::")),
            "acquire ::1 ::2 protocol=58 reqid=0",
        ),
        (ExpireEvent(only(ADD).association.id, True, 7), "expire hard esp 0x00001001 to 198.51.100.1 reqid=7"),
        (PathMtuEvent(ip_address("192.0.2.1"), 1280), "pathmtu 192.0.2.1 1280"),
        (MigrateEvent(()), "migrate 0"),
        (Overrun(), "overrun: events were lost"),
    ],
)
def test_events_are_lines(event, line):
    assert setkey_monitor._told(event) == line


def test_messages_of_ike_are_not_told():
    assert setkey_monitor._told(IkeDatagram(None, None, b"secret")) is None
