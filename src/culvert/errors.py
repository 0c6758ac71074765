"""Errors for people: what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `where` is `file:line`, a command, or empty; `what_to_do` is one sentence."""

    what: str
    where: str = ""
    what_to_do: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n    {self.what_to_do}" if self.what_to_do else text


class CulvertError(Exception):
    """Every failure that a person can act on; it carries all problems found, not only the first."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ConfigurationError(CulvertError):
    """The files that describe the gateway cannot be used as they are."""


class HostError(CulvertError):
    """This host refuses something that the gateway needs: a device, a port, a permission, a program."""
