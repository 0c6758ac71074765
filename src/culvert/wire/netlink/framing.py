"""Netlink's framing: messages in a datagram, attributes in a message, acknowledgements (`linux/netlink.h`).

Integers are in host byte order. Messages and attributes start at multiples of four octets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

MAX_DATAGRAM_OCTETS = 32 * 1024
"""Largest datagram of the control socket, and what the kernel puts into one part of a dump at most."""

NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4

NLM_F_REQUEST = 0x1
NLM_F_MULTI = 0x2
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_REPLACE = 0x100
NLM_F_DUMP = 0x300
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200

NLMSGERR_ATTR_MSG = 1
ATTRIBUTE_TYPE_MASK = 0x7FFF
"""Without NLA_F_NESTED; the bit below it is used by our own attributes of an SA."""

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERRNO = struct.Struct("=i")

HEADER_OCTETS = _HEADER.size
MAX_ATTRIBUTE_OCTETS = 0xFFFF - _ATTRIBUTE.size


class ParseError(ValueError):
    """Octets that are no message of this protocol; the text says which length or value is wrong."""


@dataclass(frozen=True, slots=True)
class Message:
    """One netlink message. `body` is what follows the header, without padding; it may hold keys."""

    type: int
    flags: int = 0
    sequence: int = 0
    port: int = 0
    body: bytes = field(default=b"", repr=False)

    def emit(self) -> bytes:
        """Give the octets, padded to four."""
        length = HEADER_OCTETS + len(self.body)
        return _HEADER.pack(length, self.type, self.flags, self.sequence, self.port) + self.body + padding(length)


def padding(length: int) -> bytes:
    """Zeros that bring `length` to a multiple of four."""
    return bytes(-length % 4)


def parse_messages(datagram: bytes) -> list[Message]:
    """Read all messages of a datagram. The last may lack its padding. Raise ParseError."""
    if len(datagram) > MAX_DATAGRAM_OCTETS:
        raise ParseError(f"a datagram of {len(datagram)} octets is longer than {MAX_DATAGRAM_OCTETS}")
    messages, offset = [], 0
    while offset < len(datagram):
        message, length = _message(datagram, offset)
        messages.append(message)
        offset += length + -length % 4
    return messages


def _message(datagram: bytes, offset: int) -> tuple[Message, int]:
    if len(datagram) - offset < HEADER_OCTETS:
        raise ParseError(f"{len(datagram) - offset} octets are too few for a message header")
    length, kind, flags, sequence, port = _HEADER.unpack_from(datagram, offset)
    if not HEADER_OCTETS <= length <= len(datagram) - offset:
        raise ParseError(f"a message says {length} octets where {len(datagram) - offset} are left")
    body = datagram[offset + HEADER_OCTETS : offset + length]
    return Message(kind, flags, sequence, port, bytes(body)), length


def pack(messages: Iterable[Message]) -> list[bytes]:
    """Fill datagrams of MAX_DATAGRAM_OCTETS at most, in order. Raise ValueError where one message is longer."""
    datagrams: list[bytearray] = []
    for message in messages:
        octets = message.emit()
        if len(octets) > MAX_DATAGRAM_OCTETS:
            raise ValueError(f"a message of {len(octets)} octets fits no datagram")
        if not datagrams or len(datagrams[-1]) + len(octets) > MAX_DATAGRAM_OCTETS:
            datagrams.append(bytearray())
        datagrams[-1] += octets
    return [bytes(datagram) for datagram in datagrams]


def emit_attribute(kind: int, value: bytes) -> bytes:
    """Give one attribute, padded to four octets. Raise ValueError where the value is too long for one."""
    if len(value) > MAX_ATTRIBUTE_OCTETS:
        raise ValueError(f"a value of {len(value)} octets fits no attribute")
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + padding(length)


def parse_attributes(octets: bytes, ignored: frozenset[int] = frozenset()) -> dict[int, bytes]:
    """Read attributes into type and value. One that comes twice is refused. Raise ParseError.

    `ignored` are types that stand for nothing, such as the kernel's padding, and may come often.
    """
    attributes: dict[int, bytes] = {}
    offset = 0
    while offset < len(octets):
        kind, value = _attribute(octets, offset)
        if kind in attributes:
            raise ParseError(f"attribute {kind} comes twice")
        if kind not in ignored:
            attributes[kind] = value
        length = _ATTRIBUTE.size + len(value)
        offset += length + -length % 4
    return attributes


def _attribute(octets: bytes, offset: int) -> tuple[int, bytes]:
    left = len(octets) - offset
    if left < _ATTRIBUTE.size:
        raise ParseError(f"{left} octets are too few for an attribute")
    length, kind = _ATTRIBUTE.unpack_from(octets, offset)
    if not _ATTRIBUTE.size <= length <= left:
        raise ParseError(f"attribute {kind} says {length} octets where {left} are left")
    return kind & ATTRIBUTE_TYPE_MASK, bytes(octets[offset + _ATTRIBUTE.size : offset + length])


def split(body: bytes, size: int, what: str) -> tuple[bytes, bytes]:
    """Part a body into its structure of `size` octets and its attributes. Raise ParseError."""
    if len(body) < size:
        raise ParseError(f"{what} has {len(body)} octets instead of {size}")
    return body[:size], body[size + -size % 4 :]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The outcome of a request: `error` is 0 or a positive errno, `text` the sentence that came with it."""

    error: int
    text: str = ""


def acknowledge(request: Message, error: int = 0, text: str = "") -> Message:
    """Give the NLMSG_ERROR that answers `request`. `error` is 0 or a positive errno."""
    header = _HEADER.pack(
        HEADER_OCTETS + len(request.body), request.type, request.flags, request.sequence, request.port
    )
    body, flags = _ERRNO.pack(-error) + header, NLM_F_CAPPED
    if text:
        body += emit_attribute(NLMSGERR_ATTR_MSG, text.encode() + b"\0")
        flags |= NLM_F_ACK_TLVS
    return Message(NLMSG_ERROR, flags, request.sequence, request.port, body)


def parse_acknowledgement(message: Message) -> Acknowledgement:
    """Read an NLMSG_ERROR or the errno of an NLMSG_DONE; only the request's header is in it. Raise ParseError."""
    if len(message.body) < _ERRNO.size:
        if message.type == NLMSG_DONE and not message.body:
            return Acknowledgement(0)
        raise ParseError("an acknowledgement has no errno")
    (error,) = _ERRNO.unpack_from(message.body)
    if error > 0:
        raise ParseError(f"an acknowledgement has the errno {error}, which should not be positive")
    text = ""
    if message.type == NLMSG_ERROR and message.flags & NLM_F_ACK_TLVS:
        attributes = parse_attributes(message.body[_ERRNO.size + HEADER_OCTETS :])
        text = attributes.get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")
    return Acknowledgement(-error, text)


def dump_done(request: Message, interrupted: bool = False) -> Message:
    """Give the NLMSG_DONE that ends the dump which `request` asked for."""
    flags = NLM_F_MULTI | (NLM_F_DUMP_INTR if interrupted else 0)
    return Message(NLMSG_DONE, flags, request.sequence, request.port, _ERRNO.pack(0))
