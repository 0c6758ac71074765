"""Work that anything may ask for is done once for all who asked, and never forgotten."""

import asyncio

from culvert.daemon import pacing
from culvert.daemon.pacing import Paced
from culvert.daemon.tasks import Tasks


class Work:
    """Takes as long as `go` is not set; fails so many times."""

    def __init__(self, world, failures=0):
        self.runs, self.failures, self.go = 0, failures, asyncio.Event()
        self.go.set()
        self.lock = asyncio.Lock()
        self.paced = Paced("work", self._run, self.lock, clock=world.parts.clock, tasks=Tasks(world.journal))

    async def _run(self):
        self.runs += 1
        if self.runs <= self.failures:
            raise RuntimeError("a fault of its own")
        await self.go.wait()


async def turns():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_asked_while_others_hold_the_lock_is_met_by_one_run(world):
    work = Work(world)
    async with work.lock:
        for _ in range(5):
            work.paced.ask()
            await turns()
    await turns()
    assert work.runs == 1


async def test_what_is_asked_while_it_runs_is_met_by_another(world):
    work = Work(world)
    work.go.clear()
    work.paced.ask()
    await turns()
    for _ in range(5):
        work.paced.ask()
    work.go.set()
    await asyncio.sleep(0.01)
    assert work.runs == 2


async def test_what_is_asked_is_not_forgotten_where_the_work_fails(world, monkeypatch):
    monkeypatch.setattr(pacing, "REST", 0)
    work = Work(world, failures=1)
    work.paced.ask()
    await turns()
    work.paced.ask()
    await turns()
    assert work.runs == 2
    work.paced.ask()
    await turns()
    assert work.runs == 3


async def test_it_rests_nine_times_as_long_as_it_took(world, monkeypatch):
    rests = []

    async def rest(seconds):
        rests.append(seconds)

    work = Work(world)
    now = iter((0, 2_000_000_000))
    work.paced._clock = type("Ticking", (), {"now": lambda _self: next(now)})()
    monkeypatch.setattr(pacing.asyncio, "sleep", rest)
    work.paced._wanted = True
    await work.paced._run()
    assert rests == [18]
