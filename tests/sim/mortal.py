"""An endpoint whose process is killed between two of its actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from culvert.ike.actions import Action
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import Event
from culvert.ike.v2 import keeping


class Mortal:
    """Passes on what an endpoint does until it did so many actions; then it does nothing any more.

    After each step every checkpoint must tell what has become of its IKE SA.
    """

    def __init__(self, endpoint: Endpoint, actions: int, on_death: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._on_death = on_death
        self.left = actions
        self.dead = False
        self.done = 0

    def step(self, event: Event, now: int) -> list[Action]:
        if self.dead:
            return []
        actions = self._endpoint.step(event, now)
        assert not keeping.behind(self._endpoint._ctx), f"{type(event).__name__} changed what was not kept"
        if len(actions) > self.left:
            self.dead = True
            self._on_death()
        actions = actions[: self.left]
        self.left -= len(actions)
        self.done += len(actions)
        return actions

    def deadline(self) -> tuple[int, str] | None:
        return None if self.dead else self._endpoint.deadline()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._endpoint, name)
