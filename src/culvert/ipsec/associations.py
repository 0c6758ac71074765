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
    """RFC 4301 section 3.2. An association of ANY serves policies of both modes (setkey's `-m any`)."""

    TUNNEL = "tunnel"
    TRANSPORT = "transport"
    ANY = "any"


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
    """One direction of protected traffic. Keys are octets without repr; `encryption_key` includes the salt.

    `direction` is None where it may serve both, as associations made by hand do. `encryption` is None with AH.
    `selectors` is what comes out of it, or goes in; none: whatever a policy allows. A window of 0 packets lets
    replays in.
    `esn`: sequence numbers of 64 bits (RFC 4303 section 2.2.1). `tfc_padding_octets`: what goes out is padded to this
    length, within the path's MTU (RFC 4303 section 2.7; tunnel mode). `legacy`: algorithms that RFC 8221 advises
    against are allowed. `noecn`: congestion marks stay outside (RFC 6040 forbids it; old peers want it).
    `decap_dscp`, `dont_encap_dscp`: DSCP is copied inwards, is not copied outwards (RFC 4301 section 5.1.2.1).
    """

    source: IPAddress
    destination: IPAddress
    spi: int
    direction: Direction | None
    reqid: int
    encryption: Encryption | None = None
    encryption_key: bytes = field(default=b"", repr=False)
    integrity: Integrity | None = None
    integrity_key: bytes = field(default=b"", repr=False)
    protocol: Protocol = Protocol.ESP
    mode: Mode = Mode.TUNNEL
    encapsulation: Encapsulation | None = None
    replay_window_packets: int = 4096
    selectors: tuple[Selector, ...] = ()
    lifetimes: Lifetimes = Lifetimes()
    esn: bool = False
    tfc_padding_octets: int = 0
    legacy: bool = False
    noecn: bool = False
    decap_dscp: bool = False
    dont_encap_dscp: bool = False

    @property
    def id(self) -> AssociationId:
        return AssociationId(self.destination, self.spi, self.protocol)


def reqid_of(peer: str, child: str) -> int:
    """Give the reqid that ties a child's policies to its associations: 1 to 2^31 - 1, the same at every start."""
    digest = hashlib.sha256(f"{peer}\0{child}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % (2**31 - 1) + 1
