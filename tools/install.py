"""Put culvert on this machine, or take exactly that away again. `culvert up` at boot is then one systemctl away.

    python3 tools/install.py install|uninstall

PREFIX (default /usr/local) holds the program; the unit, the names for iproute2 and the group are the host's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PREFIX = Path(os.environ.get("PREFIX", "/usr/local"))
HOME = PREFIX / "lib/culvert"
LINKS = {PREFIX / "bin" / name: HOME / "bin" / name for name in ("culvert", "culvert-engine")}
SETKEY = {PREFIX / "bin/setkey": HOME / "bin/culvert"}
"""The program's second name; where somebody else's setkey stands there, that one stays."""
FILES = {
    Path("/etc/systemd/system/culvert.service"): "culvert.service",
    Path("/etc/iproute2/rt_tables.d/culvert.conf"): "rt_tables.d/culvert.conf",
    Path("/etc/iproute2/rt_protos.d/culvert.conf"): "rt_protos.d/culvert.conf",
}
"""Where each file of packaging/ goes; the unit's /usr/local becomes PREFIX."""
CONFIGURATION = Path("/etc/culvert")
GROUP = "culvert"


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def systemctl(*words: str) -> None:
    """Talk to systemd where it runs; a container without it needs nothing."""
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", *words], check=False)


def group_exists() -> bool:
    return subprocess.run(["getent", "group", GROUP], capture_output=True, check=False).returncode == 0


def install() -> None:
    print(f"==> installing into {HOME}", flush=True)
    run(sys.executable, "-m", "venv", "--clear", str(HOME))
    pip = [str(HOME / "bin/python"), "-m", "pip", "-q", "--disable-pip-version-check", "install"]
    print("==> installing Python packages", flush=True)
    run(*pip, "--require-hashes", "-r", str(ROOT / "requirements/runtime.lock"))
    run(*pip, "--require-hashes", "-r", str(ROOT / "requirements/build.lock"))
    run(*pip, "--no-build-isolation", "--no-deps", str(ROOT))
    shutil.copy2(ROOT / ".venv/bin/culvert-engine", HOME / "bin/culvert-engine")
    for link, target in LINKS.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    for link, target in SETKEY.items():
        if link.is_symlink() or not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        else:
            print(f"{link} is another program, and stays; ours is `culvert setkey`")
    for path, source in FILES.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / "packaging" / source).read_text()
        path.write_text(text.replace("/usr/local/bin", str(PREFIX / "bin")))
    CONFIGURATION.mkdir(mode=0o755, exist_ok=True)
    if not group_exists():
        run("groupadd", "--system", GROUP)
    systemctl("daemon-reload")
    print(
        f"installed. Write {CONFIGURATION}/gateway.toml and psk.txt (mode 0600), then:\n"
        "    culvert check && systemctl enable --now culvert"
    )


def uninstall() -> None:
    systemctl("disable", "--now", "culvert")
    for link, target in (LINKS | SETKEY).items():
        if link.is_symlink() and link.readlink() == target:
            link.unlink()
    for path in FILES:
        path.unlink(missing_ok=True)
    shutil.rmtree(HOME, ignore_errors=True)
    if group_exists():
        subprocess.run(["groupdel", GROUP], check=False)
    systemctl("daemon-reload")
    print(f"uninstalled. {CONFIGURATION} is yours and was left as it is.")


def main() -> int:
    actions = {"install": install, "uninstall": uninstall}
    action = actions.get(sys.argv[1] if len(sys.argv) == 2 else "")
    if action is None:
        print("usage: install.py install|uninstall", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print(f"install.py: run this as root: sudo make {sys.argv[1]}", file=sys.stderr)
        return 1
    action()
    return 0


if __name__ == "__main__":
    sys.exit(main())
