"""Inside the guest: reads names of files from a serial line, each with a call, and answers with a JSON text there.

A call is `{"call": "module:function", "with": {...}, "within_s": seconds}`; its answer `{"gave": ...}` or
`{"failed": "the traceback"}`. A function may be a coroutine function. At the end of the line the guest ends.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import signal
import sys
import traceback
import tty
from pathlib import Path
from types import FrameType
from typing import Any


class TooLateError(Exception):
    """A call took longer than it may."""


def _too_late(_number: int, _frame: FrameType | None) -> None:
    raise TooLateError("the call did not end in time")


def perform(call: dict[str, Any]) -> Any:
    """Import the function and call it."""
    module, _, name = call["call"].partition(":")
    function = getattr(importlib.import_module(module), name)
    signal.setitimer(signal.ITIMER_REAL, call["within_s"])
    try:
        given = function(**call["with"])
        return asyncio.run(given) if inspect.iscoroutine(given) else given
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def answer(file: Path) -> dict[str, Any]:
    """Give the answer to one call, whatever it says."""
    try:
        return {"gave": perform(json.loads(file.read_text()))}
    except BaseException:  # the caller is told, and may call again
        return {"failed": traceback.format_exc()}


def serve(path: str, folder: Path) -> None:
    """Answer until the other side closes."""
    signal.signal(signal.SIGALRM, _too_late)
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(descriptor)
    with os.fdopen(os.dup(descriptor)) as calls, os.fdopen(descriptor, "w") as answers:
        print(json.dumps({"gave": os.uname().release}), file=answers, flush=True)
        for line in calls:
            print(json.dumps(answer(folder / line.strip())), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
