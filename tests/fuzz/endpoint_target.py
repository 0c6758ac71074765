"""What must hold for an Endpoint in every state, whatever its peer, a stranger and the clock do to it.

The octets are a script for `atheris_run.py` and `test_corpora.py`: the first says in which state of `stands.py` it
begins, then each step has an octet for what it is and what that needs. Messages of the peer are sealed with the real
keys, so that what is tried is behind the integrity check; or they come as they are, in fragments, or again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from culvert import limits
from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.control.log_lines import text_of
from culvert.crypto.encryption import IkeCipher, protect, protected_length
from culvert.daemon.log_book import Entry
from culvert.ike.actions import Action, Checkpoint, InstallAssociation, Log, Transmit
from culvert.ike.events import (
    AssociationExpired,
    Connect,
    DatagramReceived,
    DeadlineReached,
    Disconnect,
    EngineRestarted,
    Event,
    MappingChanged,
    NothingReceived,
    RekeyRequested,
    Stop,
    UnknownSpi,
)
from culvert.ike.logs import ERROR
from culvert.ike.v2.rendering import MAX_LINES
from culvert.ike.v2.sa import ChildSa, IkeSa
from culvert.sim import bookkeeping
from culvert.wire.isakmp.encrypted import EncryptedFragment, encrypted_prefix, fragment_prefix
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import HEADER_OCTETS, Header
from culvert.wire.isakmp.message import emit_payloads, first_payload
from tests.fuzz.duel import OTHER, SECRET
from tests.fuzz.said import purposes
from tests.fuzz.stands import STATES, Stand, stand

MAX_STEPS = 24
NAMES = tuple(STATES)
EXCHANGES = (34, 35, 36, 37, 38, 0, 43, 255)
MAX_DATAGRAMS = 3 * limits.MAX_FRAGMENTS
"""What one event may send: an answer, a request, and a few more, each in fragments."""
MAX_LINES_TOLD = 8 * MAX_LINES
"""What one event may write: of the message that came, its answer, and what follows from it."""
LAST_DEADLINES = 4


@dataclass(slots=True)
class Script:
    """Octets that are read as choices; behind their end everything is zero."""

    octets: bytes
    at: int = 0

    @property
    def over(self) -> bool:
        return self.at >= len(self.octets)

    def take(self, count: int) -> bytes:
        found = self.octets[self.at : self.at + count]
        self.at += count
        return found

    def number(self, octets: int = 1) -> int:
        return int.from_bytes(self.take(octets), "big")

    def text(self) -> bytes:
        return self.take(self.number(2) % 2_048)


@dataclass(slots=True)
class Trial:
    """One run. `at` is what is tried on; `said` are the datagrams that came."""

    at: Stand
    now: int
    stopped: bool = False
    said: list[bytes] = field(default_factory=list)
    secrets: dict[str, None] = field(default_factory=dict)

    def step(self, event: Event) -> list[Action]:
        """Let an event happen. Raise AssertionError where something does not hold afterwards."""
        actions = self.at.endpoint.step(event, self.now)
        self._learn(actions)
        self._quiet([one for one in actions if isinstance(one, Log)])
        self._bounded(actions)
        bookkeeping.check("it", self.at.ctx)
        return actions

    def receive(self, data: bytes, *, elsewhere: bool = False) -> None:
        """Let a datagram come. It is counted as refused, answered, or changes something."""
        self.said.append(data)
        local, remote = self.at.sa.local, self.at.sa.remote
        if elsewhere:
            remote = SocketAddress(remote.ip, remote.port ^ 0x1234)
        counted, before = self.at.refusals(), self.at.digest()
        actions = self.step(DatagramReceived(local, remote, data))
        told = any(not isinstance(one, Log) for one in actions)
        assert told or self.at.refusals() > counted or self.at.digest() != before, "a message without consequences"

    def _learn(self, actions: list[Action]) -> None:
        """Collect what must never be told."""
        for sa in self.at.ctx.sas.values():
            if sa.keys is not None:
                for name in ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr"):
                    self._secret(getattr(sa.keys, name))
        for one in actions:
            if isinstance(one, InstallAssociation):
                self._secret(one.association.encryption_key)
                self._secret(one.association.integrity_key)

    def _secret(self, octets: bytes) -> None:
        if len(octets) >= 8:
            self.secrets[octets.hex()] = None

    def _quiet(self, logs: list[Log]) -> None:
        assert len(logs) <= MAX_LINES_TOLD
        whole = []
        for number, one in enumerate(logs):
            assert one.level < ERROR, one.message
            assert len(one.message) <= limits.MAX_LOG_LINE_CHARACTERS
            assert all(text.isprintable() for text in (one.message, *(word for pair in one.fields for word in pair)))
            line = Entry(number, 0.0, one.level, one.message, one.topic, _fields(one)).line()
            whole.append(text_of(line))
            assert whole[-1].isprintable()
        text = "\n".join(whole)
        assert SECRET.decode() not in text
        assert not any(secret in text for secret in self.secrets), "a key in the log"

    def _bounded(self, actions: list[Action]) -> None:
        ctx = self.at.ctx
        sent = [one.data for one in actions if isinstance(one, Transmit)]
        assert len(sent) <= MAX_DATAGRAMS
        assert sum(map(len, sent)) <= 4 * limits.MAX_FRAGMENTED_OCTETS
        kept = (len(one.data) for one in actions if isinstance(one, Checkpoint) and one.data)
        assert max(kept, default=0) <= limits.MAX_CHECKPOINT_OCTETS
        assert max(len(ctx.sas), len(ctx.first_messages), len(ctx.lineages)) <= 4 * limits.MAX_IKE_SAS_PER_PEER
        assert len(ctx.fragments) <= 2 * len(ctx.sas)
        assert ctx.fragments.octets() <= len(ctx.fragments) * limits.MAX_FRAGMENTED_OCTETS
        assert len(ctx.timers.instants()) <= 16 * (len(ctx.sas) + len(ctx.child_owners) + len(ctx.peers) + 1)


def _fields(log: Log) -> dict[str, object]:
    reason = log.reason.value if log.reason else ""
    return {"peer": log.peer, "reason": reason, **dict(log.fields)}


def judge(octets: bytes) -> None:
    """Play a script, and raise AssertionError where something does not hold."""
    script = Script(octets)
    at = stand(NAMES[script.number() % len(NAMES)]).copied()
    trial = Trial(at, at.now)
    for _ in range(MAX_STEPS):
        if script.over or trial.stopped:
            break
        STEPS[script.number() % len(STEPS)](trial, script)
    for _ in range(LAST_DEADLINES):
        _deadline(trial, Script(b"\1"))
    bookkeeping.check_kept("it", at.ctx)


def _raw(trial: Trial, script: Script) -> None:
    trial.receive(script.text())


def _clear(trial: Trial, script: Script) -> None:
    """Send octets behind a header that fits the IKE SA."""
    flags, first, body = script.number(), script.number(), script.text()
    header = _header(trial, _subject(trial, flags), flags)
    data = replace(header, next_payload=first, length=HEADER_OCTETS + len(body)).emit() + body
    trial.receive(data, elsewhere=bool(flags & 0x40))


def _sealed(trial: Trial, script: Script) -> None:
    """Send any octets that the peer protects."""
    flags, first, inner = script.number(), script.number(), script.text()
    _send(trial, flags, first, inner)


def _purposeful(trial: Trial, script: Script) -> None:
    """Send what a peer says there or elsewhere, with some octets changed, put in or left out."""
    flags, which, changes = script.number(), script.number(), script.number() % 8
    said = list(purposes(trial.at, response=bool(flags & 8)).values())
    honest = trial.at.coming
    if which & 0x80 and honest:
        first, inner = honest[which % len(honest)]
    else:
        payloads = said[which % len(said)]
        first, inner = first_payload(payloads), emit_payloads(payloads)
    for _ in range(changes):
        at, left_out = script.number(2) % (len(inner) + 1), script.number() % 16
        put_in = script.take(script.number() % 8)
        inner = inner[:at] + put_in + inner[at + left_out :]
    if flags & 0x20 and flags & 0x10:
        body = inner[:60_000]
        header = _header(trial, _subject(trial, flags), flags & 0xCF)
        trial.receive(replace(header, next_payload=first, length=HEADER_OCTETS + len(body)).emit() + body)
    else:
        _send(trial, flags, first, inner)


def _fragment(trial: Trial, script: Script) -> None:
    """Send one fragment that the peer protects."""
    flags, number, total, first = script.number(), script.number(), script.number(), script.number()
    sa = _subject(trial, flags)
    inner = script.text() * (1 + script.number() % 8)
    try:
        fragment = EncryptedFragment(first if number == 1 else 0, number, total, b"")
    except ParseError:
        return
    cipher = _cipher(sa)
    prefix = fragment_prefix(_header(trial, sa, flags), fragment, protected_length(cipher, len(inner)))
    trial.receive(protect(cipher, prefix, _iv(trial, cipher), inner), elsewhere=bool(flags & 0x40))


def _again(trial: Trial, script: Script) -> None:
    """Repeat what came, from where it came or elsewhere."""
    which = script.number()
    if trial.said:
        trial.receive(trial.said.pop(which % len(trial.said)), elsewhere=bool(which & 0x80))


def _deadline(trial: Trial, script: Script) -> None:
    """Let time pass: some of it, or until the next deadline."""
    how = script.number()
    due = trial.at.endpoint.deadline()
    trial.now += (how >> 1) * SECOND // 8
    if how & 1 and due is not None:
        trial.now = max(trial.now, due[0])
    trial.step(DeadlineReached())


def _event(trial: Trial, script: Script) -> None:
    """Let the host, the data plane or a person say something."""
    number, peer = script.number(), OTHER[trial.at.name]
    local, remote = trial.at.sa.local, trial.at.sa.remote
    events: list[Event] = [
        RekeyRequested(peer),
        RekeyRequested(peer, ike=True),
        Disconnect(peer),
        Connect(peer),
        UnknownSpi(local, remote, 50, script.number(4)),
        EngineRestarted(),
        Stop(),
    ]
    for child in _children(trial):
        moved = SocketAddress(remote.ip, script.number(2))
        events += [
            AssociationExpired(child.inbound.id, hard=False),
            AssociationExpired(child.inbound.id, hard=True),
            MappingChanged(child.inbound.id, moved),
            NothingReceived(child.inbound.id, sending=True),
        ]
    chosen = events[number % len(events)]
    trial.step(chosen)
    trial.stopped = isinstance(chosen, Stop)


def _children(trial: Trial) -> list[ChildSa]:
    return [child for lineage in trial.at.ctx.lineages.values() for child in lineage.children.values()]


STEPS: tuple[Callable[[Trial, Script], None], ...] = (
    _raw,
    _clear,
    _sealed,
    _purposeful,
    _purposeful,
    _fragment,
    _again,
    _deadline,
    _event,
)


def _subject(trial: Trial, flags: int) -> IkeSa:
    """Give an IKE SA as the peer has it: the one that it is about, or the newest."""
    newest = [sa for sa in trial.at.ctx.sas.values() if sa.keys is not None]
    if flags & 0x80 and newest:
        return replace(newest[-1], initiator=not newest[-1].initiator)
    return trial.at.peer()


def _header(trial: Trial, sa: IkeSa, flags: int) -> Header:
    """Write a header with the message ID that may come now, or one beside it."""
    response = bool(flags & 8)
    live = trial.at.ctx.sas.get(sa.spi_r if sa.initiator else sa.spi_i)
    number = 0
    if live is not None:
        asked = live.window.outstanding
        number = (asked.message_id if asked else live.window.next_request) if response else live.window.expected
    beside = (0, 0, -1, 1)[flags >> 4 & 3]
    return Header(sa.spi_i, sa.spi_r, 0, EXCHANGES[flags & 7], sa.initiator, response, max(0, number + beside), 0)


def _send(trial: Trial, flags: int, first: int, inner: bytes) -> None:
    sa = _subject(trial, flags)
    cipher = _cipher(sa)
    prefix = encrypted_prefix(_header(trial, sa, flags), first, protected_length(cipher, len(inner)))
    trial.receive(protect(cipher, prefix, _iv(trial, cipher), inner), elsewhere=bool(flags & 0x40))


def _cipher(sa: IkeSa) -> IkeCipher:
    """Give what the holder of an IKE SA seals with."""
    keys, suite = sa.keys, sa.suite
    assert keys is not None
    assert suite is not None
    key, integrity = (keys.sk_ei, keys.sk_ai) if sa.initiator else (keys.sk_er, keys.sk_ar)
    return IkeCipher(suite.cipher, suite.integrity, key, integrity)


def _iv(trial: Trial, cipher: IkeCipher) -> bytes:
    return (len(trial.said) + 1).to_bytes(cipher.iv_octets, "big")
