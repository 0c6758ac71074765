"""What setting up a tunnel costs a gateway: processor time and memory for each, beside strongSwan's in the same run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import NEAR, SECRET, SOURCES, Load
from culvert.lab.host import Host
from culvert.lab.lab import Lab
from tests.interop.charon import Charon

GATEWAY = "10.0.0.1"
WARM_UP = 50
"""Set-ups that are not counted: libraries are loaded, tables grow."""
TICKS_PER_SECOND = 100


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one set-up at the responder: seconds of processor time, and octets that it keeps."""

    processor_s: float
    octets: float

    @property
    def each_second(self) -> float:
        """How many one core does in a second."""
        return 1 / self.processor_s


def cost(way: str, count: int, folder: Path) -> Cost:
    """Set up `count` tunnels to a gateway of this kind. Raise RuntimeError where not all come to stand."""
    with Lab() as lab:
        load, gateway = lab.host("load"), lab.host("gateway")
        sources = [f"10.0.1.{number}" for number in range(1, SOURCES + 1)]
        lab.link((load, "eth0", tuple(f"{one}/16" for one in sources)), (gateway, "eth0", (f"{GATEWAY}/16",)))
        with WAYS[way](gateway, count + WARM_UP, folder) as pid:
            callers = Load(load, sources, GATEWAY)
            try:
                return _measure(callers, pid, count)
            finally:
                callers.close()


def _measure(callers: Load, pid: int, count: int) -> Cost:
    _all_of(callers, range(WARM_UP))
    spent, held = _spent_s(pid), _held(pid)
    _all_of(callers, range(WARM_UP, WARM_UP + count))
    return Cost((_spent_s(pid) - spent) / count, (_held(pid) - held) / count)


def _all_of(callers: Load, numbers: range) -> None:
    stand = callers.set_up(numbers)
    if stand != len(numbers):
        raise RuntimeError(f"{stand} of {len(numbers)} tunnels came to stand")


def _spent_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def _held(pid: int) -> int:
    """Give the resident memory in octets."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@contextmanager
def culvert(gateway: Host, peers: int, _folder: Path) -> Iterator[int]:
    """Our core and shell, with a fake engine."""
    command = [sys.executable, "-m", "bench.responder", GATEWAY, str(peers)]
    process = gateway.start(command, stdout=subprocess.PIPE)
    if process.stdout is None or not process.stdout.readline():
        raise RuntimeError("the responder did not start")
    yield process.pid


@contextmanager
def strongswan(gateway: Host, _peers: int, folder: Path) -> Iterator[int]:
    """charon with its user-space plugin, no routes, no log: the nearest to a fake kernel that Debian packages."""
    daemon = Charon(gateway.namespace, folder, _connections(), settings=SETTINGS, quiet=True)
    try:
        yield daemon.pid
    finally:
        daemon.stop()


SETTINGS = "install_routes = no\n  dos_protection = no"


def _connections() -> str:
    return f"""connections {{
  load {{
    version = 2
    local_addrs = {GATEWAY}
    proposals = aes128gcm16-prfsha256-x25519
    unique = never
    local {{ auth = psk
      id = hub.example.org }}
    remote {{ auth = psk
      id = *.load.example.org }}
    children {{ net {{
        local_ts = {NEAR}
        remote_ts = 10.64.0.0/10
        esp_proposals = aes128gcm16
        rekey_time = 0
    }} }}
  }}
}}
secrets {{ ike-load {{ secret = "{SECRET.decode()}" }} }}
"""


WAYS = {"culvert": culvert, "strongSwan": strongswan}
