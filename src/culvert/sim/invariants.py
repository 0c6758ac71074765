"""What must hold at every moment, whatever the network does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from culvert.ipsec.associations import AssociationId, Direction, Mode, SecurityAssociation
from culvert.ipsec.selectors import Selector
from culvert.wire.isakmp.encrypted import FRAGMENT_PREFIX_OCTETS, PREFIX_OCTETS
from culvert.wire.isakmp.header import NO_SPI, read_header
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType

IV_OCTETS = 8
"""The length of an IV with AES-GCM, which is what the simulated peers use."""
Conversation = tuple[str, bytes, bytes]
"""Who sends, and the SPIs of the IKE SA."""


class Broken(AssertionError):  # noqa: N818 - it names what is the case
    """An invariant does not hold; the text says which and where, `trace` what happened before."""

    trace: tuple[str, ...] = ()


@dataclass(slots=True)
class DataPlane:
    """A model of one endpoint's SAD."""

    name: str
    associations: dict[AssociationId, SecurityAssociation] = field(default_factory=dict)
    used: dict[AssociationId, None] = field(default_factory=dict)

    def install(self, association: SecurityAssociation) -> None:
        """Take an association. The same SPI never comes twice, even where the first one is gone."""
        if association.direction is Direction.IN:
            if association.id in self.used:
                raise Broken(f"{self.name}: {association.id} was in use before")
            self.used[association.id] = None
        self.associations[association.id] = association

    def remove(self, id_: AssociationId) -> None:
        self.associations.pop(id_, None)

    def move(self, id_: AssociationId, association: SecurityAssociation) -> bool:
        """Give an association other outer addresses; it stays as new as it was. False where it is not there."""
        found = id_ in self.associations
        kept = self.associations.items()
        self.associations = dict((association.id, association) if one == id_ else (one, held) for one, held in kept)
        return found

    def flush(self) -> None:
        self.associations.clear()

    def side(self, direction: Direction) -> list[SecurityAssociation]:
        return [one for one in self.associations.values() if one.direction is direction]

    def sends_on(self) -> dict[tuple[int, Selector], int]:
        """Give the SPI on which packets leave, by reqid and selector: the newest outbound association's."""
        return {(one.reqid, selector): one.spi for one in self.side(Direction.OUT) for selector in one.selectors}

    def takes(self, spi: int) -> bool:
        return any(one.spi == spi for one in self.side(Direction.IN))


def agree(one: DataPlane, other: DataPlane) -> None:
    """What `one` sends on, `other` must open with the same keys, where it has it."""
    for sent in one.side(Direction.OUT):
        # A NAT makes the destination another one, and each end draws from 32 bits: the SPI tells them apart.
        received = next((sa for sa in other.side(Direction.IN) if sa.spi == sent.spi), None)
        if received is not None:
            same = (sent.encryption_key, sent.integrity_key) == (received.encryption_key, received.integrity_key)
            # In transport mode they are about addresses that a NAT may change.
            alike = frozenset(received.selectors) == frozenset(sent.selectors) or sent.mode is Mode.TRANSPORT
            if not same or not alike:
                raise Broken(f"{one.name} and {other.name} do not agree on {sent.id}")


def reach(one: DataPlane, other: DataPlane, reqids: Iterable[int]) -> None:
    """What `one` sends at this moment, `other` must be able to open."""
    asked = dict.fromkeys(reqids)
    for (reqid, selector), spi in one.sends_on().items():
        if reqid in asked and not other.takes(spi):
            raise Broken(f"{one.name} sends {selector} on 0x{spi:08x}, which {other.name} does not have")


@dataclass(slots=True)
class Wire:
    """Watches every message: one request at a time, and the same octets for the same message."""

    seen: dict[tuple[Conversation, bool, int, bytes], bytes] = field(default_factory=dict)
    ivs: dict[tuple[Conversation, bytes], bytes] = field(default_factory=dict)
    answered: dict[Conversation, int] = field(default_factory=dict)
    asked: dict[Conversation, int] = field(default_factory=dict)

    def sent(self, sender: str, data: bytes) -> None:
        header = read_header(data)
        if header.exchange == ExchangeType.IKE_SA_INIT and (header.spi_r == NO_SPI or header.response):
            return
        if header.next_payload == PayloadType.NOTIFY:
            # INVALID_IKE_SPI belongs to no IKE SA: one that comes to be a moment later answers the same message.
            return
        conversation = (sender, header.spi_i, header.spi_r)
        key = (conversation, header.response, header.message_id, _numbers(data))
        if self.seen.setdefault(key, data) != data:
            raise Broken(f"{sender} says message {header.message_id} in two ways")
        self._sealed(conversation, data)
        if not header.response:
            self._asked(conversation, header.message_id)

    def _sealed(self, conversation: Conversation, data: bytes) -> None:
        at = PREFIX_OCTETS + len(_numbers(data))
        iv = data[at : at + IV_OCTETS]
        if self.ivs.setdefault((conversation, iv), data) != data:
            raise Broken(f"{conversation[0]} uses an IV twice")

    def _asked(self, conversation: Conversation, message_id: int) -> None:
        last = self.asked.get(conversation, message_id)
        if message_id > last and self.answered.get(conversation, -1) < message_id - 1:
            raise Broken(f"{conversation[0]} asks {message_id} while {last} is not answered")
        if message_id > last + 1:
            raise Broken(f"{conversation[0]} leaves out a message ID before {message_id}")
        self.asked[conversation] = max(last, message_id)

    def delivered(self, receiver: str, data: bytes) -> None:
        header = read_header(data)
        if header.response and header.next_payload != PayloadType.NOTIFY:
            conversation = (receiver, header.spi_i, header.spi_r)
            self.answered[conversation] = max(self.answered.get(conversation, -1), header.message_id)


def _numbers(data: bytes) -> bytes:
    """Give a fragment's number and total as they travel, nothing for a whole message."""
    fragment = read_header(data).next_payload == PayloadType.SKF
    return data[PREFIX_OCTETS:FRAGMENT_PREFIX_OCTETS] if fragment else b""
