"""One site of the demonstration: its two files, and the real gateway that runs on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from culvert.errors import CulvertError, Problem
from culvert.lab.chapter import Site
from culvert.lab.host import Host

START_S = 30.0
"""Longest time that a gateway may take to be ready, or a tunnel to be up; usually it is a second."""


class Office:
    """A gateway on `host` for `site`, with `other` as its one peer, which it calls `peer`."""

    def __init__(self, host: Host, site: Site, other: Site, peer: str, directory: Path) -> None:
        self.host, self.site, self.other, self.peer, self.directory = host, site, other, peer, directory
        self.run_dir = directory / "run"
        self.file = directory / "gateway.toml"

    def configure(self, secret: str) -> str:
        """Write gateway.toml and psk.txt as a person would, and give the former's text."""
        text = f"""[gateway]
address  = "{self.site.outside[0]}"
networks = ["{self.site.network[0]}"]

[peers.{self.peer}]
address  = "{self.other.outside[0]}"
networks = ["{self.other.network[0]}"]
"""
        self.directory.mkdir(mode=0o700)
        self.file.write_text(text)
        psk = os.open(self.directory / "psk.txt", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(psk, "w") as file:
            file.write(f"{self.other.outside[0]}    {secret}\n")
        return text

    def configure_alone(self) -> None:
        """Write the least gateway.toml: a stack without peers, for setkey."""
        self.directory.mkdir(mode=0o700)
        self.file.write_text(f'[gateway]\naddress = "{self.site.outside[0]}"\n')

    def run(self, *arguments: str) -> str:
        """Run a command of culvert and give what it prints. Raise CulvertError with what it said where it fails."""
        return str(self.host.run(self.command(*arguments)).stdout)

    def command(self, *arguments: str) -> list[str]:
        """Give the command line of culvert with this gateway's directories."""
        directories = ["--run-dir", str(self.run_dir), "--state-dir", str(self.directory / "state")]
        return [sys.executable, "-m", "culvert", *directories, *arguments]

    def begin(self) -> subprocess.Popen[str]:
        """Start the gateway; the process ends when it is ready. Hand it to `ready`."""
        process: subprocess.Popen[str] = self.host.start(
            self.command("up", "-d", "-c", str(self.file)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return process

    def ready(self, process: subprocess.Popen[str]) -> None:
        """Wait for what `begin` started. Raise CulvertError with what it said where it failed."""
        _, said = process.communicate(timeout=START_S)
        if process.returncode != 0:
            raise CulvertError(Problem(said.strip() or f"exit {process.returncode}", f"{self.host.name}: culvert up"))

    def connect(self) -> None:
        """Wait until the tunnel is up. Raise CulvertError with the reason where it does not come."""
        self.host.run(self.command("connect", self.peer, "--timeout", f"{START_S:.0f}s"), timeout_s=START_S + 10)

    def status(self) -> dict[str, Any]:
        done = self.host.run(self.command("status", "--json"), check=False)
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def prove(self) -> dict[str, Any]:
        """Give the verdict of `culvert prove`, good or not."""
        done = self.host.run(self.command("prove", "--json"), check=False, timeout_s=60)
        try:
            verdict: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            return {"ok": False, "message": done.stderr.strip()}
        return verdict

    def end(self) -> None:
        """Run `culvert down`. Raise CulvertError where something of it stays."""
        self.host.run(self.command("down"), timeout_s=START_S)
