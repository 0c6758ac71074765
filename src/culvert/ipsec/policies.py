"""Security policies as plain values (RFC 4301 section 4.4.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from culvert.addresses import IPAddress
from culvert.ipsec.associations import Direction, Mode, Protocol
from culvert.ipsec.selectors import Selector


class Action(StrEnum):
    """What happens to traffic that a policy covers."""

    DISCARD = "discard"
    BYPASS = "none"
    PROTECT = "ipsec"


class Level(StrEnum):
    """How much a template insists. setkey's `default` is REQUIRE, its `unique` is REQUIRE with a reqid."""

    REQUIRE = "require"
    USE = "use"


MAX_TEMPLATES = 6
"""Most associations that one policy applies to a packet (the kernel's XFRM_MAX_DEPTH)."""


@dataclass(frozen=True, slots=True)
class Template:
    """One association that protected traffic needs. An unspecified address, SPI 0 and reqid 0 stand for any.

    With Level.USE it is applied where an association is there; without one the packet goes on without it.
    """

    source: IPAddress
    destination: IPAddress
    reqid: int = 0
    protocol: Protocol = Protocol.ESP
    mode: Mode = Mode.TUNNEL
    level: Level = Level.REQUIRE
    spi: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """One entry of the SPD. The lowest priority number is looked at first.

    The first of `templates` is applied first, and so is the innermost. `index` is the entry's number in the data plane,
    0: the data plane chooses; it is a name, and two policies that differ in it alone are equal.
    """

    selector: Selector
    direction: Direction
    action: Action
    priority: int = 0
    templates: tuple[Template, ...] = ()
    index: int = field(default=0, compare=False)


OWN_INDEX = 0x4000_0000
"""Policies of the configuration have indexes from here on; those below were written by others."""
INDEX_DIRECTIONS = 8
"""An index is a multiple of this and its direction's number (the kernel's rule)."""
LAST_INDEX = 2**32 - 1
_DIRECTIONS = (Direction.IN, Direction.OUT, Direction.FORWARD)


def direction_number(direction: Direction) -> int:
    """Give the number that XFRM and indexes of policies have for a direction: in 0, out 1, forward 2."""
    return _DIRECTIONS.index(direction)


def is_own(policy: Policy) -> bool:
    """Tell whether the policy is one of the configuration, by its index."""
    return policy.index >= OWN_INDEX
