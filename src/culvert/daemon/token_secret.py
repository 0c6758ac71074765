"""The secret behind the tokens of quick crash detection (RFC 6290 section 5), kept in the state directory.

It is no key: nothing is encrypted or authenticated by it, and who learns it can do no more than make a peer end an IKE
SA and begin another one. It has to outlive the machine's restart, since that is what it is for (docs/adr/0012).
"""

from __future__ import annotations

import os
from pathlib import Path

from culvert.daemon.logging import Journal

NAME = "crash-token-secret"
OCTETS = 32
_MODE = 0o600


def token_secret(directory: Path, journal: Journal) -> bytes:
    """Give the secret, made at the first call. Nothing where it cannot be kept: then peers get no tokens from us."""
    path = directory / NAME
    try:
        return _read(path) or _make(path)
    except OSError as error:
        journal.warning(
            "Peers will learn late that we restarted: the secret of crash detection is not kept.", error=error
        )
        return b""


def _read(path: Path) -> bytes:
    """Give what is there if nobody else could read or write it, else nothing."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            status = os.fstat(file.fileno())
            private = status.st_uid == os.geteuid() and not status.st_mode & 0o077
            octets = file.read(OCTETS + 1)
    except FileNotFoundError:
        return b""
    return octets if private and len(octets) == OCTETS else b""


def _make(path: Path) -> bytes:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    secret, beside = os.urandom(OCTETS), path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(beside, flags, _MODE), "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return secret
