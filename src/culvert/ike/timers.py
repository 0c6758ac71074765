"""The one timer table: every deadline of the IKE core has a name and an owner."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Timer(StrEnum):
    """What a deadline is for. The owner is a peer's name, an IKE SA's SPI in hex, or a child's inbound SPI; of
    TASK_RETRY and CERTIFICATE, a lineage's number; of RETIRE, a reqid.
    """

    RETRANSMIT = "retransmit"
    HALF_OPEN = "half-open"
    LAST_CHANCE = "last-chance"
    LIVENESS = "liveness"
    KEEPALIVE = "keepalive"
    IKE_REKEY = "ike-rekey"
    IKE_HARD = "ike-hard"
    IKE_LINGER = "ike-linger"
    REASSEMBLY = "reassembly"
    CHILD_REKEY = "child-rekey"
    CHILD_HARD = "child-hard"
    PFS_TRIAL = "pfs-trial"
    OUTBOUND_SWITCH = "outbound-switch"
    INBOUND_GRACE = "inbound-grace"
    RETIRE = "retire"
    ANEW = "anew"
    TASK_RETRY = "task-retry"
    CERTIFICATE = "certificate"
    RECONNECT = "reconnect"
    NEXT_PATH = "next-path"
    CHILD_CHECK = "child-check"
    SETTLE = "settle"


Owner = str | int
Key = tuple[Timer, Owner]


@dataclass(slots=True)
class Timers:
    """Instants in nanoseconds. Setting a timer again moves it; equal instants come in the order they were set."""

    _due: dict[Key, tuple[int, int]] = field(default_factory=dict)
    _heap: list[tuple[int, int, Key]] = field(default_factory=list)
    _count: int = 0
    _running: Counter[Timer] = field(default_factory=Counter)

    def set(self, timer: Timer, owner: Owner, at: int) -> None:
        self._count += 1
        self._running[timer] += (timer, owner) not in self._due
        self._due[timer, owner] = (at, self._count)
        heapq.heappush(self._heap, (at, self._count, (timer, owner)))
        if len(self._heap) > 64 + 4 * len(self._due):
            self._rebuild()

    def clear(self, timer: Timer, owner: Owner) -> None:
        if self._due.pop((timer, owner), None):
            self._running[timer] -= 1

    def clear_all(self, owner: Owner) -> None:
        """Forget every timer of `owner`."""
        for timer in Timer:
            self.clear(timer, owner)

    def at(self, timer: Timer, owner: Owner) -> int | None:
        """Give the instant of a timer, or None where it is not set."""
        due = self._due.get((timer, owner))
        return due[0] if due else None

    def instants(self) -> list[tuple[int, Key]]:
        """Give what is set and when it is due, in that order."""
        ordered = sorted(self._due.items(), key=lambda item: item[1])
        return [(at, key) for key, (at, _) in ordered]

    def count(self, timer: Timer) -> int:
        """Count the timers of a kind, whoever's."""
        return self._running[timer]

    def next(self) -> tuple[int, Key] | None:
        """Give the earliest deadline, or None."""
        while self._heap:
            at, count, key = self._heap[0]
            if self._due.get(key) == (at, count):
                return at, key
            heapq.heappop(self._heap)
        return None

    def pop(self, now: int) -> Key | None:
        """Take the earliest deadline that has come, or give None."""
        due = self.next()
        if due is None or due[0] > now:
            return None
        heapq.heappop(self._heap)
        self.clear(*due[1])
        return due[1]

    def _rebuild(self) -> None:
        self._heap = [(at, count, key) for key, (at, count) in self._due.items()]
        heapq.heapify(self._heap)
