"""What reading one text knows besides the words of the statement that is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.ipsec.policies import Template
from culvert.setkey.endpoints import Endpoints

Requests = tuple[tuple[Template, ...], tuple[int, ...]]
"""Templates, and the numbers of those that want a reqid of their own."""


@dataclass(slots=True)
class Warned:
    """What will surprise, at the word `index` of the statement that is read."""

    index: int
    what: str
    what_to_do: str


@dataclass(slots=True)
class Context:
    """`legacy`: algorithms that RFC 8221 advises against are allowed. `at`: where the statement begins.

    `requests` remembers lists of templates: 100,000 policies often share a few.
    """

    endpoints: Endpoints
    legacy: bool
    at: int = 0
    warned_of_counters: bool = False
    warnings: list[Warned] = field(default_factory=list)
    requests: dict[tuple[int, tuple[str, ...]], Requests] = field(default_factory=dict)

    def warn(self, index: int, what: str, what_to_do: str = "") -> None:
        """Note a warning."""
        self.warnings.append(Warned(index, what, what_to_do))
