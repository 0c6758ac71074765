"""Run every static check and tell all that is wrong: generated tables, format, lint, types, imports, Rust's own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CARGO = ["--manifest-path", str(ROOT / "engine/Cargo.toml"), "--locked"]
CHECKS: dict[str, list[str]] = {
    "tables of reasons": [sys.executable, "tools/generate_reasons.py", "--check"],
    "ledgers of the RFCs": [sys.executable, "tools/generate_ledger.py", "--check"],
    "table of collisions": [sys.executable, "tools/generate_collisions.py", "--check"],
    "format (Python)": [str(BIN / "ruff"), "format", "--check", "-q", "."],
    "lint (Python)": [str(BIN / "ruff"), "check", "-q", "."],
    "types": [str(BIN / "mypy")],
    "imports": [str(BIN / "lint-imports")],
    "format (Rust)": ["cargo", "fmt", "--all", "--check", "--manifest-path", str(ROOT / "engine/Cargo.toml")],
    "lint (Rust)": ["cargo", "clippy", "-q", *CARGO, "--release", "--all-targets", "--", "-D", "warnings"],
}


def main() -> int:
    failed = []
    for name, command in CHECKS.items():
        started = time.monotonic()
        print(f"==> {name} ...", flush=True)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        print(f"    {'good' if done.returncode == 0 else 'NOT GOOD'}, {time.monotonic() - started:.1f} s", flush=True)
        if done.returncode != 0:
            failed.append(name)
            print(done.stdout + done.stderr, flush=True)
    if failed:
        print(f"not good: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
