"""Associations that get other outer addresses: our values to and from MIGRATE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from culvert.addresses import IPAddress
from culvert.ipsec.associations import Encapsulation, Mode, Protocol
from culvert.ipsec.policies import Policy
from culvert.wire.netlink.migrate import MigrateWire, MoveWire
from culvert.xfrm.associations import encapsulation_to_wire
from culvert.xfrm.policies import id_to_wire, mode_from_wire, mode_to_wire, protocol_from_wire


@dataclass(frozen=True, slots=True)
class Move:
    """Templates and associations from `old_source` to `old_destination` go from `new_source` to `new_destination`.

    Keys, sequence numbers and windows stay. `reqid` 0 is any.
    """

    old_source: IPAddress
    old_destination: IPAddress
    new_source: IPAddress
    new_destination: IPAddress
    reqid: int = 0
    protocol: Protocol = Protocol.ESP
    mode: Mode = Mode.TUNNEL


def to_wire(policy: Policy, moves: Sequence[Move], encapsulation: Encapsulation | None = None) -> MigrateWire:
    """Give the message that moves the associations of a policy."""
    return MigrateWire(
        id_to_wire(policy), tuple(_move_to_wire(move) for move in moves), encapsulation_to_wire(encapsulation)
    )


def _move_to_wire(move: Move) -> MoveWire:
    return MoveWire(
        move.old_source,
        move.old_destination,
        move.new_source,
        move.new_destination,
        move.protocol.number,
        mode_to_wire(move.mode),
        move.reqid,
    )


def moves_from_wire(value: MigrateWire) -> tuple[Move, ...]:
    """Raise NotOursError where we have no words for one."""
    return tuple(
        Move(
            move.old_source,
            move.old_destination,
            move.new_source,
            move.new_destination,
            move.reqid,
            protocol_from_wire(move.protocol),
            mode_from_wire(move.mode),
        )
        for move in value.moves
    )
