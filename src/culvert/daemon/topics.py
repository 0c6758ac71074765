"""What is told in detail at the moment: what was turned up for good, and what followers of the log asked for."""

from __future__ import annotations

from collections.abc import Callable

Watcher = Callable[[frozenset[str]], None]
OFF: frozenset[str] = frozenset()


class Topics:
    """`on` is what is told now; looking at it is all that a topic costs while it is off."""

    def __init__(self) -> None:
        self.on = OFF
        self.kept = OFF
        self._held: dict[object, frozenset[str]] = {}
        self._watchers: list[Watcher] = []

    def keep(self, topics: frozenset[str]) -> None:
        """Turn these up, and the others down, until somebody says otherwise."""
        self.kept = topics
        self._changed()

    def hold(self, holder: object, topics: frozenset[str]) -> None:
        """Turn these up as well, until the holder lets them go."""
        self._held[holder] = topics
        self._changed()

    def release(self, holder: object) -> None:
        if self._held.pop(holder, OFF):
            self._changed()

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` now, where anything is on, and at every change."""
        self._watchers.append(watcher)
        if self.on:
            watcher(self.on)

    def _changed(self) -> None:
        on = self.kept.union(*self._held.values())
        if on != self.on:
            self.on = on
            for watcher in self._watchers:
                watcher(on)
