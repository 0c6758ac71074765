"""The state of peers as people see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from culvert.addresses import SocketAddress
from culvert.ipsec.associations import AssociationId, Mode
from culvert.reasons import Refusal


class PeerState(StrEnum):
    """`up`: an IKE SA and every configured child. `idle`: passive or on traffic, and nothing has asked."""

    UP = "up"
    CONNECTING = "connecting"
    IDLE = "idle"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class IkeStatus:
    """An established IKE SA. `nat` is "none", "local", "remote" or "both"; instants are nanoseconds.

    `identity` is what the peer proved to be, and `proven_by` how: "secret" or "certificate".
    """

    version: int
    spi_i: bytes
    spi_r: bytes
    suite: str
    nat: str
    local: SocketAddress
    remote: SocketAddress
    established_at: int
    rekey_at: int | None
    identity: str = ""
    proven_by: str = ""
    certificate_ends_at: int | None = None


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """An established child SA with the traffic agreed on. `encapsulation`: "esp", "udp" (ESP in UDP) or "ah"."""

    name: str
    inbound: AssociationId
    outbound: AssociationId
    local: tuple[str, ...]
    remote: tuple[str, ...]
    cipher: str
    encapsulation: str
    established_at: int
    rekey_at: int | None
    mode: Mode = Mode.TUNNEL


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """All that the core knows about a peer. `reason` and `message` tell why it is not up, or how it last failed.

    With `up` they tell what its children do not carry (PARTIAL), or that these will get no new keys (PFS_MISMATCH,
    REKEY_REFUSED).
    `silent_since`: the instant in nanoseconds from which on nothing was heard of a peer that does not answer.
    """

    name: str
    state: PeerState
    reason: Refusal | None = None
    message: str = ""
    ike: IkeStatus | None = None
    children: tuple[ChildStatus, ...] = ()
    silent_since: int | None = None


@dataclass(frozen=True, slots=True)
class Census:
    """How much the core holds: IKE SAs by how far they are, and child SAs, those about to go included.

    `asking` counts requests that are not answered yet.
    """

    established: int
    setting_up: int
    ending: int
    children: int
    asking: int = 0
