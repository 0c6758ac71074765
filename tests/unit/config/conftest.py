"""A folder with a configuration in it, and what comes of loading it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from culvert.config.load import Loaded, load
from culvert.errors import ConfigurationError

GOOD_SECRET = "198.51.100.1 correct horse battery staple\n"


class Folder:
    """A folder of configuration files; psk.txt is there and right unless a test writes another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("psk.txt", GOOD_SECRET, 0o600)

    def write(self, name: str, text: str | bytes, mode: int = 0o644) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        file.chmod(mode)
        return file

    def load(self, text: str | bytes, mode: int = 0o644) -> Loaded:
        return load(self.write("gateway.toml", text, mode))

    def problems(self, text: str | bytes, mode: int = 0o644) -> list[str]:
        """Load what cannot be used; give its problems as people read them, the folder's name left out."""
        with pytest.raises(ConfigurationError) as caught:
            self.load(text, mode)
        return [self.relative(str(problem)) for problem in caught.value.problems]

    def relative(self, text: str) -> str:
        return text.replace(f"{self.path}/", "")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def problems(folder: Folder) -> Callable[[str], list[str]]:
    return folder.problems
