"""A packet as it was captured."""

from __future__ import annotations

from dataclasses import dataclass, field

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD
OUTGOING = 4
"""PACKET_OUTGOING: sent by this host. The others came in: 0 for us, 1 broadcast, 2 multicast, 3 for another host."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One packet, from its network header on.

    `time_ns`: nanoseconds since 1970, by the kernel. `kind`: PACKET_OUTGOING and its like. `hardware`: ARPHRD_*.
    `address`: the sender on the link, 8 octets at most.
    """

    time_ns: int
    interface: str
    ethertype: int
    kind: int
    octets: bytes = field(repr=False)
    hardware: int = 1
    address: bytes = b""

    @property
    def outgoing(self) -> bool:
        return self.kind == OUTGOING
