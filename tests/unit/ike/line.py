"""Two endpoints and a line between them on which a test decides what becomes of each datagram."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from culvert.addresses import IPAddress, SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Child, Peer, Start
from culvert.entropy import SeededEntropy
from culvert.ike.actions import Action, Log, ResolvePath, Transmit
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import Configured, Connect, DatagramReceived, DeadlineReached, Event, PathResolved
from culvert.ike.logs import ERROR
from culvert.ike.status import PeerState
from culvert.ike.v2 import lineages
from culvert.ike.v2.sa import IkeSa, IkeState, Task
from culvert.ipsec.proposals import Proposal, esp_proposal, ike_proposal
from culvert.ipsec.selectors import traffic_selector
from culvert.wire.isakmp.header import Header, read_header
from culvert.wire.isakmp.numbers import PayloadType

AEAD = (ike_proposal("aes128gcm16-prfsha256-x25519"),)
ADDRESSES = {
    4: {"west": ip_address("203.0.113.1"), "east": ip_address("198.51.100.1")},
    6: {"west": ip_address("2001:db8:1::1"), "east": ip_address("2001:db8:2::1")},
}
OTHER = {"west": "east", "east": "west"}
Fate = Callable[[str, bytes], Iterable[bytes]]
"""What becomes of a datagram of that sender: what arrives, in that order."""


def unharmed(_: str, data: bytes) -> Iterable[bytes]:
    return (data,)


@dataclass(slots=True)
class Line:
    """`sent` are all datagrams so far with their senders; many `selectors` on one side make long messages."""

    fate: Fate = unharmed
    selectors: int = 1
    version: int = 4
    proposals: tuple[Proposal, ...] = AEAD
    initiator: str = "west"
    secrets: dict[str, bytes] = field(default_factory=lambda: {name: name.encode() * 8 for name in OTHER})
    start: Start = Start.PASSIVE
    now: int = 0
    ends: dict[str, Endpoint] = field(default_factory=dict)
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    restarts: int = 0
    under_way: list[tuple[str, Transmit]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, name in enumerate(OTHER):
            self.ends[name] = Endpoint(SeededEntropy(7 + number), self.now)
            self.configure(name)

    def configure(self, name: str) -> None:
        self.tell(name, Configured((self.peer(name),), token_secret=self.secrets[name]))

    def restart(self, name: str) -> None:
        """Let an end forget everything, as a machine that restarts."""
        self.restarts += 1
        self.ends[name] = Endpoint(SeededEntropy(100 + self.restarts), self.now)
        self.configure(name)

    def address(self, name: str) -> IPAddress:
        return ADDRESSES[self.version][name]

    def peer(self, name: str) -> Peer:
        """Give what `name` has configured: many networks that do not touch each other."""
        west = tuple(traffic_selector(f"fd01:{2 * one:x}::/32") for one in range(self.selectors))
        east = tuple(traffic_selector(f"fd02:{2 * one:x}::/32") for one in range(min(self.selectors, 4)))
        local, remote = (west, east) if name == "west" else (east, west)
        child = Child(OTHER[name], "net", local, remote, (esp_proposal("aes128gcm16"),))
        other = str(self.address(OTHER[name]))
        peer = Peer(OTHER[name], (other,), None, None, (child,), secret=b"for tests", proposals=self.proposals)
        return replace(peer, start=self.start if name == self.initiator else Start.PASSIVE)

    def connect(self) -> Line:
        self.tell(self.initiator, Connect(OTHER[self.initiator]))
        return self.deliver()

    def tell(self, name: str, event: Event) -> list[Action]:
        actions = self.ends[name].step(event, self.now)
        for action in actions:
            match action:
                case Transmit() if len(action.data) > 1:
                    self.sent.append((name, action.data))
                    self.under_way.append((name, action))
                case ResolvePath(peer, _):
                    self.tell(name, PathResolved(peer, ((self.address(name), self.address(OTHER[name])),)))
                case Log(level, _, message, _):
                    assert level < ERROR, message
                    self.said.append(message)
        return actions

    def begin(self, name: str, task: Task) -> Line:
        """Let an end begin an exchange on its IKE SA."""
        ctx = self.ends[name]._ctx
        lineages.enqueue(ctx, ctx.live(OTHER[name])[-1], task)
        self.tell(name, DeadlineReached())
        return self

    def deliver(self) -> Line:
        """Deliver what is under way, and what comes of that."""
        while self.under_way:
            sender, one = self.under_way.pop(0)
            for data in self.fate(sender, one.data):
                self.receive(OTHER[sender], data, one.remote, one.local)
        return self

    def receive(
        self, name: str, data: bytes, local: SocketAddress | None = None, remote: SocketAddress | None = None
    ) -> list[Action]:
        local = local or SocketAddress(self.address(name), 4500)
        remote = remote or SocketAddress(self.address(OTHER[name]), 4500)
        return self.tell(name, DatagramReceived(local, remote, data))

    def wait(self, seconds: float) -> Line:
        """Let time pass, with all deadlines and deliveries in it."""
        until = self.now + int(seconds * SECOND)
        while True:
            due = [(at[0], name) for name, end in self.ends.items() if (at := end.deadline()) is not None]
            if not due or min(due)[0] > until:
                self.now = until
                return self
            instant, name = min(due)
            self.now = max(self.now, instant)
            self.tell(name, DeadlineReached())
            self.deliver()

    def up(self) -> bool:
        return all(end.status(OTHER[name]).state is PeerState.UP for name, end in self.ends.items())

    def sa(self, name: str) -> IkeSa:
        return next(sa for sa in self.ends[name]._ctx.sas.values() if sa.state is not IkeState.CLOSED)

    def headers(self, sender: str) -> list[Header]:
        return [read_header(data) for name, data in self.sent if name == sender]

    def fragments(self, sender: str) -> list[bytes]:
        """Give the fragments that an end sent."""
        return [data for name, data in self.sent if name == sender and is_fragment(data)]


def is_fragment(data: bytes) -> bool:
    return read_header(data).next_payload == PayloadType.SKF


def numbers(data: bytes) -> tuple[int, int]:
    """Give number and total of a fragment."""
    return int.from_bytes(data[32:34], "big"), int.from_bytes(data[34:36], "big")
