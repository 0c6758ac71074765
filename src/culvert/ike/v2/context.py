"""Everything that exchanges work on: one mutable value, handed from function to function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from culvert.addresses import IPAddress, SocketAddress
from culvert.entropy import Entropy, below
from culvert.ike.actions import Action, Log, PeerChanged
from culvert.ike.cookies import Cookies
from culvert.ike.logs import INFO, Limiter
from culvert.ike.records import Outcome, PeerRecord
from culvert.ike.timers import Timers
from culvert.ike.v2.sa import IkeSa, IkeState, Lineage
from culvert.reasons import Refusal
from culvert.wire.isakmp.header import NO_SPI

NONCE_OCTETS = 32
"""Half the longest PRF output and more (RFC 7296 section 2.10)."""
LOWEST_CHILD_SPI = 0x100
"""Up to 255 are reserved (RFC 4303 section 2.1)."""


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
    peers: dict[str, PeerRecord] = field(default_factory=dict)
    lineages: dict[int, Lineage] = field(default_factory=dict)
    sas: dict[bytes, IkeSa] = field(default_factory=dict)
    first_messages: dict[tuple[bytes, SocketAddress], bytes] = field(default_factory=dict)
    child_owners: dict[int, int] = field(default_factory=dict)
    dirty: dict[int, None] = field(default_factory=dict)
    lineages_made: int = 0

    def emit(self, action: Action) -> None:
        self.actions.append(action)

    def log(self, peer: str, message: str, reason: Refusal | None = None, level: int = INFO) -> None:
        self.emit(Log(level, peer, message, reason))

    def note(self, message: str, reason: Refusal, level: int = INFO, peer: str = "") -> None:
        """Log something that anybody could have caused, at a bounded rate."""
        if self.limiter.allow(self.now):
            self.log(peer, message, reason, level)

    def changed(self, peer: str) -> None:
        """Say once in a step that a peer's state is another."""
        change = PeerChanged(peer)
        if peer in self.peers and change not in self.actions:
            self.emit(change)

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

    def lineage_of(self, sa: IkeSa) -> Lineage:
        return self.lineages[sa.lineage]

    def current(self, lineage: Lineage) -> IkeSa | None:
        return self.sas.get(lineage.current)

    def lineages_of_peer(self, peer: str) -> list[Lineage]:
        return [one for one in self.lineages.values() if one.peer is not None and one.peer.name == peer]

    def live(self, peer: str) -> list[Lineage]:
        """Give the established lineages of a peer that nobody is ending, the oldest first."""
        return [one for one in self.lineages_of_peer(peer) if one.established and not one.closing]

    def half_open(self) -> Iterator[IkeSa]:
        """All responder IKE SAs that are not authenticated, those that were refused included."""
        return (sa for own in self.first_messages.values() if (sa := self.sas.get(own)) and _unproven(sa))

    def half_open_from(self, source: IPAddress) -> int:
        return sum(sa.first_source is not None and sa.first_source.ip == source for sa in self.half_open())


def _unproven(sa: IkeSa) -> bool:
    return sa.identity is None and sa.state in (IkeState.HALF_OPEN, IkeState.CLOSED)
