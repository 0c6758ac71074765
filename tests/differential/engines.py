"""Engines for comparison, each in a namespace."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from culvert.lab.host import Host
from culvert.xfrm.engine import find_program
from culvert.xfrm.transport import engine_transport
from tests.differential.conversation import Reply, Request, converse
from tests.differential.messages import for_engine

MARK = 0x43
TUN = "culvert0"
PATIENCE_S = 5


@contextmanager
def engine_in(host: Host, path: Path) -> Iterator[Path]:
    """Run an engine in `host`, its control socket at `path`."""
    reader, writer = os.pipe()
    words = ["--socket", str(path), "--tun", TUN, "--mark", str(MARK), "--log-level", "warn"]
    with host.start([str(find_program()), *words, "--ready-fd", str(writer)], pass_fds=[writer]) as process:
        os.close(writer)
        with os.fdopen(reader, "rb") as ready:
            said = ready.read()
        assert said == b"\n", said
        try:
            yield path
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def ask_engine(path: Path, requests: list[Request]) -> list[Reply]:
    """Send the messages to the engine, with what it alone wants to be told."""

    async def talk() -> list[Reply]:
        return await converse(await engine_transport(path), [for_engine(request) for request in requests])

    return asyncio.run(talk())
