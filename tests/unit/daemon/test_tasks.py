import asyncio
from pathlib import Path

import pytest

import culvert
from culvert.daemon.tasks import Tasks


def test_tasks_are_born_nowhere_else():
    """A task that nobody holds is collected while it runs, and its failure is said to nobody."""
    source = Path(culvert.__file__).parent
    births = [
        path.relative_to(source).as_posix()
        for path in sorted(source.rglob("*.py"))
        if any(word in path.read_text() for word in ("create_task(", "ensure_future("))
    ]
    assert births == ["daemon/tasks.py"]


async def test_cancelling_all_ends_all_but_the_one_that_asks(world):
    tasks = Tasks(world.journal)
    forever = tasks.spawn("forever", asyncio.Event().wait())
    ended = []

    async def end():
        await tasks.cancel_all()
        ended.append(True)

    await tasks.spawn("end", end())
    assert forever.cancelled()
    assert ended == [True]


async def test_what_an_awaited_task_raises_is_its_awaiters_alone(world, caplog):
    async def fail():
        raise KeyError

    with pytest.raises(KeyError):
        await Tasks(world.journal).spawn("fail", fail(), awaited=True)
    assert caplog.text == ""
