"""What setkey asks of the host: names, local time, files, and the gateway that steers packets."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from culvert.addresses import IPAddress
from culvert.control.client import Client, NoGatewayError, start_command
from culvert.errors import CulvertError, HostError, Problem
from culvert.setkey.bounds import MAX_FILE_CHARACTERS
from culvert.setkey.dumps import Moment
from culvert.setkey.names import UnknownNameError

SETTLE_S = 120.0
"""How long steering and fencing may take: 100,000 policies take seconds."""
STANDARD_INPUT = "standard input"
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6, None: socket.AF_UNSPEC}


class SystemResolver:
    """The host's resolver, /etc/services and /etc/protocols."""

    def addresses(self, name: str, version: int | None) -> Sequence[IPAddress]:
        try:
            entries = socket.getaddrinfo(name, None, _FAMILIES[version], socket.SOCK_DGRAM)
        except UnicodeError:
            raise UnknownNameError("it is no name of a host") from None
        except OSError as error:
            raise UnknownNameError(f"{error.strerror}") from None
        return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries]

    def service(self, name: str, transport: str) -> int | None:
        try:
            return socket.getservbyname(name, transport) if transport else socket.getservbyname(name)
        except (OSError, ValueError):  # a NUL, or what is no UTF-8
            return None

    def protocol(self, name: str) -> int | None:
        try:
            return socket.getprotobyname(name)
        except (OSError, ValueError):
            return None


class ControlledGateway:
    """The daemon of a run directory, which steers and fences what policies say."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def require(self) -> None:
        """Raise CulvertError where no daemon runs, or does not talk to us."""
        try:
            Client.connect(self._run_dir).close()
        except NoGatewayError:
            what = "policies are refused: an engine runs here, and no gateway that steers packets to it and fences"
            raise HostError(Problem(what, str(self._run_dir), f"Start it: {start_command(self._run_dir)}")) from None

    def settle(self) -> None:
        """Return when all that is in the SPD is steered and fenced. Raise CulvertError."""
        with Client.connect(self._run_dir) as client:
            client.call("settle", timeout_s=SETTLE_S)


def moment() -> Moment:
    """Give this one."""
    return Moment(int(time.time()), os.getpid(), date)


def date(time_s: int) -> str:
    """Give local time as ctime(3) does from the month on."""
    return time.strftime("%b %e %H:%M:%S %Y", time.localtime(time_s))


def read_file(path: Path) -> str:
    """Give the text of a file; `-` is standard input. Raise HostError."""
    if str(path) == "-":
        return _decoded(sys.stdin.buffer.read(MAX_FILE_CHARACTERS + 1))
    try:
        with path.open("rb") as file:
            return _decoded(file.read(MAX_FILE_CHARACTERS + 1))
    except OSError as error:
        raise HostError(Problem(f"cannot be read: {error.strerror}", str(path))) from None


def _decoded(octets: bytes) -> str:
    """Some editors put a byte order mark in front of UTF-8, which nobody sees."""
    return octets.decode(errors="surrogateescape").removeprefix("\ufeff")


def problem_of(error: CulvertError) -> Problem:
    """Give the first of its problems."""
    return error.problems[0] if error.problems else Problem(str(error))
