"""IKE SAs, their successors and their children as plain values, so that they can be written down and taken up again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from culvert.addresses import SocketAddress
from culvert.config.model import Child, Peer
from culvert.crypto.key_exchange import KeyExchangeState
from culvert.crypto.keys import IkeKeys
from culvert.crypto.transforms import KeyExchange
from culvert.identities import Identity
from culvert.ike.negotiation import Suite
from culvert.ike.parts import Sides
from culvert.ipsec.associations import Protocol, SecurityAssociation
from culvert.ipsec.coverage import Selectors
from culvert.reasons import Refusal


class IkeState(StrEnum):
    """Where an IKE SA stands. `table.py` says what is legal in each state."""

    INIT_SENT = "init-sent"
    AUTH_SENT = "auth-sent"
    HALF_OPEN = "half-open"
    ESTABLISHED = "established"
    UNDECIDED = "undecided"  # made by the peer's side of a rekey collision whose outcome is open (2.8.2)
    REPLACED = "replaced"  # a successor is there; only its DELETE is awaited
    DELETING = "deleting"
    CLOSED = "closed"  # answers repeated requests from its window, nothing else


@dataclass(frozen=True, slots=True)
class SetUp:
    """IKE_SA_INIT and IKE_AUTH, as initiator."""


@dataclass(frozen=True, slots=True)
class CreateChild:
    """A child that is configured and not there, or what of it is missing. `method`: the group that the peer asked for.

    `asked` is what the try before asked for, where this one is to ask for the same.
    """

    child: str
    method: int | None = None
    asked: Sides | None = None


@dataclass(frozen=True, slots=True)
class RekeyChild:
    """A successor for the child with this inbound SPI. `method` as in CreateChild. `trial`: it only has to show that
    the peer makes one.
    """

    spi_in: int
    method: int | None = None
    trial: bool = False


@dataclass(frozen=True, slots=True)
class RekeyIke:
    """A successor for the IKE SA itself. `any_prf`: the peer does not take the PRF of the one that stands any more."""

    method: int | None = None
    any_prf: bool = False


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """The end of a child. `orphan`: only the peer has it, since we did not take its answer."""

    spi_in: int
    orphan: bool = False
    protocol: Protocol = Protocol.ESP


@dataclass(frozen=True, slots=True)
class DeleteIke:
    """The end of the IKE SA, with all of its children where it is the current one of its lineage."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell a responder that its proof was not accepted (RFC 7296 section 2.21.2)."""


@dataclass(frozen=True, slots=True)
class Liveness:
    """An empty INFORMATIONAL: are you there? (RFC 7296 section 2.4)."""


@dataclass(frozen=True, slots=True)
class InvalidSpi:
    """Tell the peer that it sends on an association that we do not have (RFC 7296 section 1.5)."""

    spi: int


Task = SetUp | CreateChild | RekeyChild | RekeyIke | DeleteChild | DeleteIke | Refuse | Liveness | InvalidSpi


@dataclass(slots=True)
class ChildOffer:
    """What we asked for in an exchange that makes a child: selectors of ours and of the peer's.

    `rekeys` is the inbound SPI of the old one.
    `rival` is that of the successor which the peer made of the same old one meanwhile (RFC 7296 section 2.8.1).
    `early`: when we asked, the peer may not have known the old one yet.
    """

    child: Child
    local: Selectors
    remote: Selectors
    spi_in: int
    nonce: bytes
    private: KeyExchangeState | None = field(default=None, repr=False)
    method: KeyExchange | None = None
    rekeys: int | None = None
    rival: int | None = None
    early: bool = False

    @property
    def sides(self) -> Sides:
        return self.local, self.remote

    @property
    def asked(self) -> Child:
        """The child as if what was asked for were all of it."""
        return replace(self.child, local=self.local, remote=self.remote)


@dataclass(slots=True)
class IkeOffer:
    """What we asked for in IKE_SA_INIT, or in the rekey of an IKE SA; `spi` is ours for the new one."""

    spi: bytes
    nonce: bytes
    private: KeyExchangeState = field(repr=False)
    method: KeyExchange


@dataclass(slots=True)
class Outstanding:
    """Our one request under way, in one datagram or in its fragments; `smaller` is the same in smaller ones.

    `sent_at`: when it was sent for the last time.
    """

    message_id: int
    datagrams: tuple[bytes, ...] = field(repr=False)
    task: Task
    offer: ChildOffer | IkeOffer | None = None
    transmissions: int = 1
    smaller: tuple[bytes, ...] = field(default=(), repr=False)
    sent_at: int = 0


@dataclass(slots=True)
class Window:
    """Message IDs of both directions, window size 1 (RFC 7296 section 2.3).

    `last_request` is the digest of the datagram that, when it comes again, is answered with `last_response` again;
    `astray` counts how often it was, to another address than the peer's.
    """

    next_request: int = 0
    outstanding: Outstanding | None = None
    expected: int = 0
    last_request: bytes = b""
    last_response: tuple[bytes, ...] = field(default=(), repr=False)
    astray: int = 0


@dataclass(slots=True)
class IkeSa:
    """One IKE SA. `initiator`: we began it. `nonce_i` and `nonce_r` are those that made its keys.

    `peer_hashes` are those that the peer lets us sign with. `other_authorities`: it asks for certificates, and names
    none of those that ours comes from. `fragmentation`: both ends take fragments. `narrow`: the path turned out to need
    small ones. `childless`: the responder takes an IKE_AUTH without a child; `first_child` is the one that is to come
    with it, None for none. `unconfirmed`: we made it by answering, in place of another, and nothing shows yet that the
    peer has our answer. `epoch` counts the processes that had it before this one; each counts its `ivs_used` from zero.
    `ask_at`: when the peer is to be asked whether it is there, whatever was heard of it since; 0: by the configured
    interval. `crash_token` is what the peer shows when it has lost the IKE SA; `token_due`: ours for it is another now.
    """

    lineage: int
    initiator: bool
    spi_i: bytes
    spi_r: bytes
    state: IkeState
    local: SocketAddress
    remote: SocketAddress
    created_at: int
    peer: str = ""
    nonce_i: bytes = b""
    nonce_r: bytes = b""
    suite: Suite | None = None
    keys: IkeKeys | None = field(default=None, repr=False)
    init_request: bytes = field(default=b"", repr=False)
    init_response: bytes = field(default=b"", repr=False)
    nat_local: bool = False
    nat_remote: bool = False
    peer_is_culvert: bool = False
    fragmentation: bool = False
    peer_hashes: tuple[int, ...] = ()
    other_authorities: bool = False
    narrow: bool = False
    childless: bool = False
    crash_token: bytes = field(default=b"", repr=False)
    token_due: bool = False
    first_source: SocketAddress | None = None
    window: Window = field(default_factory=Window)
    unconfirmed: bool = False
    epoch: int = 0
    ivs_used: int = 0
    last_heard: int = 0
    ask_at: int = 0
    established_at: int = 0
    identity: Identity | None = None
    restarts: int = 0
    cookie: bytes = b""
    first_child: str | None = None
    hint: tuple[Refusal, str] | None = None

    @property
    def spi(self) -> bytes:
        """Our own SPI, by which messages to us are found."""
        return self.spi_i if self.initiator else self.spi_r

    @property
    def lowest_nonce(self) -> bytes:
        """The lower of its two nonces, which decides collisions (RFC 7296 section 2.8.1)."""
        return min(self.nonce_i, self.nonce_r)


@dataclass(slots=True)
class ChildSa:
    """A pair of associations. `initiator`: we began the exchange that made it.

    `waiting`: its outbound association is not in use yet, because the peer still may not know the inbound one.
    `answered_in` is our SPI of the IKE SA in which we answered that exchange, while nothing shows yet that our answer
    arrived. `replaces` is the inbound SPI of the one before, which may be an older lineage's.
    """

    child: Child
    inbound: SecurityAssociation
    outbound: SecurityAssociation
    local: Selectors
    remote: Selectors
    suite: Suite
    established_at: int
    lowest_nonce: bytes
    initiator: bool
    answered_in: bytes = b""
    waiting: bool = False
    replaces: int | None = None
    replaced_by: int | None = None
    redundant: bool = False
    deleting: bool = False

    @property
    def sides(self) -> Sides:
        return self.local, self.remote

    @property
    def spi_in(self) -> int:
        return self.inbound.spi

    @property
    def spi_out(self) -> int:
        return self.outbound.spi

    @property
    def protocol(self) -> Protocol:
        return self.inbound.protocol

    @property
    def unconfirmed(self) -> bool:
        """The peer may not know of it yet."""
        return bool(self.answered_in)

    @property
    def current(self) -> bool:
        """Nothing replaces it and nobody ends it."""
        return self.replaced_by is None and not self.redundant and not self.deleting


@dataclass(slots=True)
class Lineage:
    """An IKE SA with its successors; children and waiting exchanges belong to it, not to one key's lifetime.

    `initiator`: we began the first one. `began_at`: when its first message was sent or came; `established_at`: when
    that one was authenticated. `rival` is the SPI of the IKE SA that the peer made while our own rekey of the same
    one was under way. `lingering` are closed ones that still answer what is repeated. `confirmed`: something shows that
    the peer, too, has the first one established. `silent`: a request was repeated and is not answered; nothing follows
    from that but that the peer is called beside it. `sends_since`: when the data plane got its last outbound
    association, for packets leave on the newest. `spi_told_at`: when we last told it of an SPI that we do not have.
    `certificates` are those by which the peer proved itself, its own first; `believed_until_s` is when they have
    to be looked at again, in seconds since 1970.
    """

    number: int
    peer: Peer | None
    current: bytes
    initiator: bool
    began_at: int
    lowest_nonce: bytes = b""
    members: list[bytes] = field(default_factory=list)
    lingering: list[bytes] = field(default_factory=list)
    children: dict[int, ChildSa] = field(default_factory=dict)
    queue: list[Task] = field(default_factory=list)
    rival: bytes | None = None
    closing: bool = False
    established: bool = False
    established_at: int = 0
    confirmed: bool = False
    silent: bool = False
    sends_since: int = 0
    spi_told_at: int | None = None
    retries: int = 0
    retry_at: int | None = None
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    believed_until_s: int | None = None
