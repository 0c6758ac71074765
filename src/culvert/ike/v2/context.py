"""Everything that exchanges work on: one mutable value, handed from function to function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Peer
from culvert.entropy import Entropy, below
from culvert.identities import Identity
from culvert.ike.actions import Action, Log, PeerChanged
from culvert.ike.cookies import Cookies
from culvert.ike.directory import Directory
from culvert.ike.half_open import HalfOpen
from culvert.ike.logs import DEBUG, IKE, INFO, Limiter, printable
from culvert.ike.pace import Pace
from culvert.ike.rates import Rates
from culvert.ike.records import Outcome
from culvert.ike.timers import Timers
from culvert.ike.v2.reassembly import Reassemblies
from culvert.ike.v2.sa import IkeSa, Lineage
from culvert.ipsec.associations import AssociationId
from culvert.limits import (
    HINT_INTERVAL_NS,
    HINT_PATIENCE_NS,
    SEARCH_INTERVAL_NS,
    SEARCH_PATIENCE_NS,
    TRACE_BURST,
    TRACES_PER_S,
)
from culvert.reasons import Refusal
from culvert.wire.isakmp.header import NO_SPI

NONCE_OCTETS = 32
"""Half the longest PRF output and more (RFC 7296 section 2.10)."""
LOWEST_CHILD_SPI = 0x100
"""Up to 255 are reserved (RFC 4303 section 2.1)."""


def _trace_limiter() -> Limiter:
    return Limiter(TRACE_BURST, TRACE_BURST, SECOND // TRACES_PER_S)


@dataclass(slots=True)
class Context:
    """State and outlets of the IKEv2 core. `now` is the instant of the event under way, in nanoseconds."""

    entropy: Entropy
    cookies: Cookies
    now: int = 0
    actions: list[Action] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    timers: Timers = field(default_factory=Timers)
    limiter: Limiter = field(default_factory=Limiter)
    unprotected: Rates = field(default_factory=Rates)
    """Bounds the answers that we give without protection, to whoever asks."""
    hints: Pace = field(default_factory=lambda: Pace(HINT_INTERVAL_NS, HINT_PATIENCE_NS))
    """Bounds the questions whether a peer is there that something hints at."""
    searches: Pace = field(default_factory=lambda: Pace(SEARCH_INTERVAL_NS, SEARCH_PATIENCE_NS))
    """Bounds the names that are asked for because a stranger called."""
    peers: Directory = field(default_factory=Directory)
    lineages: dict[int, Lineage] = field(default_factory=dict)
    sas: dict[bytes, IkeSa] = field(default_factory=dict)
    first_messages: dict[tuple[bytes, SocketAddress], bytes] = field(default_factory=dict)
    child_owners: dict[int, int] = field(default_factory=dict)
    sending: dict[AssociationId, str] = field(default_factory=dict)
    """Whose children the outbound associations are, by the names of peers: those behind one NAT share an address."""
    leaving: dict[int, AssociationId] = field(default_factory=dict)
    """Inbound associations of children that are gone, by SPI: packets for them may still be on their way."""
    inherited: dict[int, list[AssociationId]] = field(default_factory=dict)
    """Associations by reqid that a former process left in the data plane, and that no child of ours owns."""
    by_peer: dict[str, dict[int, None]] = field(default_factory=dict)
    half_open: HalfOpen = field(default_factory=HalfOpen)
    fragments: Reassemblies = field(default_factory=Reassemblies)
    changes: dict[str, None] = field(default_factory=dict)
    dirty: dict[int, None] = field(default_factory=dict)
    touched: dict[int, None] = field(default_factory=dict)
    """Lineages that this step may have changed: all that were asked for."""
    kept: dict[int, bytes] = field(default_factory=dict)
    """Digests of the lineages' checkpoints."""
    known: dict[str, tuple[Peer, Identity | None, bytes]] = field(default_factory=dict)
    """Peers' configurations, as checkpoints have them."""
    lineages_made: int = 0
    utc_offset_s: int | None = None
    """What `now` / SECOND lacks to be the time of day; None: nobody told us the time."""
    refused: dict[Refusal, int] = field(default_factory=dict)
    """Messages that were dropped, whether or not a line was written of it."""
    token_secret: bytes = field(default=b"", repr=False)
    """What our tokens of quick crash detection are made with; empty: we make none."""
    topics: frozenset[str] = frozenset()
    """What is told in detail."""
    traced: Limiter = field(default_factory=_trace_limiter)
    """Bounds what is told in detail of messages that anybody could have sent."""

    @property
    def utc_s(self) -> int | None:
        """Seconds since 1970, or None where nobody told us the time."""
        return None if self.utc_offset_s is None else self.utc_offset_s + self.now // SECOND

    def emit(self, action: Action) -> None:
        self.actions.append(action)

    def log(self, peer: str, message: str, reason: Refusal | None = None, level: int = INFO) -> None:
        self.emit(Log(level, peer, printable(message), reason))

    def trace(self, peer: str, message: str) -> None:
        """Tell what only debugging wants to know; the caller has looked whether the topic is on."""
        self.emit(Log(DEBUG, peer, printable(message), topic=IKE))

    def count(self, reason: Refusal) -> None:
        """Count a message that is dropped."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def note(self, message: str | Callable[[], str], reason: Refusal, level: int = INFO, peer: str = "") -> bool:
        """Count something that anybody could have caused, and log it at a bounded rate; tell whether that was done.

        A message that takes time is made only for that.
        """
        self.count(reason)
        if self.limiter.allow(self.now):
            self.log(peer, message if isinstance(message, str) else message(), reason, level)
            return True
        if IKE in self.topics and self.traced.allow(self.now):
            self.trace(peer, message if isinstance(message, str) else message())
        return False

    def changed(self, peer: str) -> None:
        """Say once in a step that a peer's state is another."""
        if peer in self.peers and peer not in self.changes:
            self.changes[peer] = None
            self.emit(PeerChanged(peer))

    def nonce(self) -> bytes:
        return self.entropy.octets(NONCE_OCTETS)

    def fresh_ike_spi(self) -> bytes:
        while True:
            spi = self.entropy.octets(8)
            if spi != NO_SPI and spi not in self.sas:
                return spi

    def fresh_child_spi(self, reserved: int | None = None) -> int:
        """Draw an inbound SPI that no child of ours has; the owner is entered where it is installed."""
        while True:
            spi = LOWEST_CHILD_SPI + below(self.entropy, 2**32 - LOWEST_CHILD_SPI)
            if spi not in self.child_owners and spi != reserved:
                return spi

    def jittered(self, nanoseconds: int, percent: int = 10) -> int:
        """Give an interval that is shorter by up to `percent`, so that two ends seldom begin at once."""
        return nanoseconds - below(self.entropy, max(1, nanoseconds * percent // 100))

    def touch(self, number: int) -> None:
        """Enter that a lineage may be changed in this step, so that its checkpoint is looked at."""
        self.touched[number] = None

    def lineage_of(self, sa: IkeSa) -> Lineage:
        self.touch(sa.lineage)
        return self.lineages[sa.lineage]

    def current(self, lineage: Lineage) -> IkeSa | None:
        self.touch(lineage.number)
        return self.sas.get(lineage.current)

    def lineages_of_peer(self, peer: str) -> list[Lineage]:
        """Give all lineages of a peer, the oldest first."""
        numbers = sorted(self.by_peer.get(peer, ()))
        self.touched.update(dict.fromkeys(numbers))
        return [lineage for number in numbers if (lineage := self.lineages.get(number)) is not None]

    def live(self, peer: str) -> list[Lineage]:
        """Give the established lineages of a peer that nobody is ending, the oldest first."""
        return [one for one in self.lineages_of_peer(peer) if one.established and not one.closing]

    def in_use(self, peer: str) -> Lineage | None:
        """Give the established lineage of a peer on whose children packets leave; without any, the newest."""
        return max(self.live(peer), key=lambda one: (one.sends_since, one.number), default=None)

    def answers(self, peer: str) -> bool:
        """Tell whether an established IKE SA with a peer is in use, and the peer not silent there."""
        in_use = self.in_use(peer)
        return in_use is not None and not in_use.silent
