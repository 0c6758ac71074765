"""Somebody outside who judges every packet as it passes, for as long as a story takes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_network

from culvert.capture.packets import ETHERTYPE_IPV4, ETHERTYPE_IPV6, Captured
from culvert.capture.summary import summarise
from culvert.capture.tap import Tap
from culvert.lab.host import Host

Judge = Callable[[Captured], bool]


class Sentry:
    """Listens on interfaces of `host` from the beginning of the block to its end; keeps what `judge` finds."""

    def __init__(self, host: Host, interfaces: Iterable[str], judge: Judge) -> None:
        self._host, self._interfaces, self._judge = host, tuple(interfaces), judge
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sentry", daemon=True)
        self._found: list[Captured] = []
        self._passed = 0

    def __enter__(self) -> Sentry:
        self._taps = [self._host.call(lambda interface=one: Tap(interface)) for one in self._interfaces]
        self._thread.start()
        self._tasks = [self._in_loop(self._begin(tap)) for tap in self._taps]
        return self

    def __exit__(self, *_: object) -> None:
        self._in_loop(_end(self._tasks))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def found(self) -> list[Captured]:
        """Give what was found so far; what was sent before this call is in it. Nothing may have been missed."""
        self._in_loop(self._take_all())
        missed = sum(tap.lost() for tap in self._taps)
        assert not missed, f"{missed} packets were not seen"
        return list(self._found)

    @property
    def passed(self) -> int:
        """How many packets of any kind were judged."""
        return self._passed

    def _in_loop(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _begin(self, tap: Tap) -> asyncio.Task[None]:
        tap.__enter__()
        return asyncio.get_running_loop().create_task(self._watch(tap))

    async def _watch(self, tap: Tap) -> None:
        try:
            while True:
                await tap.wait()
                self._take(tap)
        finally:
            tap.__exit__(None, None, None)

    async def _take_all(self) -> None:
        for tap in self._taps:
            self._take(tap)

    def _take(self, tap: Tap) -> None:
        packets = tap.take()
        self._passed += len(packets)
        self._found += filter(self._judge, packets)


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def readable(mark: bytes, networks: Iterable[str]) -> Judge:
    """Build a judge that finds the mark anywhere, or an address of the networks at either end of an IP packet."""
    prefixes = {4: [], 6: []}
    for network in map(ip_network, networks):
        assert network.prefixlen % 8 == 0
        prefixes[network.version].append(network.network_address.packed[: network.prefixlen // 8])
    ends = {ETHERTYPE_IPV4: ((12, 16), tuple(prefixes[4])), ETHERTYPE_IPV6: ((8, 24), tuple(prefixes[6]))}

    def judge(packet: Captured) -> bool:
        starts, private = ends.get(packet.ethertype, ((), ()))
        return mark in packet.octets or any(packet.octets.startswith(private, start) for start in starts)

    return judge


def shown(packets: Iterable[Captured], most: int = 5) -> Iterator[str]:
    """Give the first of them in tcpdump's manner."""
    for packet, _ in zip(packets, range(most), strict=False):
        yield summarise(packet)
