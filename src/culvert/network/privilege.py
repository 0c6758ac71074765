"""What this process may do, as its capabilities say (capabilities(7))."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path


class Capability(IntEnum):
    """The capabilities that a gateway or the lab needs, by their bit."""

    CAP_NET_BIND_SERVICE = 10
    CAP_NET_ADMIN = 12
    CAP_NET_RAW = 13
    CAP_SYS_ADMIN = 21


FOR_A_GATEWAY = (Capability.CAP_NET_ADMIN, Capability.CAP_NET_RAW, Capability.CAP_NET_BIND_SERVICE)
FOR_THE_LAB = (Capability.CAP_NET_ADMIN, Capability.CAP_NET_RAW, Capability.CAP_SYS_ADMIN)


def effective_capabilities(status: str | None = None) -> frozenset[Capability]:
    """Give the effective ones of this process, or of the text of a /proc/PID/status."""
    text = Path("/proc/self/status").read_text() if status is None else status
    line = next((line for line in text.splitlines() if line.startswith("CapEff:")), "CapEff: 0")
    bits = int(line.split()[1], 16)
    return frozenset(capability for capability in Capability if bits >> capability & 1)
