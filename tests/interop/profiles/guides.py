"""What a guide tells a reader to write: its files, taken from the text and put down as they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

GUIDES = Path(__file__).parents[3] / "docs/guide"
_FENCE = re.compile(r"^```(?P<kind>[a-z]+) (?P<name>\S+)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Guide:
    """The files of one guide, by the names behind their fences."""

    name: str
    files: dict[str, str]

    @property
    def secrets(self) -> dict[str, str]:
        """Give the secrets of psk.txt by whose they are."""
        lines = (line.split(None, 1) for line in self.files["psk.txt"].splitlines() if line and line[0] != "#")
        return {whose: secret.strip() for whose, secret in lines}


def guide(name: str) -> Guide:
    """Read docs/guide/NAME.md."""
    found = [(match["name"], match["text"]) for match in _FENCE.finditer((GUIDES / f"{name}.md").read_text())]
    assert len(found) == len(dict(found)), f"two files of one name in {name}.md"
    return Guide(name, dict(found))
