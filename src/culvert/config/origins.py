"""Where each thing of a configuration was written, so that every problem can name file and line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from culvert.config.model import Origin

Path = tuple[str | int, ...]
"""The way to a value, such as ("peers", "warehouse", "networks", 0), in the words of gateway.toml."""


@dataclass(slots=True)
class Origins:
    """Lines of paths. `inherited` maps a path to the one that its value was taken from.

    `spoiled` are paths whose value, or a part of it, could not be used: what depends on them is not judged again.
    """

    default: Origin = Origin()
    lines: dict[Path, Origin] = field(default_factory=dict)
    inherited: dict[Path, Path] = field(default_factory=dict)
    spoiled: set[Path] = field(default_factory=set)

    def at(self, *path: str | int) -> Origin:
        """Give the origin of `path`, or of the nearest thing that it lies in."""
        for length in range(len(path), 0, -1):
            if (origin := self.lines.get(path[:length])) is not None:
                return origin
            if (source := self.inherited.get(path[:length])) is not None:
                return self.at(*source, *path[length:])
        return self.default

    def has(self, *path: str | int) -> bool:
        return path in self.lines

    def is_spoiled(self, *path: str | int) -> bool:
        """Tell whether the value at `path`, or any part of it, was refused already."""
        return path in self.spoiled

    def spoil(self, path: Path) -> None:
        """Note that the value at `path` was refused, and with it a part of all that holds it."""
        self.spoiled.update(path[:length] for length in range(1, len(path) + 1))

    def add(self, file: str, lines: Mapping[Path, int]) -> None:
        """Add what one file holds; what was there first stays."""
        for path, line in lines.items():
            self.lines.setdefault(path, Origin(file, line))
