"""The policies of others, kept beside the engine's socket for as long as the gateway's fence may stand.

They live in the engine, and the daemon knows them. Where both end at once, the fence outlives them; the next daemon has
to know what it is for, or it would open it. Policies hold no keys.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from culvert.errors import HostError, Problem

_HEAD = b"culvert: policies of others, 1\n"
_LENGTH = struct.Struct("!I")
_MODE = 0o600
MAX_OCTETS = 256 << 20
"""Three times what the engine's most policies take, with six templates each."""


class KeptPolicies:
    """One file of messages' bodies, each behind its length."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[bytes, ...]:
        """Give what was kept; nothing where nothing was. Raise HostError where it cannot be read."""
        try:
            with self._path.open("rb") as file:
                octets = file.read(MAX_OCTETS + 1)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._trouble(f"cannot be read: {error.strerror}") from error
        if not octets.startswith(_HEAD) or len(octets) > MAX_OCTETS:
            raise self._trouble("is not what a gateway of this version writes")
        return tuple(self._bodies(octets))

    def _bodies(self, octets: bytes) -> Iterator[bytes]:
        at = len(_HEAD)
        while at < len(octets):
            if len(octets) - at < _LENGTH.size:
                raise self._trouble("ends in the middle")
            (length,) = _LENGTH.unpack_from(octets, at)
            at += _LENGTH.size
            if length > len(octets) - at:
                raise self._trouble("ends in the middle")
            yield octets[at : at + length]
            at += length

    def write(self, bodies: Iterable[bytes]) -> None:
        """Keep these instead of those before, whole or not at all. Raise HostError."""
        beside = self._path.with_suffix(".new")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with os.fdopen(os.open(beside, flags, _MODE), "wb") as file:
                file.write(_HEAD)
                file.writelines(part for body in bodies for part in (_LENGTH.pack(len(body)), body))
            beside.replace(self._path)
        except OSError as error:
            raise self._trouble(f"cannot be written: {error.strerror}") from error

    def forget(self) -> None:
        """Keep nothing any more."""
        self._path.unlink(missing_ok=True)

    def _trouble(self, what: str) -> HostError:
        what_to_do = "Where nothing protects the policies that setkey wrote any more, delete it, and load them again."
        return HostError(Problem(f"what was kept of the policies of others {what}", str(self._path), what_to_do))
