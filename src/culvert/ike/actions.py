"""What the IKE core wants done, in the order in which it must be done."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.addresses import SocketAddress
from culvert.ipsec.associations import AssociationId, SecurityAssociation
from culvert.reasons import Refusal


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send one IKE message; the shell writes the marker on port 4500. One octet 0xff is a NAT keepalive."""

    local: SocketAddress
    remote: SocketAddress
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ResolvePath:
    """Find addresses for the peer and our own towards each; answered by PathResolved or PathFailed."""

    peer: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InstallAssociation:
    """Give the data plane a new association."""

    association: SecurityAssociation
    peer: str
    child: str


@dataclass(frozen=True, slots=True)
class MoveAssociation:
    """Give an association other outer addresses or ports, without a gap: keys and sequence numbers go on.

    `before` is as it stands; an outbound one gets another name by a new destination.
    """

    before: SecurityAssociation
    association: SecurityAssociation


@dataclass(frozen=True, slots=True)
class RemoveAssociation:
    """Take an association away; not an error where it is gone already."""

    id: AssociationId


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Keep these octets under this key, in place of what was there, where a later process finds them; None: forget it.

    It comes before whatever shows that the IKE SA is as it says. Nothing stops where they cannot be kept, but then what
    was there before must be forgotten too. `data` holds keys: never on a disk, never in a log.
    """

    lineage_key: bytes
    data: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Log:
    """Something that a person should be able to read later. `peer` is empty where none is known.

    `topic` is one that somebody turned up, empty for what is always told. `fields` are further words, by name.
    """

    level: int
    peer: str
    message: str
    reason: Refusal | None = None
    topic: str = ""
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PeerChanged:
    """The state of a peer, as `status` shows it, is another; ask `Endpoint.status`."""

    peer: str


Action = (
    Transmit | ResolvePath | InstallAssociation | MoveAssociation | RemoveAssociation | Checkpoint | Log | PeerChanged
)
