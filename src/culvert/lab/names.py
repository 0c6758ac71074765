"""Names of a lab's namespaces, and the lock that keeps two labs of one name apart."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from culvert.errors import HostError, Problem

MARKER = "cvl"
"""Every namespace of a lab begins with this."""
NETNS_DIRECTORY = Path("/run/netns")
LOCK_DIRECTORY = Path("/run/culvert-lab")

# No hyphen: it separates, so that the lab "a" never takes "a-b" for its own.
_WORD = re.compile(r"[A-Za-z0-9_]{1,24}")


def namespace_name(prefix: str, host: str) -> str:
    """Give the namespace of a host. Raise ValueError where a word has other letters than A-Z a-z 0-9 _."""
    for word in (prefix, host):
        if not _WORD.fullmatch(word):
            raise ValueError(f"a lab's names are made of letters and digits, at most 24: {word!r}")
    return f"{MARKER}-{prefix}-{host}"


def namespaces_of(prefix: str) -> list[str]:
    """Give the namespaces that stand under a prefix, this run's or an earlier one's."""
    try:
        names = sorted(entry.name for entry in NETNS_DIRECTORY.iterdir())
    except FileNotFoundError:
        return []
    return [name for name in names if name.startswith(f"{MARKER}-{prefix}-")]


class PrefixLock:
    """Held while a lab lives; the kernel lets go of it when the process dies."""

    def __init__(self, prefix: str, directory: Path = LOCK_DIRECTORY) -> None:
        """Raise HostError where a living lab has the prefix, or the lock cannot be made."""
        self._path = directory / f"{prefix}.lock"
        while True:
            self._descriptor = _open(self._path)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(self._descriptor)
                advice = "Choose another prefix, or wait until that lab has ended."
                raise HostError(Problem(f"another lab named {prefix} is running", str(self._path), advice)) from error
            if self._is_the_one():
                return
            os.close(self._descriptor)

    def _is_the_one(self) -> bool:
        """Tell whether the locked file is still the one of that name: a lab that ended meanwhile took its own away."""
        try:
            return self._path.stat().st_ino == os.fstat(self._descriptor).st_ino
        except FileNotFoundError:
            return False

    def release(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise HostError(Problem(f"cannot be opened: {error.strerror}", str(path), "Run as root.")) from error
