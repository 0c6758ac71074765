"""`make install` and `make uninstall`, on copies of /usr/local and /etc that are gone afterwards."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = r"""
set -e
mount -t tmpfs tmpfs "$1"
for place in usr/local etc; do
    mkdir -p "$1/$place/upper" "$1/$place/work"
    mount -t overlay overlay -o "lowerdir=/$place,upperdir=$1/$place/upper,workdir=$1/$place/work" "/$place"
done
unset VIRTUAL_ENV
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
python="$2"; tools="$3"
find /usr/local /etc | sort > "$1/before"
cd /
"$python" "$tools/install.py" install
culvert --version
culvert --help
setkey -V
culvert-engine --help 2>&1 || true
ip route show table culvert 2>&1 || true
grep -q '^ExecStart=/usr/local/bin/culvert .*up' /etc/systemd/system/culvert.service
getent group culvert
cp /usr/share/doc/base-files/README /etc/culvert/gateway.toml
culvert check && exit 9
"$python" "$tools/install.py" uninstall
find /usr/local /etc | sort > "$1/after"
diff "$1/before" "$1/after" || true
"""


def test_install_gives_a_working_culvert_and_uninstall_takes_it_away(tmp_path: Path) -> None:
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh", str(tmp_path)]
    interpreter = Path(ROOT / ".venv/bin/python").resolve()
    done = subprocess.run(
        [*command, str(interpreter), str(ROOT / "tools")],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "culvert 0.1.0" in done.stdout
    assert "setkey (culvert) 0.1.0" in done.stdout
    assert "/etc/culvert/gateway.toml:1" in done.stderr, "what is no TOML is said with its line"
    left = [line for line in done.stdout.splitlines() if line.startswith(("< ", "> "))]
    assert all("culvert" in line or line.endswith(("/etc", "lock", "-", "rt_tables.d", "rt_protos.d")) for line in left)
    kept = {line.removeprefix("> ") for line in left if "culvert" in line}
    assert kept == {"/etc/culvert", "/etc/culvert/gateway.toml"}, left
