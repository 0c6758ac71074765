"""A guest: the stock Debian kernel with all of IPsec, run as an ordinary program (User-Mode Linux), and Python in it.

It sees this machine's files, read-only under a memory file system, so the checkout and its Python are there. One boot
serves many calls. Nothing of it is left when it ends, however that comes about.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[2]
MODULES = Path("/usr/lib/uml/modules")
SHARED_MEMORY = "/dev/shm"  # noqa: S108
"""Where the guest's memory lies: a file system on a disk would write all of it out."""
BOOT_S = 60
"""A boot takes about three seconds; a busy machine may need many times that."""
CALL_S = 60
LIFETIME_S = 900
"""The whole guest's bound, kept by timeout(1): it holds even when the tests were killed."""
MEMORY = "512M"


class GuestError(Exception):
    """The guest did not start, ended, or a call in it failed; the text says all that it said."""


def missing() -> str | None:
    """Say what keeps a guest from running here; None where nothing does."""
    if shutil.which("linux.uml") is None or not any(MODULES.glob("*/kernel")):
        return "needs User-Mode Linux: apt-get install user-mode-linux kmod"
    return None if os.geteuid() == 0 else "needs root, to be root in the guest"


class Guest:
    """A running guest. `call` runs a function of a module of this checkout in it."""

    def __init__(self, process: subprocess.Popen[bytes], line: socket.socket, folder: Path) -> None:
        self._process = process
        self._line = line
        self.folder = folder
        self._received = b""
        self._calls = 0
        self.release = str(self._answer(time.monotonic() + BOOT_S))

    def call(self, function: str, within_s: float = CALL_S, **arguments: Any) -> Any:
        """Call `module:function` with arguments that JSON can hold. Raise GuestError with its traceback."""
        self._calls += 1
        text = json.dumps({"call": function, "with": arguments, "within_s": within_s})
        # The guest's line may stall on more than a few thousand octets at once; its files are ours.
        (self.folder / f"call{self._calls}").write_text(text)
        self._line.sendall(f"call{self._calls}\n".encode())
        return self._answer(time.monotonic() + within_s + 10)

    def shell(self, script: str, within_s: float = CALL_S) -> str:
        """Run a shell script, which ends at its first failure, and give what it printed."""
        return str(self.call("tests.uml.jobs:shell", within_s, script=script))

    def console(self) -> str:
        """Give the end of what kernel and init said."""
        return (self.folder / "console").read_text(errors="replace")[-4000:]

    def end(self) -> None:
        """Have the guest power off; make it, where it does not."""
        self._line.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answer(self, deadline: float) -> Any:
        said = json.loads(self._read_line(deadline))
        if "failed" in said:
            raise GuestError(said["failed"])
        return said["gave"]

    def _read_line(self, deadline: float) -> bytes:
        while b"\n" not in self._received:
            ready, _, _ = select.select([self._line], [], [], max(0, deadline - time.monotonic()))
            octets = self._line.recv(1 << 16) if ready else b""
            if not octets:
                what = "ended" if ready else "does not answer"
                raise GuestError(f"the guest {what}; its console:\n{self.console()}")
            self._received += octets
        line, _, self._received = self._received.partition(b"\n")
        return line


@contextmanager
def guest(inside: Sequence[str] = (), devices: Sequence[str] = ()) -> Iterator[Guest]:
    """Boot a guest. `inside`: the command that enters a namespace; `devices`: words for its kernel's command line."""
    with tempfile.TemporaryDirectory(prefix="guest", dir=SHARED_MEMORY) as name:
        folder = Path(name)
        here, there = socket.socketpair()
        with here:
            with there, (folder / "console").open("wb") as console:
                process = subprocess.Popen(
                    [*inside, *_command(folder, there.fileno()), *devices],
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=subprocess.STDOUT,
                    pass_fds=[there.fileno()],
                    start_new_session=True,
                    env=os.environ | {"TMPDIR": str(folder)},
                )
            try:
                running = Guest(process, here, folder)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
            try:
                yield running
            finally:
                running.end()


def _command(folder: Path, descriptor: int) -> list[str]:
    modules = next(MODULES.glob("*"))
    said = {"modules": modules, "python": sys.executable, "tree": TREE, "line": "/dev/ttyS0", "folder": folder}
    return [
        *("timeout", "--kill-after=5", str(LIFETIME_S)),
        *("env", f"LD_PRELOAD={_registers(folder)}", "linux.uml", f"mem={MEMORY}"),
        *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", "panic=-1"),
        *(f"init={TREE / 'tests/uml/init'}", f"uml_dir={folder}/", "umid=guest"),
        *("con=null", "con0=null,fd:1", "con1=null,fd:1", "ssl=null", f"ssl0=fd:{descriptor}"),
        *(f"culvert.{name}={value}" for name, value in said.items()),
    ]


def _registers(folder: Path) -> Path:
    """Compile what the guest's kernel needs on new processors; its source says what and why."""
    library = folder / "registers.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(TREE / "tests/uml/registers.c")]
    subprocess.run(command, check=True)
    return library
