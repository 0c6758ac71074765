"""Our own messages on gif links and on what fits their paths (engine-protocol.md)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from culvert.addresses import IPAddress, SocketAddress
from culvert.wire.netlink.family import emit_socket_address, parse_socket_address, required, text, u32
from culvert.wire.netlink.framing import ParseError, emit_attribute, parse_attributes
from culvert.wire.netlink.numbers import OwnAttribute

GIF_ECN_FRIENDLY = 1
"""gif(4)'s LINK1: congestion marks travel between inner and outer header (RFC 6040)."""
GIF_NO_INGRESS_FILTER = 2
"""gif(4)'s LINK2."""
LEAST_MTU, LARGEST_MTU = 68, 65_535

_NAME = re.compile(r"(?!\.{1,2}$)[!-.0-9;-~]{1,15}")
"""What Linux takes as the name of an interface: no slash, no colon, no blank."""
_U32 = struct.Struct("=I")


@dataclass(frozen=True, slots=True)
class GifWire:
    """The body of GIF_SET: a link and its outer pair."""

    name: str
    local: IPAddress
    remote: IPAddress
    flags: int = 0


@dataclass(frozen=True, slots=True)
class PathMtuWire:
    """The body of PATH_MTU: the longest outer packet, IP header included, that gets to `remote`."""

    remote: IPAddress
    mtu: int


def emit_gif(value: GifWire) -> bytes:
    """Give the body of GIF_SET. Raise ValueError where the name is none of an interface."""
    return (
        emit_gif_name(value.name)
        + _emit_address(OwnAttribute.LOCAL, value.local)
        + _emit_address(OwnAttribute.REMOTE, value.remote)
        + emit_attribute(OwnAttribute.FLAGS, _U32.pack(value.flags))
    )


def parse_gif(body: bytes) -> GifWire:
    """Read the body of GIF_SET. Raise ParseError."""
    attributes = parse_attributes(body)
    local, remote = (_parse_address(attributes, kind) for kind in (OwnAttribute.LOCAL, OwnAttribute.REMOTE))
    if local.version != remote.version:
        raise ParseError(f"{local} and {remote} are of different families")
    return GifWire(parse_gif_name(body), local, remote, u32(attributes, OwnAttribute.FLAGS))


def emit_gif_name(name: str) -> bytes:
    """Give the body of GIF_DELETE. Raise ValueError where it is no name of an interface."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an interface")
    return emit_attribute(OwnAttribute.NAME, name.encode())


def parse_gif_name(body: bytes) -> str:
    """Read the body of GIF_DELETE. Raise ParseError."""
    name = text(required(parse_attributes(body), OwnAttribute.NAME))
    if not _NAME.fullmatch(name):
        raise ParseError("a link has no name that an interface may have")
    return name


def emit_path_mtu(value: PathMtuWire) -> bytes:
    """Give the body of PATH_MTU."""
    mtu = emit_attribute(OwnAttribute.MTU, _U32.pack(value.mtu))
    return _emit_address(OwnAttribute.REMOTE, value.remote) + mtu


def parse_path_mtu(body: bytes) -> PathMtuWire:
    """Read the body of PATH_MTU. Raise ParseError."""
    attributes = parse_attributes(body)
    mtu = u32(attributes, OwnAttribute.MTU)
    if not LEAST_MTU <= mtu <= LARGEST_MTU:
        raise ParseError(f"{mtu} octets are no MTU of a path")
    return PathMtuWire(_parse_address(attributes, OwnAttribute.REMOTE), mtu)


def _emit_address(kind: OwnAttribute, address: IPAddress) -> bytes:
    return emit_attribute(kind, emit_socket_address(SocketAddress(address, 0)))


def _parse_address(attributes: dict[int, bytes], kind: OwnAttribute) -> IPAddress:
    return parse_socket_address(required(attributes, kind)).ip
