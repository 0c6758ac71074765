"""One gateway in the simulated world: a process, a data plane, and a place in the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from culvert.addresses import IPAddress, SocketAddress
from culvert.config.model import Child
from culvert.ike.actions import Action
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import Configured, Event
from culvert.ike.status import PeerState
from culvert.ipsec.associations import AssociationId
from culvert.sim.nat import Nat
from culvert.sim.planes import DataPlane

UTC_OFFSET_S = 1_800_000_000
"""The worlds begin on 15 January 2027."""


class Core(Protocol):
    """What the world needs of an endpoint. A test may wrap one, to see its faults found."""

    def step(self, event: Event, now: int) -> list[Action]: ...

    def deadline(self) -> tuple[int, str] | None: ...


@dataclass(slots=True)
class Node:
    """An endpoint with its address and its data plane. Behind a NAT, `nat` is what others see of it.

    `blobs` are checkpoints, which the data plane keeps. `lives` counts processes.
    """

    name: str
    address: IPAddress
    endpoint: Endpoint
    plane: DataPlane
    seed: int = 0
    nat: Nat | None = None
    configured: Configured | None = None
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    lives: int = 1
    utc_offset_s: int = UTC_OFFSET_S
    """What the calendar of its machine says at the beginning of the world."""
    dies_after: int | None = None
    """After how many actions of its next event that has some the process is killed."""
    stopped: bool = False
    lost: bool = False
    """The data plane was emptied behind the endpoint's back, so that the one may hold less than the other knows."""

    def children(self, peer: str) -> list[Child]:
        """Give what is configured for a peer."""
        peers = self.configured.peers if self.configured else ()
        return [child for known in peers if known.name == peer for child in known.children]

    def all_children(self) -> list[Child]:
        return [child for peer in (self.configured.peers if self.configured else ()) for child in peer.children]

    def keep(self, key: bytes, data: bytes | None) -> None:
        """Keep a checkpoint for the process that comes after, or forget it."""
        if data is None:
            self.blobs.pop(key, None)
        else:
            self.blobs[key] = data

    def lose(self) -> None:
        """Empty the data plane, with all that it keeps."""
        self.plane.flush()
        self.blobs = {}

    @property
    def inherited(self) -> dict[AssociationId, None]:
        """Associations of a former process that no child of this one owns."""
        return {id_: None for several in self.endpoint.state.inherited.values() for id_ in several}

    def up(self, peer: str) -> bool:
        """Tell whether this end says that the tunnel to a peer is up."""
        status = self.endpoint.statuses().get(peer)
        return status is not None and status.state is PeerState.UP

    def seen(self, local: SocketAddress, remote: SocketAddress, now: int) -> SocketAddress | None:
        """Give the source that others see for a datagram, or None where it cannot leave: the address is not ours."""
        if local.ip != self.address:
            return None
        return self.nat.outward(local, remote, now) if self.nat else local

    def behind(self, remote: SocketAddress) -> bool:
        """Tell whether datagrams to `remote` lead here, whoever may send them."""
        if self.nat is None:
            return remote.ip == self.address
        return remote.ip == self.nat.public and self.nat.leads_to(remote.port) == self.address
