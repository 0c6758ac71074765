"""Which children carry which traffic: a configured child may be made of several, each with a part of its selectors."""

from __future__ import annotations

from collections.abc import Iterable

from culvert.config.model import Child
from culvert.ike.narrowing import within
from culvert.ike.parts import Parts, Sides
from culvert.ike.v2.sa import ChildSa, Lineage
from culvert.ipsec.coverage import Missing, SelectorPair, missing, pairs
from culvert.limits import MAX_CHILDREN, MAX_SELECTORS_HELD

COMPLETE = Missing()


def carriers(lineage: Lineage, name: str) -> list[ChildSa]:
    """Give the children that carry a configured one, those about to go left out."""
    return [one for one in lineage.children.values() if one.child.name == name and one.current]


def left_of(lineage: Lineage, child: Child, refused: Iterable[SelectorPair] = ()) -> Missing:
    """Give what of a configured child is neither carried nor among `refused`."""
    held = carriers(lineage, child.name)
    if any((one.local, one.remote) == (child.local, child.remote) for one in held):
        return COMPLETE
    carried = [pair for one in held for pair in pairs(one.local, one.remote)]
    return missing(pairs(child.local, child.remote), [*carried, *refused])


def next_wish(lineage: Lineage, child: Child, parts: Parts, now: int) -> Sides | None:
    """Give what to ask for next, ours first; None where nothing is missing, or nothing more is to be asked for now."""
    held = carriers(lineage, child.name)
    if len(lineage.children) >= MAX_CHILDREN // 2 or parts.exhausted(len(held)):
        return None
    if parts.by_traffic:
        return _for_packet(held, child, parts)
    refused = parts.refused_pairs(now)
    return parts.wish(child, left_of(lineage, child, refused), untouched=not held and not refused)


def _for_packet(held: list[ChildSa], child: Child, parts: Parts) -> Sides | None:
    """Give what the packet wants that nothing carries yet; which one of very many parts it is, the peer says."""
    carried = [pair for one in held for pair in pairs(one.local, one.remote)]
    if parts.packet is None or missing([parts.packet], carried).nothing:
        return None
    return parts.wish(child, Missing(tuple(pairs(child.local, child.remote))), untouched=False)


def first_wish(child: Child, parts: Parts) -> Sides:
    """Give what to ask for in IKE_AUTH, where nothing is there yet."""
    whole = Missing(tuple(pairs(child.local, child.remote)))
    begun = parts.wish(child, whole, untouched=True)
    if begun is not None or not whole.pieces:
        return begun or (child.local, child.remote)
    return (whole.pieces[0].local,), (whole.pieces[0].remote,)


def may_go_on(lineage: Lineage, child: Child, parts: Parts) -> bool:
    """Tell whether something is missing that was never refused and that will be asked for."""
    held = carriers(lineage, child.name)
    if parts.by_traffic or parts.exhausted(len(held)):
        return False
    return bool(left_of(lineage, child, parts.refused_pairs()).pieces)


def has_room(lineage: Lineage, child: ChildSa) -> bool:
    """Tell whether a new child's selectors are not too many beside those that are there."""
    held = sum(len(one.inbound.selectors) for one in lineage.children.values())
    return held + len(child.inbound.selectors) <= MAX_SELECTORS_HELD


def overlap(one: ChildSa, other: ChildSa) -> bool:
    """Tell whether some packet is of both, and both are of one configured child."""
    if one.child.name != other.child.name:
        return False
    local = any(a.intersect(b) for a in one.local for b in other.local)
    return local and any(a.intersect(b) for a in one.remote for b in other.remote)


def covers(one: ChildSa, other: ChildSa) -> bool:
    """Tell whether `one` takes every packet of `other`, selector by selector."""
    same = one.child.name == other.child.name
    return same and within(other.local, one.local) and within(other.remote, one.remote)


def carried_by(child: ChildSa, others: Iterable[ChildSa]) -> bool:
    """Tell whether `others` together take every packet of a child."""
    same = [one for one in others if one.child.name == child.child.name]
    if any(covers(one, child) for one in same):
        return True
    return missing(
        pairs(child.local, child.remote), [pair for one in same for pair in pairs(one.local, one.remote)]
    ).nothing
