"""A run as a sequence diagram of characters: a column for each gateway, time downwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from culvert.clock import SECOND
from culvert.sim.link import MILLISECOND, Fate
from culvert.sim.recording import Received, Record, Sent, Told
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import read_header
from culvert.wire.isakmp.numbers import ExchangeType

COLUMN = 64
TIME = 10
NAMES = {
    ExchangeType.IKE_SA_INIT: "IKE_SA_INIT",
    ExchangeType.IKE_AUTH: "IKE_AUTH",
    ExchangeType.CREATE_CHILD_SA: "CREATE_CHILD_SA",
    ExchangeType.INFORMATIONAL: "INFORMATIONAL",
}

SHORT = {
    "SecurityAssociation": "SA",
    "KeyExchangePayload": "KE",
    "Authentication": "AUTH",
    "Delete": "D",
    "Certificate": "CERT",
    "CertificateRequest": "CERTREQ",
    **dict.fromkeys(("NAT_DETECTION_SOURCE_IP", "NAT_DETECTION_DESTINATION_IP", "VendorId"), ""),
    **dict.fromkeys(("IKEV2_FRAGMENTATION_SUPPORTED", "SIGNATURE_HASH_ALGORITHMS", "CHILDLESS_IKEV2_SUPPORTED"), ""),
}
"""Payloads as RFC 7296 section 1.2 writes them; empty: left out."""


@dataclass(slots=True)
class Diagram:
    """Columns in the order of `nodes`. Each datagram has a number, so that an arrival can be found again."""

    nodes: Sequence[str]
    numbers: dict[bytes, int] = field(default_factory=dict)

    def lines(self, records: Sequence[Record]) -> Iterator[str]:
        """Give the diagram, line by line."""
        yield " " * TIME + "".join(f"  {name:<{COLUMN - 2}}" for name in self.nodes).rstrip()
        for record in records:
            yield from self._line(record)

    def _line(self, record: Record) -> Iterator[str]:
        match record:
            case Sent():
                yield self._at(record.at, record.node, f"o-- {self._message(record)} --> {_fared(record.fate)}")
            case Received():
                yield self._at(record.at, record.node, f"--> {self._number(record.data)}{_harm(record)}")
            case Told(at, text):
                yield from self._told(at, text)

    def _told(self, at: int, text: str) -> Iterator[str]:
        owner, _, rest = text.partition(" ")
        if text.startswith("-- "):
            yield f"{_instant(at)}{text} {'-' * (COLUMN - len(text))}"
        elif owner in self.nodes and not rest.startswith(("sends ", "receives ")) and rest not in ("Acquired",):
            yield self._at(at, owner, f"  {rest}")

    def _at(self, at: int, node: str, text: str) -> str:
        """Write into a column. Where a text is too long for it, the lines of the columns after it are left out."""
        column = self.nodes.index(node) if node in self.nodes else 0
        after = 0 if len(text) >= COLUMN else len(self.nodes) - column - 1
        line = f"{'|':<{COLUMN}}" * column + f"|{text:<{COLUMN - 1}}" + f"{'|':<{COLUMN}}" * after
        return f"{_instant(at)}{line}".rstrip()

    def _message(self, sent: Sent) -> str:
        try:
            header = read_header(sent.data)
        except ParseError:
            return f"{self._number(sent.data)} {len(sent.data)} octets"
        name = NAMES.get(ExchangeType(header.exchange), "?") if header.exchange in set(ExchangeType) else "?"
        kind = "response" if header.response else "request"
        spi = (header.spi_i if header.initiator else header.spi_r).hex()[:4]
        return f"{self._number(sent.data)} {spi} {name} {kind} {header.message_id} {{{_short(sent.contents)}}}"

    def _number(self, data: bytes) -> str:
        return f"#{self.numbers.setdefault(data, len(self.numbers) + 1)}"


def _short(contents: str) -> str:
    """Give payloads by the RFC's short names; what hardly ever matters is left out."""
    words = [SHORT.get(word, word) for word in contents.split(" ")]
    return " ".join(word for word in words if word)


def _instant(at: int) -> str:
    return f"{at / SECOND:{TIME - 1}.4f} "


def _fared(fate: Fate) -> str:
    """Say how long each copy takes."""
    return ", ".join(f"{copy.after / MILLISECOND:g} ms" for copy in fate) or "lost"


def _harm(received: Received) -> str:
    forged = " forged" if received.sender == "forger" else ""
    return f"{forged}{' damaged' if received.damaged else ''}"
