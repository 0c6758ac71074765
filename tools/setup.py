"""Set up what `make` needs: Debian packages by name, .venv from the lock files, and the packet engine.

    python3 tools/setup.py [run|test]

What is there and current is left alone: the second run only compares. Nothing is written outside .venv, engine/target
and what apt installs. Runs on the system's Python 3.11 without any package.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
ENGINE = ROOT / "engine"
RUST_AT_LEAST = (1, 85)
PYTHON_AT_LEAST = (3, 11)

PACKAGES = {
    "run": {
        "nft": "nftables",
        "ip": "iproute2",
        "ping": "iputils-ping",
        "sysctl": "procps",
        "unshare": "util-linux",
    },
    "test": {
        "tcpdump": "tcpdump",
        "openssl": "openssl",
        "pki": "strongswan-pki",
        "tshark": "tshark",
        "linux.uml": "user-mode-linux",
        "modprobe": "kmod",
        "iperf3": "iperf3",
        "iptables": "iptables",
        "ufw": "ufw",
        "/usr/lib/ipsec/charon": "strongswan-charon",
        "swanctl": "strongswan-swanctl",
        "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so": "libcharon-extra-plugins",
        "/usr/lib/ipsec/plugins/libstrongswan-chapoly.so": "libstrongswan-extra-plugins",
        "/usr/lib/ipsec/plugins/libstrongswan-openssl.so": "libstrongswan-standard-plugins",
    },
}
"""For each purpose: a program (or a file) that shows that a Debian package is there."""

PEER_SERVICES = ("strongswan-starter", "strongswan")
"""Services that the peers' packages would start at boot; only the tests want their programs."""


class MissingError(Exception):
    """Something that a person has to install; the text says how."""


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def run(label: str, command: list[str], **environment: str) -> None:
    """Run a command that may take a while: a line every five seconds tells that it goes on; on failure, all of it."""
    say(label)
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **environment},
    )
    lines: list[str] = []
    output = process.stdout
    reader = threading.Thread(target=lambda: lines.extend(output or ()), daemon=True)
    reader.start()
    while reader.is_alive():
        reader.join(timeout=5)
        if reader.is_alive() and lines:
            print(f"    {time.monotonic() - started:4.0f} s  {lines[-1].strip()[:100]}", flush=True)
    if process.wait() != 0:
        sys.stderr.write("".join(lines[-60:]))
        raise MissingError(f"this failed: {' '.join(command)}")


def version(command: list[str]) -> tuple[int, ...] | None:
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def missing_tools() -> list[str]:
    """Name every tool that setup itself cannot bring, each with the command that gets it."""
    found = []
    if sys.version_info < PYTHON_AT_LEAST:
        found.append(f"Python 3.11 or newer (this is {sys.version.split()[0]}): apt-get install python3")
    cargo = version(["cargo", "--version"])
    how = (
        "apt-get install -y curl && curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y "
        "&& . ~/.cargo/env"
    )
    if cargo is None:
        found.append(f"Rust {RUST_AT_LEAST[0]}.{RUST_AT_LEAST[1]} or newer, to build the packet engine:\n        {how}")
    elif cargo < RUST_AT_LEAST:
        found.append(
            f"Rust {RUST_AT_LEAST[0]}.{RUST_AT_LEAST[1]} or newer (cargo on PATH is {cargo[0]}.{cargo[1]}; "
            f"Debian 12 has 1.63):\n        {how}"
        )
    return found


def present(sign: str) -> bool:
    return Path(sign).exists() if sign.startswith("/") else shutil.which(sign, path=search_path()) is not None


def search_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def needed_packages(purpose: str) -> list[str]:
    signs = dict(PACKAGES["run"])
    if purpose == "test":
        signs |= PACKAGES["test"]
    packages = [package for sign, package in signs.items() if not present(sign)]
    if shutil.which("cc") is None:
        packages += ["gcc", "libc6-dev"]
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        packages.append("python3-venv")
    return sorted(set(packages))


@contextmanager
def no_services_started() -> Iterator[None]:
    """Let dpkg install daemons without starting them (Debian's policy-rc.d), unless somebody has a policy already."""
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            policy.unlink()


def install_packages(packages: list[str]) -> None:
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise MissingError(f"these packages, by the names that Debian gives them: {' '.join(packages)}")
    if os.geteuid() != 0:
        raise MissingError(f"Debian packages: sudo apt-get install --no-install-recommends {' '.join(packages)}")
    services = [name for name in PEER_SERVICES if not enabled(name)]
    with no_services_started():
        run("updating the list of Debian packages", ["apt-get", "update"])
        run(
            f"installing Debian packages: {' '.join(packages)}",
            ["apt-get", "install", "-y", "--no-install-recommends", *packages],
            DEBIAN_FRONTEND="noninteractive",
        )
    for name in services:
        if enabled(name):
            subprocess.run(["systemctl", "disable", name], capture_output=True, check=False)


def enabled(service: str) -> bool:
    if shutil.which("systemctl") is None:
        return False
    return subprocess.run(["systemctl", "-q", "is-enabled", service], capture_output=True, check=False).returncode == 0


def digest(paths: list[Path], *words: str) -> str:
    total = hashlib.sha256("\0".join(words).encode())
    for path in sorted(paths):
        total.update(str(path.relative_to(ROOT)).encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def stamped(name: str, value: str) -> bool:
    stamp = VENV / f".stamp-{name}"
    return stamp.exists() and stamp.read_text() == value


def stamp(name: str, value: str) -> None:
    (VENV / f".stamp-{name}").write_text(value)


def python_environment(purpose: str) -> None:
    lock = ROOT / "requirements" / ("dev.lock" if purpose == "test" else "runtime.lock")
    value = digest([lock, ROOT / "pyproject.toml"], sys.version)
    if stamped("test", digest([ROOT / "requirements/dev.lock", ROOT / "pyproject.toml"], sys.version)):
        return
    if stamped(purpose, value):
        return
    pip = [str(VENV / "bin/python"), "-m", "pip", "--disable-pip-version-check"]
    if not (VENV / "bin/python").exists() or not usable(VENV / "bin/python"):
        run("making .venv", [sys.executable, "-m", "venv", "--clear", str(VENV)])
    run(
        f"installing Python packages from {lock.relative_to(ROOT)}",
        [*pip, "install", "--require-hashes", "-r", str(lock)],
    )
    build = ROOT / "requirements/build.lock"
    run("installing the build tools", [*pip, "install", "--require-hashes", "-r", str(build)])
    run("installing culvert into .venv", [*pip, "install", "--no-build-isolation", "--no-deps", "-e", str(ROOT)])
    stamp(purpose, value)


def usable(python: Path) -> bool:
    return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def engine() -> None:
    sources = [
        path for path in ENGINE.rglob("*") if path.suffix in (".rs", ".toml", ".lock") and "target" not in path.parts
    ]
    value = digest(sources)
    program = VENV / "bin/culvert-engine"
    if stamped("engine", value) and program.exists():
        return
    run(
        "building the packet engine (one to three minutes the first time)",
        [
            "cargo",
            "build",
            "--release",
            "--locked",
            "--manifest-path",
            str(ENGINE / "Cargo.toml"),
            "-p",
            "culvert-engined",
        ],
    )
    fresh = program.with_suffix(".new")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ENGINE / "target"))
    shutil.copy2(target / "release/culvert-engine", fresh)
    fresh.rename(program)
    stamp("engine", value)


def main() -> int:
    purpose = sys.argv[1] if len(sys.argv) > 1 else "run"
    try:
        tools = missing_tools()
        if tools:
            raise MissingError("\n    ".join(tools))
        install_packages(needed_packages(purpose))
        python_environment(purpose)
        engine()
    except MissingError as missing:
        print(f"make: this cannot go on before you have dealt with:\n    {missing}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
