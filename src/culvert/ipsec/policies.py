"""Security policies as plain values (RFC 4301 section 4.4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from culvert.addresses import IPAddress
from culvert.ipsec.associations import Direction, Mode, Protocol
from culvert.ipsec.selectors import Selector


class Action(StrEnum):
    """What happens to traffic that a policy covers."""

    DISCARD = "discard"
    BYPASS = "none"
    PROTECT = "ipsec"


@dataclass(frozen=True, slots=True)
class Template:
    """The association that protected traffic needs. An unspecified address stands for any."""

    source: IPAddress
    destination: IPAddress
    reqid: int = 0
    protocol: Protocol = Protocol.ESP
    mode: Mode = Mode.TUNNEL


@dataclass(frozen=True, slots=True)
class Policy:
    """One entry of the SPD. The lowest priority number is looked at first."""

    selector: Selector
    direction: Direction
    action: Action
    priority: int = 0
    templates: tuple[Template, ...] = ()
