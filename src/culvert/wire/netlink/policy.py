"""Policies: `struct xfrm_userpolicy_info`, templates, and the messages made of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from culvert.addresses import IPAddress
from culvert.wire.netlink.framing import ParseError, emit_attribute, parse_attributes, split
from culvert.wire.netlink.numbers import PADDING, XfrmAttribute
from culvert.wire.netlink.structures import (
    SELECTOR_OCTETS,
    CurrentWire,
    IdWire,
    LifetimeWire,
    SelectorWire,
    emit_address,
    emit_current,
    emit_id,
    emit_lifetime,
    emit_selector,
    family_of,
    parse_address,
    parse_current,
    parse_id,
    parse_lifetime,
    parse_selector,
)

POLICY_OCTETS = 168
POLICY_ID_OCTETS = 64
TEMPLATE_OCTETS = 64
MAX_TEMPLATES = 6
"""XFRM_MAX_DEPTH of the kernel."""
POLICY_IN, POLICY_OUT, POLICY_FORWARD = 0, 1, 2
ALLOW, BLOCK = 0, 1
ALL_ALGORITHMS = 2**32 - 1
"""A template that leaves the algorithms to the association."""

_DIRECTION_OFFSET = 160
_TAIL = struct.Struct("=IIBBBB4x")
_POLICY_ID = struct.Struct("=56sIB3x")
_TEMPLATE = struct.Struct("=24sH2x16sIBBBx3I")


@dataclass(frozen=True, slots=True)
class TemplateWire:
    """`struct xfrm_user_tmpl`. `share` and `optional` are the kernel's; algorithms are masks."""

    id: IdWire
    source: IPAddress
    reqid: int = 0
    mode: int = 1
    share: int = 0
    optional: int = 0
    algorithms: tuple[int, int, int] = (ALL_ALGORITHMS,) * 3


@dataclass(frozen=True, slots=True)
class PolicyWire:
    """`struct xfrm_userpolicy_info` and its templates. `direction`, `action` and `flags` are the kernel's numbers."""

    selector: SelectorWire
    direction: int
    action: int = ALLOW
    priority: int = 0
    index: int = 0
    flags: int = 0
    share: int = 0
    lifetime: LifetimeWire = LifetimeWire()
    current: CurrentWire = CurrentWire()
    templates: tuple[TemplateWire, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyIdWire:
    """`struct xfrm_userpolicy_id`: by selector, or, where that is None, by index."""

    selector: SelectorWire | None
    direction: int
    index: int = 0


def emit_policy(policy: PolicyWire) -> bytes:
    """Give the body of NEWPOLICY and UPDPOLICY."""
    return emit_policy_info(policy) + emit_templates(policy.templates)


def parse_policy(body: bytes) -> PolicyWire:
    """Read the body of NEWPOLICY and UPDPOLICY. Raise ParseError."""
    info, rest = split(body, POLICY_OCTETS, "a policy")
    attributes = parse_attributes(rest, PADDING)
    return parse_policy_info(info, parse_templates(attributes.get(XfrmAttribute.TMPL, b"")))


def is_of_a_socket(body: bytes) -> bool:
    """Tell whether a policy of the kernel's dump is one that a program set on a socket: no entry of the SPD."""
    return len(body) >= POLICY_OCTETS and body[_DIRECTION_OFFSET] > POLICY_FORWARD


def emit_policy_info(policy: PolicyWire) -> bytes:
    """Give the structure alone: 168 octets."""
    tail = (policy.priority, policy.index, policy.direction, policy.action, policy.flags, policy.share)
    return (
        emit_selector(policy.selector)
        + emit_lifetime(policy.lifetime)
        + emit_current(policy.current)
        + _TAIL.pack(*tail)
    )


def parse_policy_info(info: bytes, templates: tuple[TemplateWire, ...] = ()) -> PolicyWire:
    """Read the structure alone. Raise ParseError."""
    priority, index, direction, action, flags, share = _TAIL.unpack(info[152:])
    selector = parse_selector(info[:SELECTOR_OCTETS])
    if selector is None:
        raise ParseError("a policy's selector has no address family")
    if direction > POLICY_FORWARD or action > BLOCK:
        raise ParseError(f"direction {direction} with action {action} is no policy")
    lifetime, current = parse_lifetime(info[56:120]), parse_current(info[120:152])
    return PolicyWire(selector, direction, action, priority, index, flags, share, lifetime, current, templates)


def emit_policy_id(value: PolicyIdWire) -> bytes:
    """Give the body of DELPOLICY and GETPOLICY."""
    return _POLICY_ID.pack(emit_selector(value.selector), value.index, value.direction)


def parse_policy_id(body: bytes) -> PolicyIdWire:
    """Read the body of DELPOLICY and GETPOLICY. Raise ParseError."""
    structure, _ = split(body, POLICY_ID_OCTETS, "a policy's identity")
    selector, index, direction = _POLICY_ID.unpack(structure)
    if direction > POLICY_FORWARD:
        raise ParseError(f"{direction} is no direction of a policy")
    return PolicyIdWire(parse_selector(selector), direction, index)


def emit_templates(templates: tuple[TemplateWire, ...]) -> bytes:
    """Give XFRMA_TMPL, or nothing where there is none."""
    if not templates:
        return b""
    return emit_attribute(XfrmAttribute.TMPL, b"".join(_emit_template(one) for one in templates))


def _emit_template(template: TemplateWire) -> bytes:
    return _TEMPLATE.pack(
        emit_id(template.id),
        family_of(template.id.destination),
        emit_address(template.source),
        template.reqid,
        template.mode,
        template.share,
        template.optional,
        *template.algorithms,
    )


def parse_templates(octets: bytes) -> tuple[TemplateWire, ...]:
    """Read an array of templates. Raise ParseError."""
    if len(octets) % TEMPLATE_OCTETS or len(octets) > MAX_TEMPLATES * TEMPLATE_OCTETS:
        raise ParseError(f"{len(octets)} octets are no array of up to {MAX_TEMPLATES} templates")
    return _parse_templates(octets)


@lru_cache(maxsize=1024)
def _parse_templates(octets: bytes) -> tuple[TemplateWire, ...]:
    return tuple(_parse_template(values) for values in _TEMPLATE.iter_unpack(octets))


def _parse_template(values: tuple[bytes, int, bytes, int, int, int, int, int, int, int]) -> TemplateWire:
    identity, family, source, reqid, mode, share, optional, *masks = values
    return TemplateWire(
        parse_id(identity, family),
        parse_address(source, family),
        reqid,
        mode,
        share,
        optional,
        (masks[0], masks[1], masks[2]),
    )
