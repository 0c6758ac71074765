"""What the core remembers about each configured peer, and what exchanges report about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from culvert.addresses import IPAddress
from culvert.config.model import Authentication, Child, Peer, Start
from culvert.crypto.certificates.carrying import own_identity
from culvert.identities import Identity, IdentityType
from culvert.ike.parts import Parts, Sides, Splitting
from culvert.reasons import Refusal

Path = tuple[IPAddress, IPAddress]
"""Our address and theirs."""
ADDRESS_TYPES = (IdentityType.IPV4_ADDR, IdentityType.IPV6_ADDR)

FAILED = Refusal.AUTHENTICATION_FAILED
PROOF_FAILURES = (
    *(one for one in Refusal if one.name.startswith("CERTIFICATE_")),
    Refusal.REVOCATION_UNKNOWN,
    Refusal.NO_CERTIFICATE,
    Refusal.CALENDAR_UNKNOWN,
)
"""What a failed authentication is in detail, on our side; the peer says no more than that it failed."""


@dataclass(slots=True)
class PeerRecord:
    """A configured peer and how far it has come. `own_identity` is the gateway's, for peers without one of their own.

    `demanded` are children that traffic or a person asked for. `ended`: a person ended it. `resolving`: ResolvePath
    is not answered yet. `attempts` are the SPIs of IKE SAs that we are setting up, the last one begun at `called_at`;
    `untried` are ways that none of them takes. `sought_at`: when a stranger's call made us ask for its name. It refused
    us `refusals` times in a row; traffic begins none before the instant `not_before`. `inherited`: the data plane still
    holds associations that a former process made with this peer. `refused` tells by child why it is missing; the key ""
    is what the peer asked for and we refused. `rekeyed` are children that got keys with a group negotiated, `unrekeyed`
    tells why others get none. `parts` tells how each child is asked for, part by part. `turned_away` is why we did not
    let the peer in when it called. `known_by` and `addresses` are what the peer may present and where it may be,
    without a configured identity; `reqids` are its children's.
    """

    peer: Peer
    own_identity: Identity | None = None
    ended: bool = False
    resolving: bool = False
    paths: tuple[Path, ...] = ()
    untried: list[Path] = field(default_factory=list)
    attempts: dict[bytes, None] = field(default_factory=dict)
    called_at: int = 0
    sought_at: int = 0
    refusals: int = 0
    not_before: int = 0
    demanded: dict[str, None] = field(default_factory=dict)
    refused: dict[str, tuple[Refusal, str]] = field(default_factory=dict)
    rekeyed: dict[str, None] = field(default_factory=dict)
    unrekeyed: dict[str, tuple[Refusal, str]] = field(default_factory=dict)
    parts: dict[str, Parts] = field(default_factory=dict)
    turned_away: tuple[Refusal, str] | None = None
    inherited: bool = False
    known_by: tuple[Identity, ...] = ()
    addresses: tuple[IPAddress, ...] = ()
    reqids: dict[int, Child] = field(default_factory=dict)
    reason: Refusal | None = None
    message: str = ""

    def local_identity(self, address: IPAddress) -> Identity:
        """Give who we are towards this peer when we use `address`: as configured, else as our certificate says."""
        configured = self.peer.local_identity or self.own_identity
        if configured is None and self.peer.own_auth is Authentication.CERTIFICATE and self.peer.credential is not None:
            return own_identity(self.peer.credential.certificate, address)
        return configured or Identity.of_address(address)

    def expects(self, presented: Identity) -> bool:
        """Tell whether this peer may present this identity; without a configured one, any address or name of its."""
        if self.peer.identity is not None:
            return self.peer.identity.matches(presented)
        return any(known.matches(presented) for known in self.known_by)

    @property
    def awaited(self) -> str:
        """Name whom this peer is expected to be, for people."""
        return str(self.peer.identity) if self.peer.identity else " or ".join(map(str, self.known_by))

    def may_be_at(self, address: IPAddress) -> bool:
        """Tell whether this peer is known to be at an address, written or resolved."""
        return address in self.addresses

    @property
    def named(self) -> bool:
        """Tell whether it is written by a name, whose address may be another one tomorrow."""
        return any(not _is_address(text) for text in self.peer.addresses)

    @property
    def may_move(self) -> bool:
        """Tell whether it may call from an address that is not known: one with an identity, or written as a name."""
        return self.peer.identity is not None or any(one.type is IdentityType.FQDN for one in self.known_by)

    def fail(self, reason: Refusal | None, message: str) -> None:
        """Remember why it is not up. Why we turned the peer away says more than the same reason from its mouth."""
        told = self.turned_away
        same = told is not None and (told[0] is reason or (reason is FAILED and told[0] in PROOF_FAILURES))
        self.reason, self.message = told if told is not None and same else (reason, message)

    def forgive(self) -> None:
        """Forget what went wrong before."""
        self.reason, self.message, self.turned_away, self.refused = None, "", None, {}
        for parts in self.parts.values():
            parts.forget_refusals()

    def parts_of(self, child: str) -> Parts:
        """Give how a child is asked for."""
        if child not in self.parts:
            begun = Splitting.PAIRS if self.peer.split else Splitting.WHOLE
            self.parts[child] = Parts(begun, begun)
        return self.parts[child]

    def __post_init__(self) -> None:
        self.reqids = {child.reqid: child for child in self.peer.children}
        self.learn(())

    def learn(self, paths: tuple[Path, ...]) -> None:
        """Take over the paths that were found. A peer is known by all of its addresses and by the names written."""
        self.paths = paths
        written = [one for text in self.peer.addresses if (one := _identity(text)) is not None]
        found = [Identity.of_address(remote) for _, remote in paths]
        self.known_by = tuple(dict.fromkeys((*found, *written)))
        self.addresses = tuple(ip_address(one.value) for one in self.known_by if one.type in ADDRESS_TYPES)

    def wants(self, child: Child) -> bool:
        """Tell whether this child should be there now."""
        return not self.ended and (start_of(self.peer, child) is Start.ALWAYS or child.name in self.demanded)

    def wanted(self) -> list[Child]:
        return [child for child in self.peer.children if self.wants(child)]

    def child(self, name: str) -> Child | None:
        return next((child for child in self.peer.children if child.name == name), None)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _identity(text: str) -> Identity | None:
    try:
        return Identity.parse(text)
    except ValueError:
        return None


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
class Reached:
    """An IKE SA that we began was answered, and goes on to IKE_AUTH."""

    peer: str


@dataclass(frozen=True, slots=True)
class Silent:
    """A request of ours was repeated and is not answered: the peer may be gone."""

    peer: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A peer that was silent answers again."""

    peer: str


@dataclass(frozen=True, slots=True)
class StrangerCalled:
    """Somebody called who says it is an address that no peer is known to have; a name may have it by now."""

    peer: str = ""


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
class Confirmed:
    """The peer has our answers in this IKE SA, so that we may send on what it made there."""

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
    """A child has its associations, or a part of it. `began`: we asked for it."""

    peer: str
    child: str
    began: bool


@dataclass(frozen=True, slots=True)
class ChildNarrowed:
    """The peer gave less than we asked for."""

    peer: str
    child: str
    asked: Sides
    answered: Sides


@dataclass(frozen=True, slots=True)
class ChildDown:
    """A child was refused, or ended by the peer; `sides` is the part of it that this is about."""

    peer: str
    child: str
    reason: Refusal
    message: str
    sides: Sides | None = None


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """A child got keys in an exchange that negotiates groups; with a `reason`, one end refused it new ones."""

    peer: str
    child: str
    reason: Refusal | None = None
    message: str = ""


Outcome = (
    SetUpFailed
    | Reached
    | Silent
    | Answered
    | StrangerCalled
    | CallRefused
    | Established
    | Confirmed
    | Lost
    | ChildUp
    | ChildNarrowed
    | ChildDown
    | Rekeyed
)
