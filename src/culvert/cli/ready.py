"""The pipe on which a daemon in the background tells whoever started it how its start went.

One octet `+` says that it is ready. Anything else is a JSON list of problems. The end without either: it died.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from types import TracebackType

from culvert.errors import CulvertError, Problem

READY = b"+"
MAX_STORY_OCTETS = 1024 * 1024


class Ready:
    """The daemon's end of the pipe; None where nobody waits."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        if descriptor is not None:
            os.set_inheritable(descriptor, False)  # the engine outlives us, and would keep the pipe open

    def say(self) -> None:
        """Say that the gateway is ready."""
        self._finish(READY)

    def __enter__(self) -> Ready:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish(b"")
        elif isinstance(error, CulvertError):
            self._finish(json.dumps([asdict(problem) for problem in error.problems]).encode())
        else:
            self._finish(
                json.dumps(
                    [
                        asdict(
                            Problem(
                                f"the daemon failed unexpectedly: {type(error).__name__}", "", "Its log says where."
                            )
                        )
                    ]
                ).encode()
            )

    def _finish(self, story: bytes) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            with os.fdopen(descriptor, "wb") as pipe:
                pipe.write(story)
        except OSError:
            pass  # nobody waits any more


def told(story: bytes) -> list[Problem] | None:
    """Read what the daemon said: None is ready; else its problems, none where it died without a word."""
    if story == READY:
        return None
    try:
        entries = json.loads(story)
        return [Problem(**entry) for entry in entries]
    except (ValueError, TypeError):
        return []
