"""Policies and selectors: our values to and from the structures of XFRM."""

from __future__ import annotations

from dataclasses import dataclass

from culvert.ipsec.associations import Direction, Mode, Protocol
from culvert.ipsec.lifetimes import Lifetimes
from culvert.ipsec.policies import INDEX_DIRECTIONS, Action, Level, Policy, Template, direction_number
from culvert.ipsec.selectors import Selector
from culvert.wire.netlink.policy import ALLOW, BLOCK, PolicyIdWire, PolicyWire, TemplateWire
from culvert.wire.netlink.structures import IdWire, SelectorWire
from culvert.xfrm.errors import NotOursError
from culvert.xfrm.lifetimes import lifetimes_from_wire

_DIRECTIONS = (Direction.IN, Direction.OUT, Direction.FORWARD)
_PROTOCOLS = {protocol.number: protocol for protocol in Protocol}
_MODES = (Mode.TRANSPORT, Mode.TUNNEL)
"""By XFRM_MODE_*; ANY travels as transport with an attribute of its own."""


@dataclass(frozen=True, slots=True)
class PolicyState:
    """A policy as the data plane has it. Times are seconds since 1970, 0: never."""

    policy: Policy
    lifetimes: Lifetimes = Lifetimes()
    octets: int = 0
    packets: int = 0
    added_at_s: int = 0
    used_at_s: int = 0


def mode_to_wire(mode: Mode) -> int:
    """Give XFRM_MODE_*."""
    return _MODES.index(Mode.TUNNEL if mode is Mode.TUNNEL else Mode.TRANSPORT)


def mode_from_wire(number: int) -> Mode:
    """Raise NotOursError for modes that we do not have."""
    if number >= len(_MODES):
        raise NotOursError(f"{number} is no mode")
    return _MODES[number]


def protocol_from_wire(number: int) -> Protocol:
    """Raise NotOursError where it is neither ESP nor AH."""
    protocol = _PROTOCOLS.get(number)
    if protocol is None:
        raise NotOursError(f"protocol {number} is none of IPsec")
    return protocol


def selector_to_wire(selector: Selector) -> SelectorWire:
    """Give the same as `struct xfrm_selector` has it."""
    return SelectorWire(
        selector.source, selector.destination, selector.protocol, selector.source_port, selector.destination_port
    )


def selector_from_wire(selector: SelectorWire) -> Selector:
    """Raise NotOursError where it is bound to an interface or a user, which we have no word for."""
    if selector.interface_index or selector.user:
        raise NotOursError("a selector is bound to an interface or a user")
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


def index_to_wire(index: int) -> PolicyIdWire:
    """Give what names a policy by its index, which tells its direction."""
    return PolicyIdWire(None, index % INDEX_DIRECTIONS, index)


def from_wire(policy: PolicyWire) -> Policy:
    """Read one policy of a dump. Raise NotOursError where we have no words for it."""
    allowed = Action.PROTECT if policy.templates else Action.BYPASS
    return Policy(
        selector_from_wire(policy.selector),
        _DIRECTIONS[policy.direction],
        Action.DISCARD if policy.action == BLOCK else allowed,
        policy.priority,
        tuple(_template_from_wire(template) for template in policy.templates),
        policy.index,
    )


def state_from_wire(policy: PolicyWire) -> PolicyState:
    """Read one policy of a dump with what goes with it. Raise NotOursError as `from_wire` does."""
    current = policy.current
    return PolicyState(
        from_wire(policy),
        lifetimes_from_wire(policy.lifetime),
        current.octets,
        current.packets,
        current.added_at_s,
        current.used_at_s,
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
    return Template(
        template.source,
        template.id.destination,
        template.reqid,
        protocol_from_wire(template.id.protocol),
        mode_from_wire(template.mode),
        Level.USE if template.optional else Level.REQUIRE,
        template.id.spi,
    )
