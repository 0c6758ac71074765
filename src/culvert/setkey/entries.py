"""What a data plane has, as the dumps show it: associations and policies with their counters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from culvert.ipsec.associations import SecurityAssociation
from culvert.ipsec.policies import Policy


class State(StrEnum):
    """Of an association: its SPI is held, it is in use, its soft limit has passed, its hard limit has passed."""

    LARVAL = "larval"
    MATURE = "mature"
    DYING = "dying"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class AssociationEntry:
    """One of the SAD. Its keys are empty where they are not to be shown. Times are seconds since 1970, 0: never."""

    association: SecurityAssociation
    larval: bool = False
    octets: int = 0
    packets: int = 0
    added_at_s: int = 0
    used_at_s: int = 0
    sequence: int = 0

    def state(self, now_s: int) -> State:
        """Tell how far its life has come."""
        if self.larval:
            return State.LARVAL
        lifetimes = self.association.lifetimes
        age_s = max(0, now_s - self.added_at_s) if self.added_at_s else 0
        used_s = max(0, now_s - self.used_at_s) if self.used_at_s else 0
        spent = (age_s, used_s, self.octets, self.packets)
        hard = (lifetimes.hard_s, lifetimes.hard_use_s, lifetimes.hard_octets, lifetimes.hard_packets)
        soft = (lifetimes.soft_s, lifetimes.soft_use_s, lifetimes.soft_octets, lifetimes.soft_packets)
        if _passed(spent, hard):
            return State.DEAD
        return State.DYING if _passed(spent, soft) else State.MATURE


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """One of the SPD. Times are seconds since 1970, 0: never."""

    policy: Policy
    added_at_s: int = 0
    used_at_s: int = 0


def _passed(spent: tuple[int, ...], limits: tuple[int, ...]) -> bool:
    return any(limit and value >= limit for value, limit in zip(spent, limits, strict=True))
