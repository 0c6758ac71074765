"""NEWAE and GETAE: how far an association has come, without its keys (`struct xfrm_aevent_id`)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from culvert.addresses import IPAddress
from culvert.wire.netlink.framing import emit_attribute, parse_attributes, split
from culvert.wire.netlink.numbers import PADDING, XfrmAttribute
from culvert.wire.netlink.replay import (
    ReplayWire,
    emit_plain_replay,
    emit_replay,
    parse_plain_replay,
    parse_replay,
)
from culvert.wire.netlink.sa import SA_ID_OCTETS, emit_sa_id, parse_sa_id_structure
from culvert.wire.netlink.structures import (
    CurrentWire,
    IdWire,
    emit_address,
    emit_current,
    family_of,
    parse_address,
    parse_current,
)

PROGRESS_OCTETS = 48

_STRUCTURE = struct.Struct("=24s16sII")


@dataclass(frozen=True, slots=True)
class ProgressWire:
    """`struct xfrm_aevent_id` and its attributes. `flags` are XFRM_AE_*; None is what is not told."""

    id: IdWire
    source: IPAddress
    reqid: int = 0
    flags: int = 0
    replay: ReplayWire | None = None
    plain_replay: ReplayWire | None = None
    current: CurrentWire | None = None


def emit_progress(value: ProgressWire) -> bytes:
    """Give the body of NEWAE and GETAE."""
    body = _STRUCTURE.pack(emit_sa_id(value.id), emit_address(value.source), value.flags, value.reqid)
    if value.replay is not None:
        body += emit_attribute(XfrmAttribute.REPLAY_ESN_VAL, emit_replay(value.replay))
    if value.plain_replay is not None:
        body += emit_attribute(XfrmAttribute.REPLAY_VAL, emit_plain_replay(value.plain_replay))
    if value.current is not None:
        body += emit_attribute(XfrmAttribute.LTIME_VAL, emit_current(value.current))
    return body


def parse_progress(body: bytes) -> ProgressWire:
    """Read the body of NEWAE and GETAE. Raise ParseError."""
    structure, rest = split(body, PROGRESS_OCTETS, "an association's progress")
    identity, source, flags, reqid = _STRUCTURE.unpack(structure)
    sa = parse_sa_id_structure(identity[:SA_ID_OCTETS])
    attributes = parse_attributes(rest, PADDING)
    current = attributes.get(XfrmAttribute.LTIME_VAL)
    return ProgressWire(
        sa,
        parse_address(source, family_of(sa.destination)),
        reqid,
        flags,
        parse_replay(attributes.get(XfrmAttribute.REPLAY_ESN_VAL)),
        parse_plain_replay(attributes.get(XfrmAttribute.REPLAY_VAL)),
        None if current is None else parse_current(current),
    )
