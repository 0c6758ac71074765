"""MIGRATE: a policy's associations get other outer addresses (`struct xfrm_user_migrate`)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from culvert.addresses import IPAddress
from culvert.wire.netlink.framing import ParseError, emit_attribute, parse_attributes, split
from culvert.wire.netlink.numbers import PADDING, XfrmAttribute
from culvert.wire.netlink.policy import (
    MAX_TEMPLATES,
    POLICY_ID_OCTETS,
    PolicyIdWire,
    emit_policy_id,
    parse_policy_id,
)
from culvert.wire.netlink.sa import EncapsulationWire, emit_encapsulation, parse_encapsulation
from culvert.wire.netlink.structures import emit_address, family_of, parse_address

MIGRATE_OCTETS = 76

_MOVE = struct.Struct("=16s16s16s16sBB2xIHH")


@dataclass(frozen=True, slots=True)
class MoveWire:
    """`struct xfrm_user_migrate`: the association from `old_source` to `old_destination` gets new ends."""

    old_source: IPAddress
    old_destination: IPAddress
    new_source: IPAddress
    new_destination: IPAddress
    protocol: int
    mode: int
    reqid: int


@dataclass(frozen=True, slots=True)
class MigrateWire:
    """The policy, by selector and direction, and what moves. `encapsulation` is that from now on; None: as it was."""

    policy: PolicyIdWire
    moves: tuple[MoveWire, ...]
    encapsulation: EncapsulationWire | None = None


def emit_migrate(value: MigrateWire) -> bytes:
    """Give the body of MIGRATE."""
    moves = b"".join(_emit_move(move) for move in value.moves)
    body = emit_policy_id(value.policy) + emit_attribute(XfrmAttribute.MIGRATE, moves)
    if value.encapsulation is not None:
        body += emit_attribute(XfrmAttribute.ENCAP, emit_encapsulation(value.encapsulation))
    return body


def _emit_move(move: MoveWire) -> bytes:
    return _MOVE.pack(
        emit_address(move.old_destination),
        emit_address(move.old_source),
        emit_address(move.new_destination),
        emit_address(move.new_source),
        move.protocol,
        move.mode,
        move.reqid,
        family_of(move.old_source),
        family_of(move.new_source),
    )


def parse_migrate(body: bytes) -> MigrateWire:
    """Read the body of MIGRATE. Raise ParseError."""
    structure, rest = split(body, POLICY_ID_OCTETS, "a migration")
    attributes = parse_attributes(rest, PADDING)
    octets = attributes.get(XfrmAttribute.MIGRATE, b"")
    if not octets or len(octets) % MIGRATE_OCTETS or len(octets) > MAX_TEMPLATES * MIGRATE_OCTETS:
        raise ParseError(f"{len(octets)} octets are no array of 1 to {MAX_TEMPLATES} moves")
    return MigrateWire(
        parse_policy_id(structure),
        tuple(_parse_move(one) for one in _MOVE.iter_unpack(octets)),
        parse_encapsulation(attributes.get(XfrmAttribute.ENCAP)),
    )


def _parse_move(values: tuple[bytes, bytes, bytes, bytes, int, int, int, int, int]) -> MoveWire:
    *addresses, protocol, mode, reqid, old_family, new_family = values
    old_destination, old_source, new_destination, new_source = addresses
    return MoveWire(
        parse_address(old_source, old_family),
        parse_address(old_destination, old_family),
        parse_address(new_source, new_family),
        parse_address(new_destination, new_family),
        protocol,
        mode,
        reqid,
    )
