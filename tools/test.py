"""Run all tests: the engine's, then everything else with pytest.

Arguments go to pytest; with any, the engine's tests are left out. Without, as many run at once as there are cores, a
file's in one process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_PROCESSES = 4
"""More only wait for each other: the tests make networks of gateways, and guests with kernels of their own."""


def main() -> int:
    arguments = sys.argv[1:]
    if not arguments:
        print("==> the engine's tests", flush=True)
        command = ["cargo", "test", "--release", "--locked", "--manifest-path", str(ROOT / "engine/Cargo.toml")]
        done = subprocess.run(command, cwd=ROOT, check=False)
        if done.returncode != 0:
            return done.returncode
        arguments = ["-n", "auto", "--maxprocesses", str(MAX_PROCESSES), "--dist", "loadfile"]
    print("==> unit, property, dialogue, simulation, namespaces, interop", flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
