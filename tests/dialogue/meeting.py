"""One end of a tunnel, in the middle of something, and a peer that says what a test lets it say."""

from __future__ import annotations

from collections import deque
from copy import copy
from dataclasses import replace
from functools import cache

from culvert.config.model import Child, Peer, Start
from culvert.ike.actions import Transmit
from culvert.ike.events import DatagramReceived, RekeyRequested
from culvert.ike.v2 import lineages, sealing
from culvert.ike.v2.collisions import Asked
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import Contents, child_notify, wire_selectors
from culvert.ike.v2.sa import (
    ChildOffer,
    ChildSa,
    CreateChild,
    IkeOffer,
    IkeSa,
    Lineage,
    Task,
)
from culvert.ike.v2.sealing import Payloads
from culvert.ipsec.selectors import traffic_selector
from culvert.sim.snapshots import CountedEntropy
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.encrypted import Encrypted
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.message import parse_message
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.isakmp.payload import Payload
from culvert.wire.isakmp.sa import Proposal, SecurityAssociation, TransformSubstructure
from culvert.wire.isakmp.ts import TSi, TSr
from tests.fuzz.duel import ESP, OTHER, Duel
from tests.fuzz.stands import COPIER

IKE_OFFER = (TransformSubstructure(1, 20, 128), TransformSubstructure(2, 5), TransformSubstructure(4, 31))
ESP_OFFER = (TransformSubstructure(1, 20, 128), TransformSubstructure(5, 0))
KE = KeyExchangePayload(31, (9).to_bytes(32, "little"))
LOW, MIDDLE, HIGH = Nonce(bytes(32)), Nonce(b"\x00" * 31 + b"\x01"), Nonce(b"\xff" * 32)
ENTROPY = CountedEntropy(b"the peer")


def _described(name: str, peer: Peer) -> Peer:
    """Two children that are there, and one that nobody asks for by itself."""
    prefixes = ("fd0a", "fd0b") if name == "a" else ("fd0b", "fd0a")
    more = [
        Child(
            peer.name, what, *((traffic_selector(f"{one}:{n}::/32"),) for one in prefixes), proposals=ESP, start=start
        )
        for n, (what, start) in enumerate((("more", Start.ALWAYS), ("later", Start.PASSIVE)), 1)
    ]
    return replace(peer, children=(*peer.children, *more))


@cache
def _joined() -> Duel:
    duel = Duel(0, _described, lambda number: CountedEntropy(b"%d" % number))
    while duel.deliver():
        pass
    return duel


def _copied(duel: Duel) -> Duel:
    """Give two ends that stand where those stand, and have said nothing."""
    copied = copy(duel)
    copied.ends = {name: COPIER.copied(end) for name, end in duel.ends.items()}
    copied.under_way, copied.said = deque(), {name: [] for name in duel.said}
    return copied


class Meeting:
    """We, whose messages do not arrive any more, and a peer that says what a test lets it say."""

    def __init__(self, us: str) -> None:
        self.us, self.duel = us, _copied(_joined())
        self.old = self.sa
        self.first, self.second = self.lineage.children.values()
        self.peers_id = {self.old.spi: self.old.window.expected}

    @property
    def ctx(self) -> Context:
        return self.duel.ends[self.us].state

    @property
    def lineage(self) -> Lineage:
        return next(iter(self.ctx.lineages.values()))

    @property
    def sa(self) -> IkeSa:
        return self.ctx.sas[self.lineage.current]

    @property
    def outstanding(self) -> Task | None:
        return self.old.window.outstanding.task if self.old.window.outstanding else None

    @property
    def offer(self) -> ChildOffer | IkeOffer:
        assert self.old.window.outstanding
        offer = self.old.window.outstanding.offer
        assert offer
        return offer

    def begin(self, task: Task) -> None:
        """Let us begin an exchange of which the peer hears nothing."""
        lineages.enqueue(self.ctx, self.lineage, task)
        self.duel.step(self.us, RekeyRequested("nobody"))
        assert self.outstanding == task or isinstance(task, CreateChild)

    def hear(self, sa: IkeSa, exchange: ExchangeType, payloads: Payloads, *, response: bool = False) -> Contents | None:
        """Let the peer say something in an IKE SA; give what we answer."""
        window = sa.window
        message_id = window.expected
        if response:
            assert window.outstanding
            message_id = window.outstanding.message_id
        peers = replace(sa, initiator=not sa.initiator, ivs_used=1 << 20)
        data = sealing.seal(peers, ENTROPY, exchange, payloads, message_id=message_id, response=response)
        actions = self.duel.step(self.us, DatagramReceived(sa.local, sa.remote, data))
        for action in actions:
            if isinstance(action, Transmit) and not response and parse_message(action.data).response:
                (sealed,) = parse_message(action.data).payloads
                assert isinstance(sealed, Encrypted)
                return Contents(sealing.unseal(peers, action.data, sealed))
        return None


def asks(meeting: Meeting, asked: Asked, sa: IkeSa, *, nonce: Nonce = MIDDLE, spi_out: int | None = None) -> Contents:
    """Let the peer ask for something; of a child, for the first one, or for what has the SPI `spi_out`."""
    spi = meeting.first.spi_out if spi_out is None else spi_out
    later = meeting.ctx.peers[OTHER[meeting.us]].peer.children[2]
    rekeyed = child_notify(NotifyType.REKEY_SA, spi, ProtocolId.ESP)
    exchange, payloads = {
        Asked.NEW_CHILD: (ExchangeType.CREATE_CHILD_SA, (esp_offer(), nonce, *traffic(later, theirs_first=True))),
        Asked.REKEY_CHILD: (
            ExchangeType.CREATE_CHILD_SA,
            (rekeyed, esp_offer(), nonce, *traffic(meeting.first, theirs_first=True)),
        ),
        Asked.REKEY_IKE: (ExchangeType.CREATE_CHILD_SA, (ike_offer(), nonce, KE)),
        Asked.DELETE_CHILD: (ExchangeType.INFORMATIONAL, (Delete(ProtocolId.ESP, (spi.to_bytes(4, "big"),)),)),
        Asked.DELETE_IKE: (ExchangeType.INFORMATIONAL, (Delete(ProtocolId.IKE),)),
    }[asked]
    said = meeting.hear(sa, exchange, payloads)
    assert said is not None
    return said


def esp_offer() -> SecurityAssociation:
    return SecurityAssociation((Proposal(1, ProtocolId.ESP, ENTROPY.octets(4), ESP_OFFER),))


def ike_offer() -> SecurityAssociation:
    return SecurityAssociation((Proposal(1, ProtocolId.IKE, ENTROPY.octets(8), IKE_OFFER),))


def traffic(child: Child | ChildSa, *, theirs_first: bool) -> tuple[Payload, Payload]:
    sides = (child.remote, child.local) if theirs_first else (child.local, child.remote)
    return TSi(wire_selectors(sides[0])), TSr(wire_selectors(sides[1]))
