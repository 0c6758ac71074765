"""Whole messages: the header and the chain of payloads behind it (RFC 7296 sections 3.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from culvert.wire.isakmp.auth import Authentication
from culvert.wire.isakmp.cert import Certificate
from culvert.wire.isakmp.certreq import CertificateRequest
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.encrypted import (
    GENERIC_HEADER,
    GENERIC_HEADER_OCTETS,
    Encrypted,
    EncryptedFragment,
    generic_header,
)
from culvert.wire.isakmp.errors import require
from culvert.wire.isakmp.header import HEADER_OCTETS, MAJOR_VERSION, Header, peek
from culvert.wire.isakmp.identification import IDi, IDr
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.limits import MAX_MESSAGE_OCTETS, MAX_PAYLOADS
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType
from culvert.wire.isakmp.payload import Payload, Unknown
from culvert.wire.isakmp.reader import Reader
from culvert.wire.isakmp.sa import SecurityAssociation
from culvert.wire.isakmp.ts import TSi, TSr
from culvert.wire.isakmp.vendor_id import VendorId

_PARSERS: dict[int, Callable[[bytes], Payload]] = {
    PayloadType.SA: SecurityAssociation.parse,
    PayloadType.KE: KeyExchangePayload.parse,
    PayloadType.IDI: IDi.parse,
    PayloadType.IDR: IDr.parse,
    PayloadType.CERT: Certificate.parse,
    PayloadType.CERTREQ: CertificateRequest.parse,
    PayloadType.AUTH: Authentication.parse,
    PayloadType.NONCE: Nonce.parse,
    PayloadType.NOTIFY: Notify.parse,
    PayloadType.DELETE: Delete.parse,
    PayloadType.VENDOR_ID: VendorId.parse,
    PayloadType.TSI: TSi.parse,
    PayloadType.TSR: TSr.parse,
}
_ENCRYPTED = (PayloadType.SK, PayloadType.SKF)
_TOO_MANY = f"more than {MAX_PAYLOADS} payloads"


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it travels; the fields are the header's. An Encrypted payload in it is still sealed."""

    spi_i: bytes
    spi_r: bytes
    exchange: ExchangeType | int
    initiator: bool
    response: bool
    message_id: int
    payloads: tuple[Payload, ...] = ()
    version: bool = False
    minor: int = 0

    @property
    def encrypted(self) -> Encrypted | EncryptedFragment | None:
        """The sealed payload, which is always the last one, or None."""
        last = self.payloads[-1] if self.payloads else None
        return last if isinstance(last, Encrypted | EncryptedFragment) else None


def parse_message(data: bytes) -> Message:
    """Read one datagram, all of it. Raise ParseError."""
    header = peek(data)
    require(len(data) <= MAX_MESSAGE_OCTETS, f"a message of {len(data)} octets")
    return Message(
        spi_i=header.spi_i,
        spi_r=header.spi_r,
        exchange=header.exchange,
        initiator=header.initiator,
        response=header.response,
        message_id=header.message_id,
        payloads=parse_payloads(header.next_payload, data[HEADER_OCTETS:], sealed=False),
        version=header.version,
        minor=header.minor,
    )


def emit_message(message: Message) -> bytes:
    """Write a message. Raise ParseError where it is too long or its payloads are out of order."""
    payloads = emit_payloads(message.payloads)
    header = Header(
        spi_i=message.spi_i,
        spi_r=message.spi_r,
        next_payload=first_payload(message.payloads),
        exchange=message.exchange,
        initiator=message.initiator,
        response=message.response,
        message_id=message.message_id,
        length=HEADER_OCTETS + len(payloads),
        version=message.version,
        major=MAJOR_VERSION,
        minor=message.minor,
    )
    require(header.length <= MAX_MESSAGE_OCTETS, f"a message of {header.length} octets")
    return header.emit() + payloads


def parse_payloads(first_type: int, data: bytes, *, sealed: bool = True) -> tuple[Payload, ...]:
    """Read a chain of payloads that fills `data`, at most 64 of them. Raise ParseError.

    `sealed`: the chain comes out of an Encrypted payload, so it may not hold another one.
    """
    reader, payloads, kind = Reader(data, "a payload"), list[Payload](), first_type
    while kind != PayloadType.NONE:
        require(len(payloads) < MAX_PAYLOADS, _TOO_MANY)
        following, flags, length = reader.fields(GENERIC_HEADER)
        body = reader.octets(length - GENERIC_HEADER_OCTETS)
        if kind in _ENCRYPTED:
            require(not sealed, "an Encrypted payload inside another")
            payloads.append(_parse_encrypted(kind, following, body))
            break
        payloads.append(_PARSERS[kind](body) if kind in _PARSERS else Unknown(kind, bool(flags & 0x80), body))
        kind = following
    reader.end()
    return tuple(payloads)


def _parse_encrypted(kind: int, first_type: int, body: bytes) -> Encrypted | EncryptedFragment:
    if kind == PayloadType.SKF:
        return EncryptedFragment.parse(first_type, body)
    return Encrypted(first_type, body)


def first_payload(payloads: Sequence[Payload]) -> int:
    """Give the type of the first payload, for the header or the Encrypted payload in front; 0 where there is none."""
    return payloads[0].payload_type if payloads else PayloadType.NONE


def emit_payloads(payloads: Iterable[Payload]) -> bytes:
    """Write a chain of payloads. Raise ParseError where there are too many, or an Encrypted one is not the last."""
    chain = tuple(payloads)
    require(len(chain) <= MAX_PAYLOADS, f"{len(chain)} payloads")
    require(all(one.payload_type not in _ENCRYPTED for one in chain[:-1]), "an Encrypted payload ends its message")
    return b"".join(_emit_payload(one, chain[at : at + 1]) for at, one in enumerate(chain, 1))


def _emit_payload(payload: Payload, following: tuple[Payload, ...]) -> bytes:
    body = payload.emit()
    critical = isinstance(payload, Unknown) and payload.critical
    if isinstance(payload, Encrypted | EncryptedFragment):
        return generic_header(payload.first_payload, critical, len(body)) + body
    return generic_header(first_payload(following), critical, len(body)) + body
