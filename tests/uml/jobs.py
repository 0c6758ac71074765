"""What tests have done inside the guest, one function a job; see `agent` for how they are called."""

from __future__ import annotations

import subprocess


def shell(script: str) -> str:
    """Run a script to its first failure; raise with all that it said, or give its standard output."""
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout
