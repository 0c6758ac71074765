"""Run all tests: the engine's, then everything else with pytest.

Arguments go to pytest; with any, the engine's tests are left out. Without, one more runs at once than there are cores,
for many only wait; a file's are in one process.
"""

from __future__ import annotations

import os
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
        processes = min(MAX_PROCESSES, (os.cpu_count() or 1) + 1)
        arguments = ["-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder"]
    print("==> unit, property, dialogue, simulation, namespaces, interop", flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
