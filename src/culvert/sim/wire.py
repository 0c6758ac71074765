"""Watches every message: one request at a time, the same octets for the same message, no IV twice, nothing in clear."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from culvert.sim.broken import Broken
from culvert.wire.isakmp.encrypted import FRAGMENT_PREFIX_OCTETS, PREFIX_OCTETS
from culvert.wire.isakmp.header import NO_SPI, Header, read_header
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType

IV_OCTETS = 8
"""The length of an IV with AES-GCM, which is what the simulated peers use."""
header_of = lru_cache(maxsize=256)(read_header)
"""The header of a datagram that was read a moment ago. Raises ParseError as `read_header` does."""
Conversation = tuple[str, bytes, bytes]
"""Who sends, and the SPIs of the IKE SA: with the sender, what has one key."""
Part = tuple[bool, int, bytes]
"""A message of a conversation, and which fragment of it: response, message ID, fragment numbers."""


@dataclass(slots=True)
class Wire:
    """What was said so far."""

    seen: dict[tuple[Conversation, Part], bytes] = field(default_factory=dict)
    ivs: dict[tuple[Conversation, bytes], bytes] = field(default_factory=dict)
    answered: dict[Conversation, int] = field(default_factory=dict)
    asked: dict[Conversation, int] = field(default_factory=dict)
    hurried: dict[str, None] = field(default_factory=dict)
    """Who is about to end: its last DELETE does not wait for its turn."""

    def sent(self, sender: str, data: bytes) -> None:
        """Judge a message as it leaves. Raise Broken."""
        header = header_of(data)
        if header.exchange == ExchangeType.IKE_SA_INIT and (header.spi_r == NO_SPI or header.response):
            return
        if header.next_payload == PayloadType.NOTIFY:
            # INVALID_IKE_SPI belongs to no IKE SA: one that comes to be a moment later answers the same message.
            return
        if header.next_payload not in (PayloadType.SK, PayloadType.SKF):
            raise Broken(f"{sender} sends payload {header.next_payload} of {header.exchange} in clear")
        conversation = (sender, header.spi_i, header.spi_r)
        self._same(conversation, header, data)
        self._sealed(conversation, header, data)
        if not header.response and sender not in self.hurried:
            self._asked(conversation, header.message_id)

    def _same(self, conversation: Conversation, header: Header, data: bytes) -> None:
        fragment = header.next_payload == PayloadType.SKF
        part = data[PREFIX_OCTETS:FRAGMENT_PREFIX_OCTETS] if fragment else b""
        key = (conversation, (header.response, header.message_id, part))
        if self.seen.setdefault(key, data) != data:
            raise Broken(f"{conversation[0]} says message {header.message_id} in two ways")

    def _sealed(self, conversation: Conversation, header: Header, data: bytes) -> None:
        start = FRAGMENT_PREFIX_OCTETS if header.next_payload == PayloadType.SKF else PREFIX_OCTETS
        iv = data[start : start + IV_OCTETS]
        if self.ivs.setdefault((conversation, iv), data) != data:
            raise Broken(f"{conversation[0]} uses an IV twice")

    def _asked(self, conversation: Conversation, message_id: int) -> None:
        last = self.asked.get(conversation, message_id)
        if message_id > last and self.answered.get(conversation, -1) < message_id - 1:
            raise Broken(f"{conversation[0]} asks {message_id} while {last} is not answered")
        self.asked[conversation] = max(last, message_id)

    def delivered(self, receiver: str, data: bytes) -> None:
        """Enter that a message arrived as it was sent."""
        header = header_of(data)
        if header.response and header.next_payload != PayloadType.NOTIFY:
            conversation = (receiver, header.spi_i, header.spi_r)
            self.answered[conversation] = max(self.answered.get(conversation, -1), header.message_id)
