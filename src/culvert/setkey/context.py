"""What reading one text knows besides the words of the statement that is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.ipsec.associations import Direction
from culvert.ipsec.policies import Action, Template
from culvert.setkey.endpoints import Endpoints


@dataclass(frozen=True, slots=True)
class Request:
    """All that stands behind `-P`. `action` is None where only a direction was written.

    `unique` are the numbers of those templates that want a reqid of their own.
    """

    direction: Direction
    priority: int
    action: Action | None
    templates: tuple[Template, ...] = ()
    unique: tuple[int, ...] = ()


@dataclass(slots=True)
class Warned:
    """What will surprise, at the word `index` of the statement that is read."""

    index: int
    what: str
    what_to_do: str


@dataclass(slots=True)
class Context:
    """`legacy`: algorithms that RFC 8221 advises against are allowed. `at`: where the statement begins.

    `requests` remembers what was read behind `-P`.
    """

    endpoints: Endpoints
    legacy: bool
    at: int = 0
    warned_of_counters: bool = False
    warnings: list[Warned] = field(default_factory=list)
    requests: dict[tuple[int, tuple[str, ...]], Request] = field(default_factory=dict)

    def warn(self, index: int, what: str, what_to_do: str = "") -> None:
        """Note a warning."""
        self.warnings.append(Warned(index, what, what_to_do))
