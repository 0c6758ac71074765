"""Security associations as plain values (RFC 4301 section 4.4.2)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from culvert.addresses import IPAddress
from culvert.crypto.transforms import Encryption, Integrity
from culvert.ipsec.lifetimes import Lifetimes
from culvert.ipsec.selectors import Selector


class Mode(StrEnum):
    """RFC 4301 section 3.2."""

    TUNNEL = "tunnel"
    TRANSPORT = "transport"


class Direction(StrEnum):
    """Which way an association or a policy works."""

    IN = "in"
    OUT = "out"
    FORWARD = "fwd"


class Protocol(StrEnum):
    """The IPsec protocol of an association; `number` is IANA's."""

    ESP = "esp"
    AH = "ah"

    @property
    def number(self) -> int:
        return 50 if self is Protocol.ESP else 51


@dataclass(frozen=True, slots=True)
class Encapsulation:
    """ESP in UDP (RFC 3948). Ports as seen from the association's source."""

    source_port: int
    destination_port: int


@dataclass(frozen=True, slots=True)
class AssociationId:
    """What makes an association unique."""

    destination: IPAddress
    spi: int
    protocol: Protocol = Protocol.ESP

    def __str__(self) -> str:
        return f"{self.protocol} 0x{self.spi:08x} to {self.destination}"


@dataclass(frozen=True, slots=True)
class SecurityAssociation:
    """One direction of protected traffic. Keys are octets without repr; `encryption_key` includes the salt."""

    source: IPAddress
    destination: IPAddress
    spi: int
    direction: Direction
    reqid: int
    encryption: Encryption
    encryption_key: bytes = field(repr=False)
    integrity: Integrity | None = None
    integrity_key: bytes = field(default=b"", repr=False)
    protocol: Protocol = Protocol.ESP
    mode: Mode = Mode.TUNNEL
    encapsulation: Encapsulation | None = None
    replay_window_packets: int = 4096
    selectors: tuple[Selector, ...] = ()
    lifetimes: Lifetimes = Lifetimes()

    @property
    def id(self) -> AssociationId:
        return AssociationId(self.destination, self.spi, self.protocol)


def reqid_of(peer: str, child: str) -> int:
    """Give the reqid that ties a child's policies to its associations: 1 to 2^31 - 1, the same at every start."""
    digest = hashlib.sha256(f"{peer}\0{child}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % (2**31 - 1) + 1
