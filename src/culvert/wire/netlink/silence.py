"""The engine's hint that nothing comes in on the associations of a policy (engine-protocol.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from culvert.wire.netlink.family import required, u32
from culvert.wire.netlink.framing import emit_attribute, parse_attributes
from culvert.wire.netlink.numbers import OwnAttribute
from culvert.wire.netlink.sa import emit_sa_id, parse_sa_id
from culvert.wire.netlink.structures import IdWire

_U32 = struct.Struct("=I")
_SENDING = 1


@dataclass(frozen=True, slots=True)
class SilenceWire:
    """The body of SILENCE."""

    id: IdWire
    sending: bool


def emit_silence(value: SilenceWire) -> bytes:
    """Give the body of SILENCE."""
    flags = emit_attribute(OwnAttribute.FLAGS, _U32.pack(_SENDING if value.sending else 0))
    return emit_attribute(OwnAttribute.SA, emit_sa_id(value.id)) + flags


def parse_silence(body: bytes) -> SilenceWire:
    """Read the body of SILENCE. Raise ParseError."""
    attributes = parse_attributes(body)
    sending = u32(attributes, OwnAttribute.FLAGS) & _SENDING
    return SilenceWire(parse_sa_id(required(attributes, OwnAttribute.SA)), bool(sending))
