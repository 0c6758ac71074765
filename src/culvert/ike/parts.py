"""A configured child that is made of parts: how it is asked for, and what was refused of it (RFC 7296 2.9).

A peer may give less than was asked for. The rest is asked for again, as further children, until the peer refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from culvert.config.model import Child
from culvert.ipsec.coverage import Missing, SelectorPair, Selectors, pairs, product_of
from culvert.ipsec.selectors import TrafficSelector
from culvert.limits import MAX_CARRIERS, MAX_PROBES, MAX_REFUSED_IN_A_ROW
from culvert.reasons import Refusal

Sides = tuple[Selectors, Selectors]
"""Selectors of ours and of the peer's."""


class Splitting(StrEnum):
    """How much is asked for at once: all that is missing, one pair of selectors, or one pair of hosts."""

    WHOLE = "whole"
    PAIRS = "pairs"
    HOSTS = "hosts"


@dataclass(frozen=True, slots=True)
class Gap:
    """A part that the peer refused. It is not asked for again before the instant `until`."""

    sides: Sides
    reason: Refusal
    message: str
    until: int


@dataclass(slots=True)
class Parts:
    """One configured child. `packet` is what made traffic ask for it; `began` is the splitting that it began with.

    `by_traffic`: only packets can say which of very many parts are needed.
    """

    splitting: Splitting = Splitting.WHOLE
    began: Splitting = Splitting.WHOLE
    gaps: list[Gap] = field(default_factory=list)
    refused_in_a_row: int = 0
    packet: SelectorPair | None = None
    by_traffic: bool = False

    def forget_refusals(self) -> None:
        """A new IKE SA, or a person, begins anew."""
        self.gaps, self.refused_in_a_row = [], 0

    def refused_pairs(self, now: int | None = None) -> list[SelectorPair]:
        """Give what was refused; with `now` only what is not to be asked for yet."""
        return [pair for gap in self.gaps if now is None or gap.until > now for pair in pairs(*gap.sides)]

    def refuse(self, gap: Gap) -> None:
        """Enter a refusal, in place of those that it includes."""
        self.gaps = [one for one in self.gaps if not _includes(gap.sides, one.sides)][-2 * MAX_CARRIERS :]
        self.gaps.append(gap)

    def split_further(self, sides: Sides) -> bool:
        """Ask for less at once from now on, where what was asked for can be divided."""
        asked = pairs(*sides)
        if len(asked) > 1 and self.splitting is Splitting.WHOLE:
            self.splitting = Splitting.PAIRS
            return True
        if asked and not asked[0].hosts and self.splitting is not Splitting.HOSTS:
            self.splitting, self.by_traffic = Splitting.HOSTS, True
            return True
        return False

    def given(self, asked: Sides, answered: Sides) -> None:
        """Learn from an answer: a peer that gives one pair where more were asked for, or crumbs, will do so again."""
        wanted, given = pairs(*asked), pairs(*answered)
        if self.splitting is Splitting.WHOLE and len(wanted) > 1 and len(given) == 1:
            self.splitting = Splitting.PAIRS
        whole, part = (sum(pair.addresses for pair in some) for some in (wanted, given))
        single = len(wanted) == 1 or len(given) > 1
        self.by_traffic |= single and part * MAX_CARRIERS < whole

    def exhausted(self, carriers: int) -> bool:
        """Tell whether enough was asked for: the peer refuses one part after the other, or there are too many."""
        most = MAX_REFUSED_IN_A_ROW if carriers else MAX_PROBES
        return carriers >= MAX_CARRIERS or self.refused_in_a_row >= most

    def wish(self, child: Child, left: Missing, *, untouched: bool) -> Sides | None:
        """Choose what to ask for of what is left; None where there is nothing, or where only traffic can say what.

        The packet that asked stands in front (section 2.9). `untouched`: nothing of the child is there or was refused.
        """
        packet = self.packet
        about = next((one for one in (*left.pieces, *left.partial) if packet and one.covers(packet)), None)
        first = about or next(iter(left.pieces), None)
        if first is None or (self.by_traffic and about is None):
            return None
        if self.splitting is Splitting.HOSTS and packet is not None:
            return _sides(first.intersect(hosts_of(packet)) or packet)
        sides = self._together(child, left, first, untouched)
        return _behind(packet, sides) if about is not None and packet is not None else sides

    def _together(self, child: Child, left: Missing, first: SelectorPair, untouched: bool) -> Sides:
        if self.splitting is not Splitting.WHOLE or first not in left.pieces:
            return _sides(first)
        return (child.local, child.remote) if untouched else product_of(left.pieces, first)


def _includes(wide: Sides, narrow: Sides) -> bool:
    return all(any(one.covers(other) for one in pairs(*wide)) for other in pairs(*narrow))


def _sides(pair: SelectorPair) -> Sides:
    return (pair.local,), (pair.remote,)


def _behind(packet: SelectorPair, sides: Sides) -> Sides:
    local, remote = sides
    return _in_front(packet.local, local), _in_front(packet.remote, remote)


def _in_front(first: TrafficSelector, others: Sequence[TrafficSelector]) -> Selectors:
    return first, *(one for one in others if one != first)


def hosts_of(packet: SelectorPair) -> SelectorPair:
    """Give all traffic between the two addresses of a packet."""
    return SelectorPair(
        TrafficSelector(packet.local.start, packet.local.end), TrafficSelector(packet.remote.start, packet.remote.end)
    )
