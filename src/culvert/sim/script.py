"""A run, written down: the world, what is done in it and when, and what becomes of which datagram."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.clock import SECOND
from culvert.sim.link import Conditions, Fate, Name
from culvert.sim.setting import Setting
from culvert.sim.steps import Step

Timed = tuple[int, Step]
"""Nanoseconds after the start of its round, and what is done then."""


@dataclass(frozen=True, slots=True)
class Round:
    """What is done until the network heals, `lasts_ns` after the start; then everything must come to rest.

    `weather` is None where nothing happens to datagrams but what is written down. `steady`: packets may not be lost.
    """

    steps: tuple[Timed, ...]
    lasts_ns: int
    weather: Conditions | None = None
    steady: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """A whole run. `seed` is for the keys, nonces and SPIs; `fates` are those of datagrams that fared unusually."""

    seed: int
    setting: Setting
    rounds: tuple[Round, ...]
    fates: dict[Name, Fate] = field(default_factory=dict)


SETTLES_NS = 360 * SECOND


def rest_ns(dpd_s: int) -> int:
    """Give how long a healed network may need until nothing is under way any more.

    A peer that is gone is missed after `dpd_s` of silence and given up after 63.5 s of repeating; what the other end
    then lacks it may notice as late. A DELETE that never comes is awaited for 90 s, the next call is put off by up to a
    minute and may take half a minute, and as long again where its answer is one that an attacker gave.
    """
    return SETTLES_NS + 2 * dpd_s * SECOND
