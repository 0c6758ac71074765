"""Our own messages on the engine's socket: subscriptions, IKE datagrams, counters, blobs (engine-protocol.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from culvert.addresses import SocketAddress
from culvert.wire.netlink.framing import ParseError, emit_attribute, parse_attributes
from culvert.wire.netlink.numbers import Groups, Own, OwnAttribute
from culvert.wire.netlink.sa import emit_counters, parse_counters
from culvert.wire.netlink.structures import emit_address, family_of, parse_address

MAX_KEY_OCTETS = 128
MAX_BLOB_OCTETS = 256 * 1024
MAX_BLOBS_OCTETS = 128 * 1024 * 1024
MAX_BLOBS = 32_768
BLOB_PART_OCTETS = 16 * 1024
"""What one message carries of a blob."""

_U32 = struct.Struct("=I")
_SOCKET_ADDRESS = struct.Struct("=H2sI16s")


@dataclass(frozen=True, slots=True)
class DatagramWire:
    """The body of IKE_SEND and IKE_RECEIVED."""

    local: SocketAddress
    remote: SocketAddress
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class InfoWire:
    """The body of GETINFO's answer."""

    version: str
    pid: int
    tun_name: str
    mark: int
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlobWire:
    """The body of BLOB_PUT; its data are the daemon's secrets, or the last part of them."""

    key: str
    data: bytes = field(repr=False)


def emit_groups(groups: Groups) -> bytes:
    """Give the body of SUBSCRIBE."""
    return emit_attribute(OwnAttribute.GROUPS, _U32.pack(groups))


def parse_groups(body: bytes) -> Groups:
    """Read the body of SUBSCRIBE. Raise ParseError."""
    number = u32(parse_attributes(body), OwnAttribute.GROUPS)
    if number & ~sum(Groups):
        raise ParseError(f"0x{number:x} has a group that is not known")
    return Groups(number)


def emit_datagram(value: DatagramWire) -> bytes:
    """Give the body of IKE_SEND and IKE_RECEIVED."""
    return (
        emit_attribute(OwnAttribute.LOCAL, emit_socket_address(value.local))
        + emit_attribute(OwnAttribute.REMOTE, emit_socket_address(value.remote))
        + emit_attribute(OwnAttribute.DATA, value.data)
    )


def parse_datagram(body: bytes) -> DatagramWire:
    """Read the body of IKE_SEND and IKE_RECEIVED. Raise ParseError."""
    attributes = parse_attributes(body)
    local = parse_socket_address(required(attributes, OwnAttribute.LOCAL))
    remote = parse_socket_address(required(attributes, OwnAttribute.REMOTE))
    return DatagramWire(local, remote, required(attributes, OwnAttribute.DATA))


def emit_drops(counters: tuple[tuple[int, int], ...]) -> bytes:
    """Give the body of GETCOUNTERS' answer: pairs of reason and packets."""
    return emit_attribute(OwnAttribute.COUNTERS, emit_counters(counters))


def parse_drops(body: bytes) -> tuple[tuple[int, int], ...]:
    """Read the body of GETCOUNTERS' answer. Raise ParseError."""
    return parse_counters(parse_attributes(body).get(OwnAttribute.COUNTERS, b""))


def emit_info(info: InfoWire) -> bytes:
    """Give the body of GETINFO's answer."""
    return (
        emit_attribute(OwnAttribute.VERSION, info.version.encode())
        + emit_attribute(OwnAttribute.PID, _U32.pack(info.pid))
        + emit_attribute(OwnAttribute.TUN_NAME, info.tun_name.encode())
        + emit_attribute(OwnAttribute.MARK, _U32.pack(info.mark))
        + emit_attribute(OwnAttribute.FEATURES, " ".join(info.features).encode())
    )


def parse_info(body: bytes) -> InfoWire:
    """Read the body of GETINFO's answer. Raise ParseError."""
    attributes = parse_attributes(body)
    return InfoWire(
        text(required(attributes, OwnAttribute.VERSION)),
        u32(attributes, OwnAttribute.PID),
        text(required(attributes, OwnAttribute.TUN_NAME)),
        u32(attributes, OwnAttribute.MARK),
        tuple(text(attributes.get(OwnAttribute.FEATURES, b"")).split()),
    )


def emit_blob(blob: BlobWire) -> bytes:
    """Give the body of BLOB_PUT. Raise ValueError where the key is too long."""
    return emit_key(blob.key) + emit_part(blob.data)


def parse_blob(body: bytes) -> BlobWire:
    """Read the body of BLOB_PUT. Raise ParseError."""
    return BlobWire(parse_key(body), parse_part(body))


def emit_part(data: bytes) -> bytes:
    """Give the body of BLOB_PART."""
    return emit_attribute(OwnAttribute.DATA, data)


def parse_part(body: bytes) -> bytes:
    """Read the body of BLOB_PART. Raise ParseError."""
    return required(parse_attributes(body), OwnAttribute.DATA)


def emit_blob_in_parts(blob: BlobWire) -> list[tuple[int, bytes]]:
    """Give the messages that put a blob, of any length that there may be: numbers and bodies."""
    if len(blob.data) > MAX_BLOB_OCTETS:
        raise ValueError(f"a blob has {MAX_BLOB_OCTETS} octets at most")
    parts = [blob.data[at : at + BLOB_PART_OCTETS] for at in range(0, len(blob.data), BLOB_PART_OCTETS)] or [b""]
    before = [(int(Own.BLOB_PART), emit_part(part)) for part in parts[:-1]]
    return [*before, (int(Own.BLOB_PUT), emit_blob(BlobWire(blob.key, parts[-1])))]


def parse_blobs(messages: Iterable[tuple[int, bytes]]) -> list[BlobWire]:
    """Read the numbers and bodies of a dump's messages. Raise ParseError."""
    found: list[BlobWire] = []
    parts: list[bytes] = []
    for kind, body in messages:
        if kind == Own.BLOB_PART:
            parts.append(parse_part(body))
            continue
        last = parse_blob(body)
        found.append(BlobWire(last.key, b"".join((*parts, last.data))))
        parts.clear()
    return found


def emit_key(key: str) -> bytes:
    """Give the body of BLOB_DELETE. Raise ValueError where the key is empty or too long."""
    octets = key.encode()
    if not 1 <= len(octets) <= MAX_KEY_OCTETS:
        raise ValueError(f"a key has 1 to {MAX_KEY_OCTETS} octets")
    return emit_attribute(OwnAttribute.KEY, octets)


def parse_key(body: bytes) -> str:
    """Read the body of BLOB_DELETE. Raise ParseError."""
    octets = required(parse_attributes(body), OwnAttribute.KEY)
    if not 1 <= len(octets) <= MAX_KEY_OCTETS:
        raise ParseError(f"a key has {len(octets)} octets instead of 1 to {MAX_KEY_OCTETS}")
    return text(octets)


def emit_socket_address(value: SocketAddress) -> bytes:
    """Give the value of LOCAL and REMOTE."""
    return _SOCKET_ADDRESS.pack(family_of(value.ip), value.port.to_bytes(2, "big"), 0, emit_address(value.ip))


def parse_socket_address(octets: bytes) -> SocketAddress:
    """Read the value of LOCAL and REMOTE. Raise ParseError."""
    if len(octets) != _SOCKET_ADDRESS.size:
        raise ParseError(f"a socket address has {len(octets)} octets instead of {_SOCKET_ADDRESS.size}")
    family, port, _, address = _SOCKET_ADDRESS.unpack(octets)
    return SocketAddress(parse_address(address, family), int.from_bytes(port, "big"))


def required(attributes: dict[int, bytes], kind: OwnAttribute) -> bytes:
    """Give an attribute's value. Raise ParseError where it is missing."""
    try:
        return attributes[kind]
    except KeyError:
        raise ParseError(f"the attribute {kind.name} is missing") from None


def u32(attributes: dict[int, bytes], kind: OwnAttribute) -> int:
    """Read an attribute that is a number. Raise ParseError."""
    octets = required(attributes, kind)
    if len(octets) != _U32.size:
        raise ParseError(f"the attribute {kind.name} has {len(octets)} octets instead of {_U32.size}")
    number: int = _U32.unpack(octets)[0]
    return number


def text(octets: bytes) -> str:
    """Read UTF-8. Raise ParseError."""
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise ParseError("a text is not UTF-8") from error
