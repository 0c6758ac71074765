"""Two endpoints that talk to each other, and somebody between them who reads, changes and repeats what they say."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from culvert import limits
from culvert.addresses import IKE_PORT, NAT_PORT, SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Child, Peer, Rekey, Start
from culvert.crypto.encryption import IkeCipher, protect, protected_length, unprotect
from culvert.entropy import Entropy, SeededEntropy
from culvert.ike.actions import Action, Log, ResolvePath, Transmit
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import CalendarSet, Configured, DatagramReceived, DeadlineReached, DebugSet, Event, PathResolved
from culvert.ike.logs import ERROR
from culvert.ike.logs import IKE as IKE_TOPIC
from culvert.ike.status import PeerState, PeerStatus
from culvert.ike.v2.keys import keys_of
from culvert.ike.v2.rendering import MAX_LINES
from culvert.ike.v2.sa import IkeSa
from culvert.ipsec.proposals import esp_proposal, ike_proposal
from culvert.ipsec.selectors import traffic_selector
from culvert.limits import MAX_FRAGMENTED_OCTETS, MAX_LOG_LINE_CHARACTERS
from culvert.sim.world import UTC_OFFSET_S
from culvert.wire.isakmp.encrypted import encrypted_prefix
from culvert.wire.isakmp.header import HEADER_OCTETS, read_header

IKE = (ike_proposal("aes128gcm16-prfsha256-x25519"),)
ESP = (esp_proposal("aes128gcm16"),)
ADDRESSES = {"a": ip_address("203.0.113.1"), "b": ip_address("198.51.100.1")}
OTHER = {"a": "b", "b": "a"}
SK = 46
AMPLIFIED_OCTETS = 16
"""How much longer than its cause an answer may be: a notify beside a header."""
SECRET = b"only for fuzzing, never for a gateway"


MOST_LINES = 8 * MAX_LINES
"""What one event may write about: the message that came, its answer in fragments, what follows from it."""
LONG = 60
"""Selectors with which messages go in fragments."""


class Flaw(AssertionError):  # noqa: N818 - it names what was found
    """An endpoint did what it must never do."""


@dataclass(slots=True)
class Duel:
    """`said` holds all honest messages so far, by sender; `under_way` those that nobody delivered yet.

    `described` changes what an end has configured for the other one.
    """

    seed: int
    described: Callable[[str, Peer], Peer] = lambda _name, peer: peer
    entropy: Callable[[int], Entropy] = SeededEntropy
    now: int = 0
    ends: dict[str, Endpoint] = field(default_factory=dict)
    under_way: deque[tuple[str, Transmit]] = field(default_factory=deque)
    said: dict[str, list[Transmit]] = field(default_factory=lambda: {"a": [], "b": []})

    def __post_init__(self) -> None:
        """With odd seeds, messages are so long that they go in fragments. Of four, two are told in all detail."""
        for number, name in enumerate(ADDRESSES):
            self.ends[name] = Endpoint(self.entropy(self.seed * 2 + number), self.now)
        for name in ADDRESSES:
            start = Start.ALWAYS if name == "a" else Start.PASSIVE
            selectors = LONG if self.seed % 2 else 1
            self.step(name, DebugSet(frozenset({IKE_TOPIC}) if self.seed % 4 >= 2 else frozenset()))
            self.step(name, CalendarSet(UTC_OFFSET_S))
            peer = self.described(name, _peer(name, start, selectors))
            self.step(name, Configured((peer,), token_secret=name.encode() * 32))

    def step(self, name: str, event: Event) -> list[Action]:
        """Let an event happen. Raise Flaw where an exception escapes or a bug is logged."""
        try:
            actions = self.ends[name].step(event, self.now)
        except Exception as error:
            raise Flaw(f"seed {self.seed}: {name} raised {error!r}") from error
        self._few_lines(actions)
        for action in actions:
            self._take(name, action)
        self._bounded(name)
        return actions

    def _take(self, name: str, action: Action) -> None:
        match action:
            case Transmit() if len(action.data) > 1:
                self.under_way.append((name, action))
                self.said[name].append(action)
            case ResolvePath(peer, _):
                self.step(name, PathResolved(peer, ((ADDRESSES[name], ADDRESSES[OTHER[name]]),)))
            case Log(level, _, message, _):
                if level >= ERROR or "bug" in message:
                    raise Flaw(f"seed {self.seed}: {name} says: {message}")
                self._one_line((message, *(word for field in action.fields for word in field)))

    def _one_line(self, texts: tuple[str, ...]) -> None:
        """What a peer wrote must not write lines, or control sequences, of its own; and a line has an end."""
        for text in texts:
            if not text.isprintable() or len(text) > MAX_LOG_LINE_CHARACTERS:
                raise Flaw(f"seed {self.seed}: a line of {len(text)} characters: {text[:200]!r}")

    def _few_lines(self, actions: list[Action]) -> None:
        """One event is one message that comes and a few that go."""
        lines = sum(isinstance(action, Log) for action in actions)
        if lines > MOST_LINES:
            raise Flaw(f"seed {self.seed}: {lines} lines about one event")

    def deliver(self) -> bool:
        """Deliver the oldest message that is under way; False where there is none."""
        if not self.under_way:
            return False
        sender, sent = self.under_way.popleft()
        self.now += SECOND // 100
        self.step(OTHER[sender], DatagramReceived(sent.remote, sent.local, sent.data))
        return True

    def throw(self, to: str, data: bytes, port: int, *, spoofed: bool) -> None:
        """Let `to` receive something that nobody honest sent. Its answers are not delivered."""
        source = ADDRESSES[OTHER[to]] if spoofed else ip_address("192.0.2.66")
        before = len(self.under_way)
        local, remote = SocketAddress(ADDRESSES[to], port), SocketAddress(source, port)
        actions = self.step(to, DatagramReceived(local, remote, data))
        answers = [action.data for action in actions if isinstance(action, Transmit) and action.remote == remote]
        if not spoofed:
            if not any(data == sent.data for side in self.said.values() for sent in side):
                self._not_amplified(data, answers)
            while len(self.under_way) > before and self.under_way[-1][1].remote == remote:
                self.under_way.pop()

    def _not_amplified(self, data: bytes, answers: list[bytes]) -> None:
        """A stranger gets one answer at most, and hardly more octets than it sent.

        Who repeats a real request gets its whole answer, a bounded number of times.
        """
        if len(answers) > 1 or sum(map(len, answers)) > len(data) + AMPLIFIED_OCTETS:
            raise Flaw(f"seed {self.seed}: {len(data)} octets are answered with {[len(answer) for answer in answers]}")

    def rest(self, seconds: int) -> None:
        """Deliver everything, and let time pass until nothing is left to deliver or `seconds` are over."""
        give_up = self.now + seconds * SECOND
        while self.now < give_up:
            while self.deliver():
                pass
            if self.settled():
                return
            due = [(at[0], name) for name, end in self.ends.items() if (at := end.deadline()) is not None]
            if not due:
                return
            instant, name = min(due)
            self.now = max(self.now, instant)
            self.step(name, DeadlineReached())

    def settled(self) -> bool:
        """Up at both ends, with one IKE SA and one child, the same ones."""
        one, other = (self.status(name) for name in ADDRESSES)
        if not all(status.state is PeerState.UP and status.ike for status in (one, other)):
            return False
        census = [end.census() for end in self.ends.values()]
        quiet = all(count.established == 1 and count.children == 1 and not count.ending for count in census)
        assert one.ike is not None
        assert other.ike is not None
        return (
            quiet and one.ike.spi_r == other.ike.spi_r and one.children[0].outbound.spi == other.children[0].inbound.spi
        )

    def status(self, name: str) -> PeerStatus:
        return self.ends[name].status(OTHER[name])

    def sa(self, name: str) -> IkeSa | None:
        """Give the newest IKE SA that has keys."""
        with_keys = [sa for sa in self.ends[name]._ctx.sas.values() if sa.keys is not None]
        return with_keys[-1] if with_keys else None

    def _bounded(self, name: str) -> None:
        """Nothing that a stranger can fill grows beyond what limits.py says."""
        ctx = self.ends[name]._ctx
        most = limits.MAX_HALF_OPEN + limits.MAX_IKE_SAS_PER_PEER + 8
        tables = (len(ctx.sas), len(ctx.first_messages), len(ctx.lineages))
        if max(tables) > most or len(ctx.child_owners) > 8 * limits.MAX_CHILDREN or ctx.outcomes:
            raise Flaw(f"seed {self.seed}: {name} holds {tables} IKE SAs, first messages and lineages")
        if len(ctx.fragments) > 2 * len(ctx.sas) or ctx.fragments.octets() > len(ctx.fragments) * MAX_FRAGMENTED_OCTETS:
            raise Flaw(
                f"seed {self.seed}: {name} holds {len(ctx.fragments)} messages in {ctx.fragments.octets()} octets"
            )
        if len(ctx.timers._heap) > 64 + 4 * len(ctx.timers._due) + 1:
            raise Flaw(f"seed {self.seed}: {name} holds {len(ctx.timers._heap)} timers")


def opened(sa: IkeSa, sent: Transmit) -> tuple[int, bytes] | None:
    """Give the first payload's type and the octets inside of a message that the holder of `sa` sealed."""
    data = sent.data
    header = read_header(data)
    if header.next_payload != SK or (header.spi_i, header.spi_r) != (sa.spi_i, sa.spi_r):
        return None
    return data[HEADER_OCTETS], unprotect(_cipher(sa), data, HEADER_OCTETS + 4)


def sealed(sa: IkeSa, source: random.Random, like: Transmit, first: int, inner: bytes) -> bytes:
    """Seal any octets as the holder of `sa` would, in a message whose header is that of `like`."""
    cipher = _cipher(sa)
    prefix = encrypted_prefix(replace(read_header(like.data)), first, protected_length(cipher, len(inner)))
    return protect(cipher, prefix, source.randbytes(cipher.iv_octets), inner)


def _cipher(sa: IkeSa) -> IkeCipher:
    keys, suite = keys_of(sa), sa.suite
    assert suite is not None
    key, integrity = (keys.sk_ei, keys.sk_ai) if sa.initiator else (keys.sk_er, keys.sk_ar)
    return IkeCipher(suite.encryption, suite.integrity, key, integrity)


def _peer(name: str, start: Start, selectors: int) -> Peer:
    of_a = tuple(traffic_selector(f"fd01:{2 * one:x}::/32") for one in range(selectors))
    of_b = (traffic_selector("fd02::/32"),)
    ours, theirs = (of_a, of_b) if name == "a" else (of_b, of_a)
    to = OTHER[name]
    child = Child(to, "net", ours, theirs, proposals=ESP, rekey=Rekey(3600))
    address = str(ADDRESSES[to])
    return Peer(to, (address,), None, None, (child,), secret=SECRET, proposals=IKE, start=start)


PORTS = (IKE_PORT, NAT_PORT)
