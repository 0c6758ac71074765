"""Programs that seal and open whole packets, spoken to a line at a time: the engine's own functions, and scapy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from culvert.wire.netlink.sa import ReplayWire
from tests.differential.messages import ESN, LEGACY, TRANSPORT, TUNNEL, V4, V6, association, new
from tests.differential.suites import Suite

TREE = Path(__file__).resolve().parents[2]
SCAPY = TREE / "tests/differential/oracle/scapy_oracle.py"


class RefusedError(Exception):
    """A packet was not sealed or not opened; the text says why."""


class NotThereError(Exception):
    """The implementation has no such algorithm."""


@dataclass(frozen=True, slots=True)
class Case:
    """One association: a suite, the mode, the family of its ends, long sequence numbers or not."""

    suite: Suite
    mode: int
    version: int
    esn: bool = False
    spi: int = 0x10001

    def __str__(self) -> str:
        mode = "tunnel" if self.mode == TUNNEL else "transport"
        return f"{self.suite.name} {mode} IPv{self.version}{' ESN' if self.esn else ''}"

    @property
    def ends(self) -> tuple[str, str]:
        """Source and destination of the association."""
        source, destination = V4 if self.version == 4 else V6
        return str(source), str(destination)


class Program:
    """A program that answers lines with lines."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )

    def ask(self, line: str) -> str:
        """Give the answer to a line. Raise EOFError where the program ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        answer = self._process.stdout.readline()
        if not answer:
            raise EOFError(f"the oracle ended with status {self._process.wait()}")
        return answer.rstrip("\n")

    def end(self) -> None:
        """Close its standard input and wait for its end."""
        self._process.communicate(timeout=10)


class Engine:
    """The engine's functions, in a program of the workspace that this builds."""

    def __init__(self) -> None:
        manifest = TREE / "engine/Cargo.toml"
        command = [
            "cargo",
            "build",
            "-q",
            "--release",
            "--locked",
            "--manifest-path",
            str(manifest),
            "-p",
            "culvert-trials",
        ]
        subprocess.run(command, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR", TREE / "engine/target"))
        self._program = Program([str(target / "release/oracle")])

    def end(self) -> None:
        self._program.end()

    def add(self, case: Case) -> None:
        """Add the association, or begin it anew. Raise RefusedError."""
        replay = ReplayWire(64) if case.esn else None
        sa = association(case.suite, case.mode, case.version, case.spi, replay=replay, flags=ESN if case.esn else 0)
        self._ask("add", case, new(sa, (LEGACY, b"")))

    def seal(self, case: Case, packet: bytes) -> bytes:
        """Seal with the next sequence number. Raise RefusedError with the reason."""
        return self._ask("seal", case, packet)

    def open(self, case: Case, packet: bytes) -> bytes:
        """Open. Raise RefusedError with the reason."""
        return self._ask("open", case, packet)

    def _ask(self, verb: str, case: Case, octets: bytes) -> bytes:
        mode = "tunnel" if case.mode == TUNNEL else "transport"
        word, _, rest = self._program.ask(f"{verb} {case.spi} {mode} {octets.hex()}").partition(" ")
        if word != "ok":
            raise RefusedError(rest)
        return bytes.fromhex(rest)


class Scapy:
    """scapy's, with the sequence number given each time."""

    def __init__(self) -> None:
        self._program = Program([sys.executable, str(SCAPY)])

    def end(self) -> None:
        self._program.end()

    def seal(self, case: Case, packet: bytes, sequence: int) -> bytes:
        """Seal. Raise RefusedError or NotThereError."""
        return self._ask("seal", case, packet, sequence)

    def open(self, case: Case, packet: bytes, sequence: int) -> bytes:
        """Open. Raise RefusedError or NotThereError."""
        return self._ask("open", case, packet, sequence)

    def _ask(self, verb: str, case: Case, packet: bytes, sequence: int) -> bytes:
        said = json.loads(self._program.ask(json.dumps(_call(verb, case, packet, sequence))))
        if "missing" in said:
            raise NotThereError(said["missing"])
        if "error" in said:
            raise RefusedError(said["error"])
        return bytes.fromhex(said["packet"])


def _call(verb: str, case: Case, packet: bytes, sequence: int) -> dict[str, Any]:
    suite, attributes = case.suite, case.suite.attributes()
    key = attributes.get("aead") or attributes.get("crypt")
    integrity = attributes.get("auth_truncated")
    return {
        "op": verb,
        "packet": packet.hex(),
        "protocol": suite.protocol,
        "spi": case.spi,
        "sequence": sequence,
        "esn": case.esn,
        "cipher": suite.cipher,
        "key": key.key.hex() if key else "",
        "icv": suite.icv,
        "aead": suite.aead,
        "integrity": suite.integrity,
        "integrity_key": integrity.key.hex() if integrity else "",
        "tunnel": None if case.mode == TRANSPORT else case.ends,
    }
