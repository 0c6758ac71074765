"""Draws runs from seeds: a world, what happens in it, and how bad its network is."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from culvert.clock import SECOND
from culvert.sim.forgeries import Forgery
from culvert.sim.link import MILLISECOND, drawn
from culvert.sim.script import Round, Script, Timed
from culvert.sim.setting import Change, Setting
from culvert.sim.setting import draw as draw_setting
from culvert.sim.steps import Step, Verb

DAY_NS = 24 * 3600 * SECOND
YEAR_S = 365 * 86_400
IDLE_DPD_S = 1800
"""How often a world that idles for a day is asked whether it lives; each time costs real seconds here."""
Draw = Callable[[random.Random, Setting], list[Timed]]
"""Gives steps around the instant 0; some may lie before it."""


def draw(seed: int) -> Script:
    """Draw the run that a seed stands for."""
    source = random.Random(seed)
    setting = draw_setting(source)
    rounds = [_first(source, setting)]
    rounds += [_later(source, setting) for _ in range(source.choice((1, 1, 2)))]
    if source.random() < 0.02:
        setting = replace(setting, dpd_s=IDLE_DPD_S, child_rekey_s=3600, ike_rekey_s=4 * 3600)
        rounds.append(Round((), DAY_NS, steady=True))
    return Script(seed, setting, tuple(rounds))


def _first(source: random.Random, setting: Setting) -> Round:
    """Everybody is configured within two seconds; one in four networks is well from the beginning."""
    steps = [(source.randint(0, 2_000) * MILLISECOND, Step(Verb.CONFIGURE, name)) for name in setting.names]
    if source.random() < 0.25:
        return Round(_ordered(steps), 5 * SECOND, steady=True)
    lasts = source.randint(3, 40) * SECOND
    steps += _clusters(source, setting, (*GENTLE, *ROUGH), source.choice((0, 1, 2)), lasts)
    return Round(_ordered(steps), lasts, drawn(source))


def _later(source: random.Random, setting: Setting) -> Round:
    """Something happens to a world at rest: in good weather, where no packet may be lost by it, or in bad."""
    lasts = source.randint(5, 60) * SECOND
    if source.random() < 0.4:
        gentle = _ordered(_clusters(source, setting, GENTLE, source.choice((1, 1, 2)), lasts))
        return Round(gentle, lasts, steady=True)
    steps = _clusters(source, setting, (*GENTLE, *ROUGH), source.choice((1, 2, 3)), lasts)
    return Round(_ordered(steps), lasts, drawn(source) if source.random() < 0.6 else None)


def _clusters(source: random.Random, setting: Setting, kinds: Sequence[Draw], count: int, lasts_ns: int) -> list[Timed]:
    """Draw things that happen close to each other, so that they meet on the way."""
    steps: list[Timed] = []
    for _ in range(count):
        start = source.randint(SECOND, lasts_ns) // MILLISECOND * MILLISECOND
        steps += [(max(0, start + after), step) for after, step in source.choice(kinds)(source, setting)]
    return steps


def _ordered(steps: list[Timed]) -> tuple[Timed, ...]:
    return tuple(sorted(steps, key=lambda timed: timed[0]))


def _close(source: random.Random, setting: Setting) -> int:
    """Give an instant so close to others of its kind that messages cross on the way, or a little further off."""
    widest = source.choice((0, 1, 2, 4)) * setting.latency
    return source.choice((source.randint(0, max(widest, MILLISECOND)), source.randint(0, 2 * SECOND))) // 1_000 * 1_000


def _pair(source: random.Random, setting: Setting) -> tuple[str, str]:
    one, other = source.choice(setting.pairs)
    return (one, other) if source.random() < 0.5 else (other, one)


# --- what loses no packet ---


def _rekeys(source: random.Random, setting: Setting) -> list[Timed]:
    """Both ends want other keys, of whatever."""
    one, other = _pair(source, setting)
    kinds = (Verb.REKEY_CHILD, Verb.REKEY_IKE)
    steps = [(_close(source, setting), Step(source.choice(kinds), one, other))]
    for _ in range(source.choice((0, 1, 1, 2))):
        who, whom = source.choice(((one, other), (other, one)))
        steps.append((_close(source, setting), Step(source.choice(kinds), who, whom)))
    return steps


def _soft(source: random.Random, setting: Setting) -> list[Timed]:
    """The data plane says that an association is old, at one end or at both."""
    ends = _pair(source, setting)[: source.choice((1, 2))]
    return [(_close(source, setting), Step(Verb.EXPIRE, name, "soft")) for name in ends]


def _killed(source: random.Random, setting: Setting) -> list[Timed]:
    """A process is killed, mostly in the middle of something, and another goes on where it stood."""
    name = source.choice(setting.names)
    step = Step(Verb.TAKE_OVER, name) if source.random() < 0.3 else Step(Verb.DIE, name, str(source.randint(0, 6)))
    return [*_rekeys(source, setting), (_close(source, setting), step)]


def _connect(source: random.Random, setting: Setting) -> list[Timed]:
    """Somebody asks for what may be there already: a person, or packets."""
    one, other = _pair(source, setting)
    step = source.choice((Step(Verb.CONNECT, one, other), Step(Verb.SEND, one)))
    return [(_close(source, setting), step)]


def _forged(source: random.Random, setting: Setting) -> list[Timed]:
    """An attacker answers, repeats and garbles while other keys are made."""
    steps = _rekeys(source, setting)
    kinds = [source.choice(tuple(Forgery)) for _ in range(source.choice((1, 3, 6)))]
    return steps + [(_close(source, setting), Step(Verb.FORGE, source.choice(setting.names), kind)) for kind in kinds]


def _told(source: random.Random, setting: Setting) -> list[Timed]:
    """The host and people tell a gateway things that change nothing for its tunnels, while other keys are made."""
    name = source.choice(setting.names)
    what = source.choice(
        (
            Step(Verb.DEBUG, name, source.choice(("on", ""))),
            Step(Verb.LOSE_CHECKPOINTS, name),
            Step(Verb.FALL_QUIET, name),
            Step(Verb.SET_CALENDAR, name, str(source.choice((-1, 1)) * source.randint(1, 86_400))),
        )
    )
    return [*_rekeys(source, setting), (_close(source, setting), what)]


# --- what may ---


def _disconnect(source: random.Random, setting: Setting) -> list[Timed]:
    """A person ends a tunnel, and mostly wants it back; meanwhile somebody rekeys."""
    one, other = _pair(source, setting)
    steps = [(_close(source, setting), Step(Verb.DISCONNECT, one, other))]
    if source.random() < 0.8:
        steps.append((source.randint(0, 10_000) * MILLISECOND, Step(Verb.CONNECT, one, other)))
    return steps + (_rekeys(source, setting) if source.random() < 0.6 else [])


def _hard(source: random.Random, setting: Setting) -> list[Timed]:
    ends = _pair(source, setting)[: source.choice((1, 2))]
    steps = [(_close(source, setting), Step(Verb.EXPIRE, name, "hard")) for name in ends]
    return steps + (_rekeys(source, setting) if source.random() < 0.6 else [])


def _process(source: random.Random, setting: Setting) -> list[Timed]:
    """A machine, a process or an engine fails at one end or at both, while somebody rekeys."""
    verbs = (Verb.RESTART, Verb.TAKE_OVER, Verb.FORGET, Verb.LOSE_ENGINE, Verb.STOP)
    ends = _pair(source, setting)[: source.choice((1, 1, 2))]
    steps = [(_close(source, setting), Step(source.choice(verbs), name)) for name in ends]
    return steps + (_rekeys(source, setting) if source.random() < 0.6 else [])


def _configure(source: random.Random, setting: Setting) -> list[Timed]:
    """The files change, at all ends in the end, while somebody rekeys."""
    change = source.choice(tuple(Change))
    steps = [(_close(source, setting), Step(Verb.CONFIGURE, name, change)) for name in setting.names]
    if change is Change.ABSENT or source.random() < 0.3:
        later = source.randint(1, 10_000) * MILLISECOND
        steps += [(later + at, replace(step, what=Change.NONE)) for at, step in steps]
    return steps + (_rekeys(source, setting) if source.random() < 0.6 else [])


def _move(source: random.Random, setting: Setting) -> list[Timed]:
    """A machine has another address, or a translator other ports, while somebody rekeys."""
    verb = source.choice((Verb.REBIND, Verb.ROAM))
    steps = [(_close(source, setting), Step(verb, source.choice(setting.names)))]
    return steps + (_rekeys(source, setting) if source.random() < 0.6 else [])


def _partition(source: random.Random, setting: Setting) -> list[Timed]:
    """Nothing gets through for a while, in one direction or in both."""
    one, other = _pair(source, setting)
    ways = ((one, other), (other, one))[: source.choice((1, 2))]
    after = source.choice((1, 5, 20, 60, 100)) * SECOND
    steps = [(0, Step(Verb.CUT, *way)) for way in ways]
    steps += [(after + _close(source, setting), Step(Verb.MEND, *way)) for way in ways]
    return steps + (_rekeys(source, setting) if source.random() < 0.6 else [])


def _narrow(source: random.Random, setting: Setting) -> list[Timed]:
    """Paths take no more than small datagrams for a while."""
    mtu = source.choice((576, 1280))
    return [(0, Step(Verb.NARROW, setting.names[0], str(mtu))), *_rekeys(source, setting)]


def _calendar(source: random.Random, setting: Setting) -> list[Timed]:
    """A calendar is years off, so that no certificate holds, until somebody sets it right."""
    name = source.choice(setting.names)
    wrong = Step(Verb.SET_CALENDAR, name, str(source.choice((-5, 10)) * YEAR_S))
    right = source.randint(1, 40_000) * MILLISECOND
    steps = [(0, wrong), (right, replace(wrong, what="0"))]
    return steps + (_rekeys(source, setting) if source.random() < 0.6 else [])


def _name(source: random.Random, setting: Setting) -> list[Timed]:
    """For a while nobody can say where the hub is, and perhaps it is somewhere else by then."""
    away = source.randint(1, 60_000) * MILLISECOND
    steps = [(0, Step(Verb.LOSE_NAME, setting.names[0])), (away, Step(Verb.FIND_NAME, setting.names[0]))]
    return steps + source.choice((_process, _move, _rekeys))(source, setting)


GENTLE: tuple[Draw, ...] = (_rekeys, _rekeys, _rekeys, _killed, _soft, _connect, _told)
ROUGH: tuple[Draw, ...] = (
    _disconnect,
    _hard,
    _process,
    _process,
    _configure,
    _move,
    _partition,
    _narrow,
    _forged,
    _calendar,
    _name,
)
