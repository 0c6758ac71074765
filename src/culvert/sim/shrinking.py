"""From a long script that fails to a short one that fails in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from culvert.clock import SECOND
from culvert.sim.link import Fate, Name
from culvert.sim.play import Builder, Played, play
from culvert.sim.script import Round, Script, Timed
from culvert.sim.setting import Setting

T = TypeVar("T")
MAX_RUNS = 600
"""Runs that shrinking may cost: some half a minute. What is left then is still a script that fails."""
Part = tuple[int, Timed] | tuple[Name, Fate]
"""A step with its round, or the fate of a datagram."""


@dataclass(slots=True)
class Shrinker:
    """Tries shorter scripts; `best` is the shortest that failed as the first one did."""

    best: Played
    build: Builder
    runs: int = 0

    @property
    def script(self) -> Script:
        return self.best.script

    def tries(self, script: Script) -> bool:
        """Keep a script where it fails in the same way."""
        if self.runs >= MAX_RUNS:
            return False
        self.runs += 1
        played = play(script, self.build)
        if kind(played.failure) != kind(self.best.failure):
            return False
        self.best = played
        return True


def kind(failure: str) -> str:
    """Give a failure without its SPIs, numbers and instants: what makes two failures the same."""
    return re.sub(r"(0x)?[0-9a-f]*\d[0-9a-f.:]*", "#", failure)


def shrink(played: Played, build: Builder) -> Shrinker:
    """Shorten a failed run. Where its script does not even fail again, `best` is as it was."""
    shrinker = Shrinker(played, build)
    if not shrinker.tries(played.script):
        return shrinker
    _fewer_rounds(shrinker)
    _fewer_parts(shrinker)
    _simpler_setting(shrinker)
    _fewer_parts(shrinker)
    _shorter_rounds(shrinker)
    return shrinker


def _fewer_rounds(shrinker: Shrinker) -> None:
    """Leave out what came after the failure, then what came before it and has nothing to do with it."""
    for at in reversed(range(1, len(shrinker.script.rounds))):
        rounds = shrinker.script.rounds
        shrinker.tries(replace(shrinker.script, rounds=(*rounds[:at], *rounds[at + 1 :])))


def _fewer_parts(shrinker: Shrinker) -> None:
    script = shrinker.script
    steps: list[Part] = [(number, timed) for number, one in enumerate(script.rounds) for timed in one.steps]
    fates: list[Part] = list(script.fates.items())
    minimal([*steps, *fates], lambda parts: shrinker.tries(_of(script, parts)))


def _of(script: Script, parts: Sequence[Part]) -> Script:
    """Give a script with no more than these parts."""
    steps = {part: None for part in parts if isinstance(part[0], int)}
    rounds = tuple(
        replace(one, steps=tuple(timed for timed in one.steps if (number, timed) in steps))
        for number, one in enumerate(script.rounds)
    )
    left = [part[0] for part in parts]
    return replace(script, rounds=rounds, fates={name: fate for name, fate in script.fates.items() if name in left})


def minimal(parts: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """Leave out as much as possible, first in large pieces, then one by one (Zeller's delta debugging)."""
    left, pieces = list(parts), 2
    while len(left) > 1 or pieces == 2:
        size = max(1, len(left) // pieces)
        shorter = next((kept for kept in _without_each(left, size) if fails(kept)), None)
        if shorter is not None:
            left, pieces = shorter, max(2, pieces - 1)
        elif size == 1:
            break
        else:
            pieces = min(len(left), pieces * 2)
    return left


def _without_each(parts: list[T], size: int) -> list[list[T]]:
    """Give the lists that lack one piece each. What comes late is most often not needed."""
    return [parts[:at] + parts[at + size :] for at in reversed(range(0, len(parts), size))]


def _simpler_setting(shrinker: Shrinker) -> None:
    simplest = Setting()
    for field in fields(Setting):
        usual = getattr(simplest, field.name)
        if getattr(shrinker.script.setting, field.name) != usual:
            changed = replace(shrinker.script.setting, **{field.name: usual})
            shrinker.tries(replace(shrinker.script, setting=changed))


def _shorter_rounds(shrinker: Shrinker) -> None:
    """Let each round end soon after its last step."""
    for at in range(len(shrinker.script.rounds)):
        rounds = list(shrinker.script.rounds)
        rounds[at] = _shorter(rounds[at])
        if rounds[at] != shrinker.script.rounds[at]:
            shrinker.tries(replace(shrinker.script, rounds=tuple(rounds)))


def _shorter(one: Round) -> Round:
    last = max((at for at, _ in one.steps), default=0)
    return replace(one, lasts_ns=min(one.lasts_ns, last + SECOND))
