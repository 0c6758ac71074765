"""Messages put together from their fragments, within bounds (RFC 7383 section 2.6).

Nothing is kept but what is authentic, of an IKE SA that is here, and of the one message that may come now in its
direction. So a stranger costs us one failed decryption for a datagram, as with every other message, and no memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.limits import MAX_FRAGMENTED_OCTETS, MAX_FRAGMENTS
from culvert.wire.isakmp.encrypted import EncryptedFragment
from culvert.wire.isakmp.header import Header


@dataclass(slots=True)
class Incomplete:
    """The fragments of one message that are here. `first` is the digest of the first one's datagram, empty before it.

    `longest` is the length of the longest datagram among them, `octets` that of what came out of all.
    """

    message_id: int
    exchange: int
    total: int
    first_payload: int = 0
    first: bytes = b""
    longest: int = 0
    octets: int = 0
    parts: dict[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def complete(self) -> bool:
        return len(self.parts) == self.total

    def joined(self) -> bytes:
        return b"".join(self.parts[number] for number in range(1, self.total + 1))


@dataclass(slots=True)
class Reassemblies:
    """Incomplete messages: of each IKE SA at most one request and one response."""

    _held: dict[tuple[bytes, bool], Incomplete] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._held)

    def octets(self) -> int:
        """Count what is kept."""
        return sum(one.octets for one in self._held.values())

    def wants(self, spi: bytes, header: Header, fragment: EncryptedFragment) -> bool:
        """Tell before anything is decrypted whether a fragment could be of use.

        One that is here already is not, nor is one of a division into fewer fragments than the one that is here.
        """
        if fragment.total > MAX_FRAGMENTS:
            return False
        held = self._held.get((spi, header.response))
        if held is None or held.message_id != header.message_id:
            return True
        if fragment.total != held.total:
            return fragment.total > held.total
        return header.exchange == held.exchange and fragment.number not in held.parts

    def add(
        self, spi: bytes, header: Header, fragment: EncryptedFragment, part: bytes, datagram: tuple[bytes, int]
    ) -> Incomplete | None:
        """Keep an authentic fragment that is wanted; `part` is what was inside, `datagram` its digest and length.

        Give the message as far as it is there, or None where it is longer than we keep: then all of it is let go.
        """
        key = (spi, header.response)
        held = self._held.get(key)
        if held is None or held.message_id != header.message_id or held.total != fragment.total:
            held = self._held[key] = Incomplete(header.message_id, int(header.exchange), fragment.total)
        digest, octets = datagram
        held.parts[fragment.number] = part
        held.octets += len(part)
        held.longest = max(held.longest, octets)
        if fragment.number == 1:
            held.first_payload, held.first = fragment.first_payload, digest
        if held.octets > MAX_FRAGMENTED_OCTETS or held.complete:
            del self._held[key]
        return held if held.octets <= MAX_FRAGMENTED_OCTETS else None

    def forget(self, spi: bytes) -> None:
        """Let go of what there is of an IKE SA, by our SPI."""
        for response in (False, True):
            self._held.pop((spi, response), None)

    def settled(self, spi: bytes, response: bool) -> None:
        """Let go of a message that came whole by another way."""
        self._held.pop((spi, response), None)

    def waiting(self, spi: bytes) -> bool:
        """Tell whether anything of an IKE SA is incomplete."""
        return (spi, False) in self._held or (spi, True) in self._held
