"""What reading a configuration brings to light: problems that stop it, and warnings that do not."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.config.model import Origin
from culvert.errors import Problem


class UnusableError(ValueError):
    """A value that cannot be used; `what` says why, `what_to_do` what to write instead."""

    def __init__(self, what: str, what_to_do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.what_to_do = what_to_do


@dataclass(slots=True)
class Findings:
    """A collector. Nothing is raised until everything was looked at."""

    _problems: list[tuple[Origin, Problem]] = field(default_factory=list)
    _warnings: list[tuple[Origin, Problem]] = field(default_factory=list)

    def problem(self, origin: Origin, what: str, what_to_do: str = "") -> None:
        self._problems.append((origin, Problem(what, str(origin), what_to_do)))

    def warning(self, origin: Origin, what: str, what_to_do: str = "") -> None:
        self._warnings.append((origin, Problem(what, str(origin), what_to_do)))

    @property
    def problems(self) -> tuple[Problem, ...]:
        return _in_order(self._problems)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return _in_order(self._warnings)


def _in_order(found: list[tuple[Origin, Problem]]) -> tuple[Problem, ...]:
    """By file and line, each once; what was found first comes first within a line."""
    ordered = sorted(found, key=lambda pair: (pair[0].file, pair[0].line))
    return tuple(dict.fromkeys(problem for _, problem in ordered))
