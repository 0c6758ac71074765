"""Fuzz what reads anything from anybody: `python3 tools/fuzz.py [SECONDS]`, a minute for each target unless told so.

First the daemon's, by atheris, from tests/fuzz/corpus; what it finds lands in tests/fuzz/artifacts. Then the engine's:
with cargo-fuzz and a nightly toolchain, by libFuzzer, from the committed corpus; what it finds lands in
engine/fuzz/artifacts. Without them, the same functions meet changed copies of the corpus, on any toolchain.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINE = ROOT / "engine"
FUZZ = ENGINE / "fuzz"
CHANGES = 3_000_000
"""Of each input's changes without cargo-fuzz: about a minute in all."""
LONGEST_OCTETS = 700
DAEMON = ROOT / "tests/fuzz"
HOW = "rustup toolchain install nightly && cargo install cargo-fuzz"


def targets() -> list[str]:
    return sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))


def available() -> bool:
    """Whether cargo-fuzz and a nightly toolchain are there."""
    if shutil.which("cargo-fuzz") is None:
        return False
    done = subprocess.run(["cargo", "+nightly", "--version"], capture_output=True, check=False)
    return done.returncode == 0


def fuzz(target: str, seconds: int) -> bool:
    """Run one target on a copy of its corpus; tell whether nothing was found."""
    print(f"==> {target}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / target
        seeds = ["cargo", "run", "-q", "--release", "--manifest-path", str(ENGINE / "Cargo.toml"), "--bin", "seeds"]
        subprocess.run([*seeds, "--", folder], check=True)
        shutil.copytree(FUZZ / "corpus" / target, corpus, dirs_exist_ok=True)
        limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST_OCTETS}", "-timeout=5"]
        command = ["cargo", "+nightly", "fuzz", "run", target, str(corpus), "--", *limits]
        return subprocess.run(command, cwd=ENGINE, check=False).returncode == 0


def walk() -> int:
    """Do without cargo-fuzz what can be done."""
    print(f"==> no cargo-fuzz here, so without its guidance; to have it: {HOW}", flush=True)
    command = ["cargo", "test", "--release", "--manifest-path", str(ENGINE / "Cargo.toml"), "-p", "culvert-trials"]
    return subprocess.run(command, env=os.environ | {"TRIALS": str(CHANGES)}, check=False).returncode


def daemon_targets() -> list[str]:
    return sorted(path.stem for path in DAEMON.glob("*_target.py"))


def fuzz_daemon(target: str, seconds: int) -> bool:
    """Run one of the daemon's targets on a copy of its corpus; tell whether nothing was found."""
    print(f"==> {target}", flush=True)
    artifacts = DAEMON / "artifacts"
    artifacts.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / target
        shutil.copytree(DAEMON / "corpus" / target.removesuffix("_target"), corpus)
        limits = ["-max_len=4096", "-timeout=20", f"-artifact_prefix={artifacts}/{target}-", str(corpus)]
        command = [sys.executable, str(DAEMON / "atheris_run.py"), target, str(seconds), *limits]
        return subprocess.run(command, cwd=folder, check=False).returncode == 0


def fuzz_engine(seconds: int) -> bool:
    """Run all of the engine's targets; tell whether nothing was found."""
    if not available():
        return walk() == 0
    found = [target for target in targets() if not fuzz(target, seconds)]
    if found:
        print(f"fuzz: something was found by {', '.join(found)}; see {FUZZ / 'artifacts'}", file=sys.stderr)
    return not found


def main() -> int:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    found = [target for target in daemon_targets() if not fuzz_daemon(target, seconds)]
    if found:
        print(f"fuzz: something was found by {', '.join(found)}; see {DAEMON / 'artifacts'}", file=sys.stderr)
    return 0 if fuzz_engine(seconds) and not found else 1


if __name__ == "__main__":
    sys.exit(main())
