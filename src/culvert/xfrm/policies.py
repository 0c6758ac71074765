"""Policies and selectors: our values to and from the structures of XFRM."""

from __future__ import annotations

from culvert.ipsec.associations import Direction, Mode, Protocol
from culvert.ipsec.policies import Action, Level, Policy, Template, direction_number
from culvert.ipsec.selectors import Selector
from culvert.wire.netlink.framing import ParseError
from culvert.wire.netlink.policy import ALLOW, BLOCK, PolicyIdWire, PolicyWire, TemplateWire
from culvert.wire.netlink.structures import IdWire, SelectorWire

_DIRECTIONS = (Direction.IN, Direction.OUT, Direction.FORWARD)
_MODES = (Mode.TRANSPORT, Mode.TUNNEL)
"""By XFRM_MODE_*; ANY travels as transport with an attribute of its own."""


def mode_to_wire(mode: Mode) -> int:
    """Give XFRM_MODE_*."""
    return _MODES.index(Mode.TUNNEL if mode is Mode.TUNNEL else Mode.TRANSPORT)


def mode_from_wire(number: int) -> Mode:
    """Raise ParseError for modes that we do not have."""
    if number >= len(_MODES):
        raise ParseError(f"{number} is no mode")
    return _MODES[number]


def selector_to_wire(selector: Selector) -> SelectorWire:
    """Give the same as `struct xfrm_selector` has it."""
    return SelectorWire(
        selector.source, selector.destination, selector.protocol, selector.source_port, selector.destination_port
    )


def selector_from_wire(selector: SelectorWire) -> Selector:
    """Raise ParseError where it is bound to an interface or a user, which we have no word for."""
    if selector.interface_index or selector.user:
        raise ParseError("a selector is bound to an interface or a user")
    return Selector(
        selector.source, selector.destination, selector.protocol, selector.source_port, selector.destination_port
    )


def to_wire(policy: Policy) -> PolicyWire:
    """Give the structure and templates that install the policy."""
    return PolicyWire(
        selector=selector_to_wire(policy.selector),
        direction=direction_number(policy.direction),
        index=policy.index,
        action=BLOCK if policy.action is Action.DISCARD else ALLOW,
        priority=policy.priority,
        templates=tuple(_template_to_wire(template) for template in policy.templates),
    )


def id_to_wire(policy: Policy) -> PolicyIdWire:
    """Give what names the policy: its selector and direction."""
    return PolicyIdWire(selector_to_wire(policy.selector), direction_number(policy.direction))


def from_wire(policy: PolicyWire) -> Policy:
    """Read one policy of a dump. Raise ParseError where it is none of ours to understand."""
    allowed = Action.PROTECT if policy.templates else Action.BYPASS
    return Policy(
        selector_from_wire(policy.selector),
        _DIRECTIONS[policy.direction],
        Action.DISCARD if policy.action == BLOCK else allowed,
        policy.priority,
        tuple(_template_from_wire(template) for template in policy.templates),
        policy.index,
    )


def _template_to_wire(template: Template) -> TemplateWire:
    identity = IdWire(template.destination, template.spi, template.protocol.number)
    return TemplateWire(
        identity,
        template.source,
        template.reqid,
        mode_to_wire(template.mode),
        optional=int(template.level is Level.USE),
    )


def _template_from_wire(template: TemplateWire) -> Template:
    for protocol in Protocol:
        if protocol.number == template.id.protocol:
            return Template(
                template.source,
                template.id.destination,
                template.reqid,
                protocol,
                mode_from_wire(template.mode),
                Level.USE if template.optional else Level.REQUIRE,
                template.id.spi,
            )
    raise ParseError(f"a template wants protocol {template.id.protocol}, which is none of IPsec")
