"""Data planes to run the same tests against: the fake, and the engine where it is built and we are root."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from culvert.lab.lab import Lab
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.engine import EngineProcess
from culvert.xfrm.fake import FakeEngine

ENGINE = Path(os.environ.get("CULVERT_ENGINE") or Path(sys.executable).parent / "culvert-engine")


@pytest.fixture(params=["fake", pytest.param("engine", marks=pytest.mark.root)])
async def listening(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Path]:
    """The path of a socket where a fresh data plane listens."""
    path = tmp_path / "engine.sock"
    if request.param == "fake":
        fake = FakeEngine()
        fake.listen(path)
        yield path
        fake.close()
        return
    if not ENGINE.exists():
        pytest.skip(f"needs the engine at {ENGINE}: make setup")
    with Lab() as lab:
        script = tmp_path / "engine"
        script.write_text(f'#!/bin/sh\nexec {" ".join(lab.host("engine").command([str(ENGINE)]))} "$@"\n')
        script.chmod(0o755)
        monkeypatch.setenv("CULVERT_ENGINE", str(script))
        engine = await EngineProcess.start(path, "xfrmtest0", 7)
        yield path
        await engine.stop()


@pytest.fixture
async def client(listening: Path) -> AsyncIterator[XfrmClient]:
    """A client of a fresh data plane."""
    client = await XfrmClient.connect(listening)
    yield client
    client.close()
