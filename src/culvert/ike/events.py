"""What can happen to the IKE core; each is one call of `Endpoint.step`."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.addresses import IPAddress, SocketAddress
from culvert.config.model import Peer
from culvert.identities import Identity
from culvert.ipsec.associations import AssociationId, Direction
from culvert.reasons import Refusal


@dataclass(frozen=True, slots=True)
class Held:
    """An association that a former process left in the data plane."""

    id: AssociationId
    reqid: int
    direction: Direction


@dataclass(frozen=True, slots=True)
class Configured:
    """The peers are now these: new ones are begun as their `start` says, missing ones ended, the unchanged untouched.

    `identity` is ours where a peer has no `local_identity`; None: the address we use towards it. Of a former process,
    at a start, `checkpoints` are what it kept, and `held` its associations in the data plane. `token_secret` makes the
    tokens of quick crash detection (RFC 6290), and outlives the host's restart. Empty: none.
    """

    peers: tuple[Peer, ...]
    identity: Identity | None = None
    held: tuple[Held, ...] = ()
    checkpoints: tuple[bytes, ...] = field(default=(), repr=False)
    token_secret: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class PathResolved:
    """The answer to ResolvePath: pairs of our address and theirs, to be tried in turn."""

    peer: str
    paths: tuple[tuple[IPAddress, IPAddress], ...]


@dataclass(frozen=True, slots=True)
class PathFailed:
    """The answer to ResolvePath where there is none; `message` is a sentence for people."""

    peer: str
    reason: Refusal
    message: str


@dataclass(frozen=True, slots=True)
class DatagramReceived:
    """One IKE message; on port 4500 the non-ESP marker is gone already."""

    local: SocketAddress
    remote: SocketAddress
    data: bytes


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The instant that `deadline()` gave has come."""


@dataclass(frozen=True, slots=True)
class CalendarSet:
    """What the calendar says: seconds since 1970, UTC, when the core's own clock stood at 0.

    It comes before the first message and whenever the calendar was set right. Certificates are judged by it.
    """

    utc_offset_s: int


@dataclass(frozen=True, slots=True)
class Connect:
    """Bring the peer up now, whatever its `start`."""

    peer: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End the peer's tunnel, and keep it ended until connect, reload or restart."""

    peer: str


@dataclass(frozen=True, slots=True)
class RekeyRequested:
    """Make new keys now: of one child, of all (`child` None), or of the IKE SA."""

    peer: str
    child: str | None = None
    ike: bool = False


@dataclass(frozen=True, slots=True)
class Acquired:
    """Traffic met a policy and no association was there. Addresses, protocol and ports are the packet's.

    Ports are None where it shows none, and ICMP's type and code where it is ICMP.
    """

    reqid: int
    source: IPAddress
    destination: IPAddress
    protocol: int = 0
    source_port: int | None = None
    destination_port: int | None = None


@dataclass(frozen=True, slots=True)
class AssociationExpired:
    """An association passed its soft limit, or ended at its hard one."""

    id: AssociationId
    hard: bool


@dataclass(frozen=True, slots=True)
class MappingChanged:
    """Authentic packets of an inbound association, the newest of it, come in UDP from another address or port."""

    id: AssociationId
    remote: SocketAddress


@dataclass(frozen=True, slots=True)
class UnknownSpi:
    """A packet of ESP or AH came for an association that the data plane does not have; anybody can send one.

    Ports are 0 where it did not come in UDP. Told at a bounded rate.
    """

    local: SocketAddress
    remote: SocketAddress
    protocol: int
    spi: int


@dataclass(frozen=True, slots=True)
class NothingReceived:
    """For some seconds nothing came on the newest inbound association of a child, which had traffic before.

    With `sending`, packets leave on the child meanwhile; then it is told again while that lasts.
    """

    id: AssociationId
    sending: bool


@dataclass(frozen=True, slots=True)
class PathsChanged:
    """The host has exactly these addresses now; packets to these peers take another way than before, or none."""

    addresses: tuple[IPAddress, ...]
    peers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineRestarted:
    """The data plane came back empty: all children must be made anew."""


@dataclass(frozen=True, slots=True)
class DebugSet:
    """From now on these topics, and no others, are told in detail."""

    topics: frozenset[str]


@dataclass(frozen=True, slots=True)
class CheckpointsLost:
    """What is kept for a later process may be out of date: all of it is to be kept again."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Send DELETE to every peer; afterwards the endpoint holds nothing."""


Event = (
    Configured
    | PathResolved
    | PathFailed
    | DatagramReceived
    | DeadlineReached
    | CalendarSet
    | Connect
    | Disconnect
    | RekeyRequested
    | Acquired
    | AssociationExpired
    | MappingChanged
    | UnknownSpi
    | NothingReceived
    | PathsChanged
    | EngineRestarted
    | CheckpointsLost
    | DebugSet
    | Stop
)
