"""`culvert up -d`: the same command again, in a session of its own, and a pipe to wait on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from culvert.cli.ready import MAX_STORY_OCTETS, told
from culvert.daemon.locking import prepare_run_dir
from culvert.errors import CulvertError, HostError, Problem

LOG_FILE = "culvert.log"


def start(run_dir: Path, state_dir: Path, arguments: list[str]) -> None:
    """Start the daemon and return when it is ready. Raise CulvertError with its problems where it is not to be."""
    prepare_run_dir(run_dir)
    log = run_dir / LOG_FILE
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "culvert", "--run-dir", str(run_dir), "--state-dir", str(state_dir)]
    command += ["up", *arguments, "--ready-fd", str(writing)]
    with os.fdopen(reading, "rb") as pipe:
        daemon = _spawn(command, log, writing)
        try:
            problems = told(pipe.read(MAX_STORY_OCTETS))
        except KeyboardInterrupt:
            daemon.terminate()
            daemon.wait()
            raise
    if problems is not None:
        daemon.wait()
        raise CulvertError(problems or _died(daemon.returncode, log))
    click.echo(f"The gateway is ready (process {daemon.pid}, log {log}).")
    daemon.returncode = 0  # it goes on without us


def _spawn(command: list[str], log: Path, writing: int) -> subprocess.Popen[bytes]:
    try:
        with log.open("ab") as output:
            log.chmod(0o640)
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(writing,),
                start_new_session=True,
            )
    except OSError as error:
        raise HostError(Problem(f"the daemon cannot be started: {error.strerror}", str(log))) from None
    finally:
        os.close(writing)


def _died(code: int, log: Path) -> Problem:
    return Problem(f"the daemon ended before it was ready (exit {code})", str(log), "Its log has the cause.")
