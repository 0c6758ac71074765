"""Ends of a tunnel in every state that an IKE SA can be in, made once and copied for whoever wants to disturb one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

from culvert.addresses import IKE_PORT, SocketAddress
from culvert.config.model import Child, Peer
from culvert.crypto.keys import IkeKeys
from culvert.identities import Identity, IdentityType
from culvert.ike.actions import Action
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import DatagramReceived, DeadlineReached, Disconnect, RekeyRequested
from culvert.ike.negotiation import Suite
from culvert.ike.timers import Timer
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import CreateChild, DeleteChild, IkeSa, IkeState
from culvert.ipsec.selectors import traffic_selector
from culvert.sim.snapshots import Copier, CountedEntropy, Digester
from culvert.wire.isakmp.header import HEADER_OCTETS, NO_SPI, read_header
from culvert.wire.isakmp.message import Message, emit_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType
from tests.fuzz.duel import ADDRESSES, ESP, OTHER, Duel, opened

COPIER = Copier()
DIGESTER = Digester(COPIER)
FOREIGN_SPI = b"a peer's"
"""What stands for the responder's SPI where it has not said one yet."""


@dataclass(frozen=True, slots=True)
class Stand:
    """An end of a tunnel: `name` of the two. `sa` is a copy of one of its IKE SAs, with keys.

    `coming` is what is honestly on its way there: for each message the first payload's type, and the payloads.
    """

    name: str
    endpoint: Endpoint
    now: int
    sa: IkeSa
    configured: Peer
    coming: tuple[tuple[int, bytes], ...] = ()

    @property
    def ctx(self) -> Context:
        return self.endpoint.state

    @property
    def live(self) -> IkeSa:
        """The IKE SA itself, as it is by now."""
        return self.ctx.sas[self.sa.spi]

    def copied(self) -> Stand:
        """Give the same once more, so that what happens to it leaves this one alone."""
        return replace(self, endpoint=COPIER.copied(self.endpoint))

    def peer(self) -> IkeSa:
        """Give the IKE SA as the other end has it, to seal with."""
        return replace(self.sa, initiator=not self.sa.initiator, ivs_used=1 << 20)

    def receive(self, data: bytes, port: int = 0) -> list[Action]:
        """Let a datagram come from where the peer is, or from another port there."""
        local = self.sa.local
        remote = self.sa.remote if not port else SocketAddress(self.sa.remote.ip, port)
        return self.endpoint.step(DatagramReceived(local, remote, data), self.now)

    def digest(self) -> bytes:
        """Digest all that is held, but for counts and the rates of what is logged and answered."""
        return DIGESTER.digest(self.endpoint.state)

    def refusals(self) -> int:
        return sum(self.endpoint.refused().values())


def _entropy(number: int) -> CountedEntropy:
    return CountedEntropy(b"%d" % number)


def _fresh(described: Callable[[str, Peer], Peer] = lambda _name, peer: peer) -> Duel:
    """Two ends of which one just began, and that tell all that comes and goes."""
    return Duel(2, described, _entropy)


def _joined() -> Duel:
    duel = _fresh()
    duel.rest(60)
    assert duel.settled()
    return duel


def _newest(duel: Duel, name: str) -> IkeSa:
    return list(duel.ends[name].state.sas.values())[-1]


def _oldest(duel: Duel, name: str) -> IkeSa:
    return next(iter(duel.ends[name].state.sas.values()))


def _until(duel: Duel, reached: Callable[[], bool]) -> None:
    while not reached():
        assert duel.deliver()


Found = tuple[Duel, str, IkeSa]


def _delivered(count: int, name: str) -> Found:
    """Let some messages of the set-up arrive."""
    duel = _fresh()
    for _ in range(count):
        assert duel.deliver()
    return duel, name, _newest(duel, name)


def _told(notify: Notify) -> Found:
    """An initiator that was told something before anybody proved anything."""
    duel, name, sa = _delivered(0, "a")
    message = Message(sa.spi_i, FOREIGN_SPI, ExchangeType.IKE_SA_INIT, False, True, 0, (notify,))
    duel.throw("a", emit_message(message), IKE_PORT, spoofed=True)
    return duel, name, sa


def _established(name: str) -> Found:
    duel = _joined()
    return duel, name, _newest(duel, name)


def _asked(*events: Disconnect | RekeyRequested, name: str = "a") -> Found:
    """An end that has begun an exchange."""
    duel = _joined()
    for event in events:
        duel.step(name, event)
    return duel, name, _oldest(duel, name)


def _liveness() -> Found:
    duel, name, sa = _established("a")
    while sa.window.outstanding is None:
        _next_deadline(duel)
    return duel, name, sa


def _next_deadline(duel: Duel) -> None:
    due = duel.ends["a"].deadline()
    assert due
    duel.now = max(duel.now, due[0])
    duel.step("a", DeadlineReached())


def _silent() -> Found:
    """The request of a rekey is lost again and again, and a call begins beside."""
    duel, name, sa = _asked(RekeyRequested("b"))
    while not duel.ends["a"].state.lineages[sa.lineage].silent:
        duel.under_way.clear()
        _next_deadline(duel)
    return duel, name, sa


def _last_chance() -> Found:
    """The call beside is answered, the silent one not yet."""
    duel, name, _ = _silent()
    while duel.ends["a"].state.timers.at(Timer.LAST_CHANCE, _newest(duel, name).spi.hex()) is None:
        while duel.under_way and read_header(duel.under_way[0][1].data).exchange != ExchangeType.IKE_SA_INIT:
            duel.under_way.popleft()
        if not duel.deliver():
            _next_deadline(duel)
    return duel, name, _newest(duel, name)


def _creating() -> Found:
    duel = _fresh(_with_two_children)
    _until(duel, lambda: _does(_newest(duel, "a"), CreateChild))
    return duel, "a", _newest(duel, "a")


def _with_two_children(name: str, peer: Peer) -> Peer:
    ours, theirs = ("fd0a::/32", "fd0b::/32") if name == "a" else ("fd0b::/32", "fd0a::/32")
    more = Child(peer.name, "more", (traffic_selector(ours),), (traffic_selector(theirs),), proposals=ESP)
    return replace(peer, children=(*peer.children, more))


def _does(sa: IkeSa, task: type) -> bool:
    return sa.window.outstanding is not None and isinstance(sa.window.outstanding.task, task)


def _deleting_child() -> Found:
    duel, name, sa = _asked(RekeyRequested("b"))
    _until(duel, lambda: _does(sa, DeleteChild))
    return duel, name, sa


def _colliding(*, ike: bool) -> Duel:
    """Both ends begin the same rekey, and the request of one has arrived."""
    duel = _joined()
    for name in ADDRESSES:
        duel.step(name, RekeyRequested(OTHER[name], ike=ike))
    duel.deliver()
    return duel


def _rival_child() -> Found:
    duel = _colliding(ike=False)
    return duel, "b", _newest(duel, "b")


def _rival(find: Callable[[Duel, str], IkeSa]) -> Found:
    duel = _colliding(ike=True)
    return duel, "b", find(duel, "b")


def _rekeyed(count: int, name: str, find: Callable[[Duel, str], IkeSa]) -> Found:
    """A rekey of the IKE SA of which some messages have arrived."""
    duel, _, _ = _asked(RekeyRequested("b", ike=True))
    for _ in range(count):
        assert duel.deliver()
    return duel, name, find(duel, name)


def _refusing() -> Found:
    """An initiator that does not believe who answers."""
    duel = _fresh(_expecting_another)
    sa = _newest(duel, "a")
    _until(duel, lambda: sa.state is IkeState.DELETING)
    return duel, "a", sa


def _expecting_another(name: str, peer: Peer) -> Peer:
    return replace(peer, identity=Identity(IdentityType.FQDN, b"*.example")) if name == "a" else peer


def _closed(count: int, name: str) -> Found:
    """The end of the IKE SA was asked for; a copy of it still has its keys."""
    duel, _, _ = _asked()
    before = replace(_newest(duel, name))
    duel.step("a", Disconnect("b"))
    for _ in range(count):
        assert duel.deliver()
    return duel, name, replace(_newest(duel, name), keys=before.keys)


STATES: dict[str, Callable[[], Found]] = {
    "first message sent": lambda: _delivered(0, "a"),
    "cookie brought": lambda: _told(Notify(NotifyType.COOKIE, bytes(8))),
    "refusal heard": lambda: _told(Notify(NotifyType.NO_PROPOSAL_CHOSEN)),
    "waiting for a last chance": _last_chance,
    "half open": lambda: _delivered(1, "b"),
    "proof sent": lambda: _delivered(2, "a"),
    "established, began it": lambda: _established("a"),
    "established, answered it": lambda: _established("b"),
    "asking whether the peer is there": _liveness,
    "silent": _silent,
    "creating a child": _creating,
    "rekeying a child": lambda: _asked(RekeyRequested("b")),
    "rekeying a child, with a rival": _rival_child,
    "deleting a child": _deleting_child,
    "rekeying the IKE SA": lambda: _asked(RekeyRequested("b", ike=True)),
    "rekeying the IKE SA, with a rival": lambda: _rival(_oldest),
    "undecided": lambda: _rival(_newest),
    "replaced": lambda: _rekeyed(1, "b", _oldest),
    "successor that the peer may not know": lambda: _rekeyed(1, "b", _newest),
    "deleting its predecessor": lambda: _rekeyed(2, "a", _oldest),
    "successor": lambda: _rekeyed(2, "a", _newest),
    "deleting": lambda: _asked(Disconnect("b")),
    "refusing": _refusing,
    "closed by the peer": lambda: _closed(1, "b"),
    "closed by us": lambda: _closed(2, "a"),
}
"""How each is reached. Several may be one IkeState."""


@cache
def stand(state: str) -> Stand:
    """Give an end in this state; who lets something happen to it copies it first."""
    duel, name, sa = STATES[state]()
    held = replace(sa, window=COPIER.copied(sa.window))
    if held.keys is None:
        held.keys, held.suite = _some_keys()
    if held.spi_r == NO_SPI:
        held.spi_r = FOREIGN_SPI
    configured = duel.ends[name].state.peers[OTHER[name]].peer
    return Stand(name, duel.ends[name], duel.now, held, configured, tuple(_coming(duel, name)))


def _coming(duel: Duel, name: str) -> Iterator[tuple[int, bytes]]:
    holders = [sa for sa in duel.ends[OTHER[name]].state.sas.values() if sa.keys is not None]
    for sender, sent in duel.under_way:
        if sender == name:
            continue
        header = read_header(sent.data)
        if header.exchange == ExchangeType.IKE_SA_INIT:
            yield header.next_payload, sent.data[HEADER_OCTETS:]
            continue
        yield from (inside for sa in holders if (inside := opened(sa, sent)) is not None)


@cache
def _some_keys() -> tuple[IkeKeys | None, Suite | None]:
    """Give keys for what has none yet."""
    sa = _newest(_joined(), "a")
    return sa.keys, sa.suite
