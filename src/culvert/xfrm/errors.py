"""What the data plane refuses, with its errno and what a person can do about it."""

from __future__ import annotations

import errno as numbers
import os

from culvert.errors import CulvertError, Problem
from culvert.wire.netlink.framing import ParseError

WHERE = "the data plane"

_WHAT_TO_DO = {
    numbers.EPERM: "Run the command as root.",
    numbers.EACCES: "Run the command as root.",
    numbers.ENOENT: "Start the gateway: culvert up",
    numbers.ECONNREFUSED: "Start the gateway: culvert up",
    numbers.ECONNRESET: "The gateway starts another engine by itself; where it does not: culvert up",
    numbers.ETIMEDOUT: "Look into the engine's log, and start the gateway anew: culvert down, then culvert up",
    numbers.EEXIST: "Remove the one that is there first.",
    numbers.ENOSYS: "Choose another algorithm.",
    numbers.ENETUNREACH: "Look at the routes: ip route",
    numbers.EPROTO: "Engine and gateway must be of the same version: install both again.",
}


class NotOursError(ParseError):
    """A sound entry of the kernel's tables that we have no words for, such as IPComp; it is left alone."""


class XfrmError(CulvertError):
    """A request that was refused, or that nobody is left to answer. `errno` is positive."""

    def __init__(self, errno: int, message: str = "", where: str = WHERE) -> None:
        self.errno = errno
        self.message = message or os.strerror(errno)
        super().__init__(Problem(self.message, where, _WHAT_TO_DO.get(errno, "")))


def lost(message: str) -> XfrmError:
    """The data plane went away while something waited for it."""
    return XfrmError(numbers.ECONNRESET, message)
