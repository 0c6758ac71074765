"""Narrowing of traffic selectors (RFC 7296 section 2.9)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from culvert.config.model import Child
from culvert.ipsec.coverage import Selectors, pair_of
from culvert.ipsec.selectors import TrafficSelector
from culvert.limits import MAX_SELECTORS_READ, MAX_TRAFFIC_SELECTORS


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What a responder answers with: the child that it is, and both sides as we see them.

    `others`: the offer has traffic of other children, too, which must be asked for by itself.
    """

    child: Child
    local: Selectors
    remote: Selectors
    others: bool = False


def narrow(offered: Sequence[TrafficSelector], configured: Sequence[TrafficSelector]) -> Selectors:
    """Give what both lists cover, without what is covered twice; empty where they have nothing in common.

    The offered order is kept. At most MAX_TRAFFIC_SELECTORS are given.
    """
    found: list[TrafficSelector] = []
    for one in offered[:MAX_SELECTORS_READ]:
        for other in configured:
            common = one.intersect(other)
            if common is not None:
                _keep(found, common)
    return tuple(found[:MAX_TRAFFIC_SELECTORS])


def tidy(selectors: Sequence[TrafficSelector]) -> Selectors:
    """Leave out what others in the list cover, such as the packet's in front of those that it is of."""
    found: list[TrafficSelector] = []
    for one in selectors:
        _keep(found, one)
    return tuple(found)


def _keep(found: list[TrafficSelector], new: TrafficSelector) -> None:
    if len(found) >= 2 * MAX_TRAFFIC_SELECTORS or any(old.covers(new) for old in found):
        return
    found[:] = [old for old in found if not new.covers(old)]
    found.append(new)


def within(answered: Sequence[TrafficSelector], offered: Sequence[TrafficSelector]) -> bool:
    """Tell whether every selector of an answer lies in one that we offered."""
    return bool(answered) and all(any(wide.covers(one) for wide in offered) for one in answered)


def choose_child(
    children: Iterable[Child], local: Sequence[TrafficSelector], remote: Sequence[TrafficSelector]
) -> Narrowed | None:
    """Find the configured child that an offer means: one that is exactly it, else one that has the first selectors,
    which may be those of the packet that asked (RFC 7296 section 2.9), else the first with traffic in common.
    """
    found = []
    for child in children:
        ours, theirs = narrow(local, child.local), narrow(remote, child.remote)
        if any(pair_of(one, other) for one in ours for other in theirs):
            found.append(Narrowed(child, ours, theirs))
    if len(found) < 2:
        return found[0] if found else None
    scored = [(_score(one, local, remote), one) for one in found]
    score, best = max(scored, key=lambda one: one[0])
    return replace(best, others=not score[0])


def _score(narrowed: Narrowed, local: Sequence[TrafficSelector], remote: Sequence[TrafficSelector]) -> tuple[bool, ...]:
    child, ours, theirs = narrowed.child, narrowed.local, narrowed.remote
    exactly = tuple(local) == child.local and tuple(remote) == child.remote
    the_first = within(local[:1], ours) and within(remote[:1], theirs)
    return exactly, the_first, within(local, ours) and within(remote, theirs)


def describe(local: Sequence[TrafficSelector], remote: Sequence[TrafficSelector]) -> str:
    """Write both sides for people: `10.1.0.0/16 <-> 10.2.0.0/16, 10.3.0.0/16`."""
    return f"{listed(local)} <-> {listed(remote)}"


def listed(selectors: Sequence[TrafficSelector]) -> str:
    """Write selectors for people, at most eight of them."""
    shown = ", ".join(str(one) for one in selectors[:8])
    return shown + (f" and {len(selectors) - 8} more" if len(selectors) > 8 else "") if selectors else "nothing"
