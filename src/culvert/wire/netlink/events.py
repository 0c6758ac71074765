"""Notifications: `struct xfrm_user_acquire`, `xfrm_user_expire`, `xfrm_user_polexpire` and `xfrm_user_mapping`."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from culvert.addresses import IPAddress, SocketAddress
from culvert.wire.netlink.framing import ParseError, emit_attribute, parse_attributes, split
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
from culvert.wire.netlink.sa import (
    SA_ID_OCTETS,
    SA_OCTETS,
    SaWire,
    emit_sa,
    emit_sa_id,
    parse_sa,
    parse_sa_id_structure,
)
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
POLICY_EXPIRE_OCTETS = 176
MAPPING_OCTETS = 64

_ALGORITHMS = struct.Struct("=4I")
_NUMBER = struct.Struct("=I")
_HARD = struct.Struct("=B7x")
_MAPPING = struct.Struct("=24sI16s16s2s2s")


@dataclass(frozen=True, slots=True)
class AcquireWire:
    """A packet met a policy and no association was there. `packet` is its selector, `templates` what is wanted.

    `missing` is the place among them of the one whose association is not there; the kernel does not tell, 0.
    """

    id: IdWire
    source: IPAddress
    packet: SelectorWire
    policy: PolicyWire
    sequence: int = 0
    templates: tuple[TemplateWire, ...] = ()
    missing: int = 0


@dataclass(frozen=True, slots=True)
class ExpireWire:
    """An association passed its soft limit (`hard` False) or ended."""

    sa: SaWire
    hard: bool


@dataclass(frozen=True, slots=True)
class PolicyExpireWire:
    """A policy passed its soft limit (`hard` False) or ended."""

    policy: PolicyWire
    hard: bool


@dataclass(frozen=True, slots=True)
class MappingWire:
    """Packets of an association come from another address or UDP port than they did."""

    id: IdWire
    reqid: int
    old: SocketAddress
    new: SocketAddress


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
        + emit_attribute(XfrmAttribute.TEMPLATE, _NUMBER.pack(value.missing))
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
        _missing(attributes.get(XfrmAttribute.TEMPLATE, _NUMBER.pack(0)), templates),
    )


def _missing(octets: bytes, templates: tuple[TemplateWire, ...]) -> int:
    if len(octets) != _NUMBER.size:
        raise ParseError("an acquire's template is no number")
    (place,) = _NUMBER.unpack(octets)
    if place >= max(len(templates), 1):
        raise ParseError(f"an acquire asks for template {place} of {len(templates)}")
    return int(place)


def emit_expire(value: ExpireWire) -> bytes:
    """Give the body of EXPIRE; the association goes without attributes, and so without keys."""
    return emit_sa(value.sa)[:SA_OCTETS] + _HARD.pack(value.hard)


def parse_expire(body: bytes) -> ExpireWire:
    """Read the body of EXPIRE. Raise ParseError."""
    structure, _ = split(body, EXPIRE_OCTETS, "an expire")
    (hard,) = _HARD.unpack(structure[SA_OCTETS:])
    return ExpireWire(parse_sa(structure[:SA_OCTETS]), hard != 0)


def emit_policy_expire(value: PolicyExpireWire) -> bytes:
    """Give the body of POLEXPIRE."""
    return emit_policy_info(value.policy) + _HARD.pack(value.hard) + emit_templates(value.policy.templates)


def parse_policy_expire(body: bytes) -> PolicyExpireWire:
    """Read the body of POLEXPIRE. Raise ParseError."""
    structure, rest = split(body, POLICY_EXPIRE_OCTETS, "an expire of a policy")
    templates = parse_templates(parse_attributes(rest, PADDING).get(XfrmAttribute.TMPL, b""))
    (hard,) = _HARD.unpack(structure[POLICY_OCTETS:])
    return PolicyExpireWire(parse_policy_info(structure[:POLICY_OCTETS], templates), hard != 0)


def emit_mapping(value: MappingWire) -> bytes:
    """Give the body of MAPPING."""
    return _MAPPING.pack(
        emit_sa_id(value.id),
        value.reqid,
        emit_address(value.old.ip),
        emit_address(value.new.ip),
        value.old.port.to_bytes(2, "big"),
        value.new.port.to_bytes(2, "big"),
    )


def parse_mapping(body: bytes) -> MappingWire:
    """Read the body of MAPPING; all addresses are of one family. Raise ParseError."""
    structure, _ = split(body, MAPPING_OCTETS, "a mapping")
    identity, reqid, old, new, old_port, new_port = _MAPPING.unpack(structure)
    sa = parse_sa_id_structure(identity[:SA_ID_OCTETS])
    family = family_of(sa.destination)
    return MappingWire(sa, reqid, _end(old, old_port, family), _end(new, new_port, family))


def _end(address: bytes, port: bytes, family: int) -> SocketAddress:
    return SocketAddress(parse_address(address, family), int.from_bytes(port, "big"))
