"""What the core remembers about each configured peer, and what exchanges report about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.addresses import IPAddress
from culvert.config.model import Child, Peer, Start
from culvert.identities import Identity
from culvert.reasons import Refusal

Path = tuple[IPAddress, IPAddress]
"""Our address and theirs."""


@dataclass(slots=True)
class PeerRecord:
    """A configured peer and how far it has come. `own_identity` is the gateway's, for peers without one of their own.

    `demanded` are children that traffic or a person asked for. `ended`: a person ended it. `resolving`: ResolvePath
    is not answered yet. `attempt` is the SPI of an IKE SA that we are setting up. After `failures` in a row,
    traffic begins none before the instant `not_before`.
    """

    peer: Peer
    own_identity: Identity | None = None
    ended: bool = False
    resolving: bool = False
    paths: tuple[Path, ...] = ()
    untried: list[Path] = field(default_factory=list)
    attempt: bytes | None = None
    failures: int = 0
    not_before: int = 0
    demanded: dict[str, None] = field(default_factory=dict)
    refused: dict[str, tuple[Refusal, str]] = field(default_factory=dict)
    reason: Refusal | None = None
    message: str = ""

    def local_identity(self, address: IPAddress) -> Identity:
        """Give who we are towards this peer when we use `address`."""
        return self.peer.local_identity or self.own_identity or Identity.of_address(address)

    def expects(self, presented: Identity) -> bool:
        """Tell whether this peer may present this identity."""
        if self.peer.identity is not None:
            return self.peer.identity.matches(presented)
        return any(Identity.of_address(address).matches(presented) for address in self.remote_addresses())

    def remote_addresses(self) -> list[IPAddress]:
        """Give the peer's addresses as far as they are known."""
        return list(dict.fromkeys(remote for _, remote in self.paths))

    def wants(self, child: Child) -> bool:
        """Tell whether this child should be there now."""
        return not self.ended and (start_of(self.peer, child) is Start.ALWAYS or child.name in self.demanded)

    def wanted(self) -> list[Child]:
        return [child for child in self.peer.children if self.wants(child)]

    def child(self, name: str) -> Child | None:
        return next((child for child in self.peer.children if child.name == name), None)


def start_of(peer: Peer, child: Child) -> Start:
    """Give the more reserved of the peer's `start` and the child's."""
    for start in (Start.PASSIVE, Start.TRAFFIC):
        if start in (peer.start, child.start):
            return start
    return Start.ALWAYS


@dataclass(frozen=True, slots=True)
class SetUpFailed:
    """An IKE SA that we began did not come to be."""

    peer: str
    reason: Refusal
    message: str


@dataclass(frozen=True, slots=True)
class CallRefused:
    """Somebody who says it is this peer called, and was not let in."""

    peer: str
    reason: Refusal
    message: str


@dataclass(frozen=True, slots=True)
class Established:
    """An IKE SA is authenticated."""

    peer: str
    lineage: int


@dataclass(frozen=True, slots=True)
class Lost:
    """An established IKE SA is gone, and its children with it."""

    peer: str
    reason: Refusal
    message: str


@dataclass(frozen=True, slots=True)
class ChildUp:
    """A child has its associations."""

    peer: str
    child: str


@dataclass(frozen=True, slots=True)
class ChildDown:
    """A child was refused, or ended by the peer."""

    peer: str
    child: str
    reason: Refusal
    message: str


Outcome = SetUpFailed | CallRefused | Established | Lost | ChildUp | ChildDown
