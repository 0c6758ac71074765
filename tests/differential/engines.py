"""Engines for comparison, each in a namespace."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from culvert.lab.host import Host
from culvert.xfrm.engine import find_program

MARK = 0x43
TUN = "culvert0"


@asynccontextmanager
async def engine_in(host: Host, path: Path) -> AsyncIterator[Path]:
    """Run an engine in `host`, its control socket at `path`."""
    reader, writer = os.pipe()
    words = ["--socket", str(path), "--tun", TUN, "--mark", str(MARK), "--log-level", "warn"]
    process = host.start([str(find_program()), *words, "--ready-fd", str(writer)], pass_fds=[writer])
    os.close(writer)
    try:
        with open(reader, "rb") as ready:  # noqa: PTH123
            said = await asyncio.to_thread(ready.read)
        assert said == b"\n", said
        yield path
    finally:
        process.terminate()
        await asyncio.to_thread(_ended, process)


def _ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
