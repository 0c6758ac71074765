"""Notifications: `struct xfrm_user_acquire` and `struct xfrm_user_expire`."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from culvert.addresses import IPAddress
from culvert.wire.netlink.framing import ParseError, parse_attributes, split
from culvert.wire.netlink.numbers import PADDING, XfrmAttribute
from culvert.wire.netlink.policy import (
    POLICY_OCTETS,
    PolicyWire,
    TemplateWire,
    emit_policy_info,
    emit_templates,
    parse_policy_info,
    parse_templates,
)
from culvert.wire.netlink.sa import SA_OCTETS, SaWire, emit_sa, parse_sa
from culvert.wire.netlink.structures import (
    IdWire,
    SelectorWire,
    emit_address,
    emit_id,
    emit_selector,
    family_of,
    parse_address,
    parse_id,
    parse_selector,
)

ACQUIRE_OCTETS = 280
EXPIRE_OCTETS = 232

_ALGORITHMS = struct.Struct("=4I")
_HARD = struct.Struct("=B7x")


@dataclass(frozen=True, slots=True)
class AcquireWire:
    """A packet met a policy and no association was there. `packet` is its selector, `templates` what is wanted."""

    id: IdWire
    source: IPAddress
    packet: SelectorWire
    policy: PolicyWire
    sequence: int = 0
    templates: tuple[TemplateWire, ...] = ()


@dataclass(frozen=True, slots=True)
class ExpireWire:
    """An association passed its soft limit (`hard` False) or ended."""

    sa: SaWire
    hard: bool


def emit_acquire(value: AcquireWire) -> bytes:
    """Give the body of ACQUIRE."""
    masks = value.templates[0].algorithms if value.templates else (0, 0, 0)
    return (
        emit_id(value.id)
        + emit_address(value.source)
        + emit_selector(value.packet)
        + emit_policy_info(value.policy)
        + _ALGORITHMS.pack(*masks, value.sequence)
        + emit_templates(value.templates)
    )


def parse_acquire(body: bytes) -> AcquireWire:
    """Read the body of ACQUIRE. The family of its addresses is the template's, else the packet's. Raise ParseError."""
    structure, rest = split(body, ACQUIRE_OCTETS, "an acquire")
    attributes = parse_attributes(rest, PADDING)
    templates = parse_templates(attributes.get(XfrmAttribute.TMPL, b""))
    packet = parse_selector(structure[40:96])
    if packet is None:
        raise ParseError("an acquire has no packet")
    family = family_of(templates[0].source if templates else packet.source)
    return AcquireWire(
        parse_id(structure[:24], family),
        parse_address(structure[24:40], family),
        packet,
        parse_policy_info(structure[96 : 96 + POLICY_OCTETS], templates),
        _ALGORITHMS.unpack(structure[264:])[3],
        templates,
    )


def emit_expire(value: ExpireWire) -> bytes:
    """Give the body of EXPIRE; the association goes without attributes, and so without keys."""
    return emit_sa(value.sa)[:SA_OCTETS] + _HARD.pack(value.hard)


def parse_expire(body: bytes) -> ExpireWire:
    """Read the body of EXPIRE. Raise ParseError."""
    structure, _ = split(body, EXPIRE_OCTETS, "an expire")
    (hard,) = _HARD.unpack(structure[SA_OCTETS:])
    return ExpireWire(parse_sa(structure[:SA_OCTETS]), hard != 0)
