"""Scripts as text (TOML): what a failed run leaves behind, and what a test reads again."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

from culvert.clock import SECOND
from culvert.config.model import EncapsulationChoice, Start
from culvert.sim.link import MICROSECOND, Copy, Fate, Name
from culvert.sim.nat import Behaviour
from culvert.sim.script import Round, Script
from culvert.sim.setting import Setting, Translator
from culvert.sim.steps import Step, Verb

LOST = "lost"
SIMPLEST = Setting()
NANOSECONDS = ("latency", "timeout_ns")


def _instant(text: str) -> int:
    whole, _, part = text.partition(".")
    return int(whole) * SECOND + int(f"{part:0<6}") * MICROSECOND


READ: dict[str, Callable[[Any], Any]] = {
    "at_hub": Start,
    "at_spokes": Start,
    "encapsulation": EncapsulationChoice,
    "mapping": Behaviour,
    "filtering": Behaviour,
    **dict.fromkeys(NANOSECONDS, _instant),
}
"""How fields are read that are no numbers, words or truths."""


def write(script: Script) -> str:
    """Give a script as text."""
    return "\n".join(_lines(script)) + "\n"


def _lines(script: Script) -> Iterator[str]:
    setting = script.setting
    yield f"seed = {script.seed}"
    yield "\n[setting]"
    yield from _table(setting, SIMPLEST)
    if setting.translator is not None:
        yield "\n[setting.translator]"
        yield from _table(setting.translator, None)
    for one in script.rounds:
        yield f"\n[[rounds]]\nlasts = {_quoted(_seconds(one.lasts_ns))}"
        if one.steady:
            yield "steady = true"
        yield "steps = ["
        yield from (f"    {_quoted(f'{_seconds(at)} {step}')}," for at, step in one.steps)
        yield "]"
    yield "\n[fates]"
    yield from (f"{_quoted(' '.join(map(str, name)))} = {_quoted(_fate(fate))}" for name, fate in script.fates.items())


def _table(value: Setting | Translator, usual: Setting | Translator | None) -> Iterator[str]:
    for field in fields(value):
        given = getattr(value, field.name)
        if isinstance(given, Translator | None) or (usual is not None and given == getattr(usual, field.name)):
            continue
        if field.name in NANOSECONDS:
            given = _seconds(given)
        yield f"{field.name} = {str(given).lower() if isinstance(given, int) else _quoted(str(given))}"


def _quoted(text: str) -> str:
    return f'"{text}"'


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds // SECOND}.{nanoseconds % SECOND // MICROSECOND:06}"


def _fate(fate: Fate) -> str:
    return ", ".join(map(_copy, fate)) or LOST


def _copy(copy: Copy) -> str:
    damage = f" damaged {copy.damaged}" if copy.damaged is not None else ""
    return f"{_seconds(copy.after)}{damage}{' elsewhere' if copy.elsewhere else ''}"


def read(text: str) -> Script:
    """Read a script. Raise ValueError or KeyError where it is none."""
    document = tomllib.loads(text)
    setting = dict(document.get("setting", {}))
    translator = setting.pop("translator", None)
    made = replace(SIMPLEST, **_read(setting))
    if translator is not None:
        made = replace(made, translator=Translator(**_read(translator)))
    rounds = tuple(_round(one) for one in document["rounds"])
    fates = dict(_read_fate(name, fate) for name, fate in document.get("fates", {}).items())
    return Script(document["seed"], made, rounds, fates)


def _read(table: dict[str, Any]) -> dict[str, Any]:
    return {key: READ[key](value) if key in READ else value for key, value in table.items()}


def _round(table: dict[str, Any]) -> Round:
    steps = tuple(_step(line) for line in table["steps"])
    return Round(steps, _instant(table["lasts"]), steady=table.get("steady", False))


def _step(line: str) -> tuple[int, Step]:
    at, verb, who, *what = line.split(" ", 3)
    return _instant(at), Step(Verb(verb), who, *what)


def _read_fate(name: str, text: str) -> tuple[Name, Fate]:
    sender, rest = name.split(" ", 1)
    kind, number = rest.rsplit(" ", 1)
    copies = () if text == LOST else tuple(_read_copy(one) for one in text.split(", "))
    return (sender, kind, int(number)), copies


def _read_copy(text: str) -> Copy:
    after, *words = text.split(" ")
    damaged = int(words[words.index("damaged") + 1]) if "damaged" in words else None
    return Copy(_instant(after), damaged, "elsewhere" in words)
