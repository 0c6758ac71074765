"""What traffic is left where some of it is carried: pairs of traffic selectors without other pairs (RFC 7296 2.9).

A pair is a box in the space of both sides' addresses and ports. What is left of a box without another one is boxes
again, but for the protocol: "any but TCP" is no selector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from culvert.ipsec.selectors import ANY_PROTOCOL, ICMP, ICMPV6, PortRange, TrafficSelector

Selectors = tuple[TrafficSelector, ...]
MAX_STEPS = 100_000
"""Pairs that are compared for one answer: a tenth of a second. Nobody can follow networks that need more."""


@dataclass(frozen=True, slots=True)
class SelectorPair:
    """One selector of each side, ours first, as written: a protocol may stand on one side only."""

    local: TrafficSelector
    remote: TrafficSelector

    def __str__(self) -> str:
        return f"{self.local} <-> {self.remote}"

    @property
    def addresses(self) -> int:
        """How many pairs of addresses it covers."""
        return _size(self.local) * _size(self.remote)

    @property
    def hosts(self) -> bool:
        """Tell whether it is about one address on either side."""
        return self.addresses == 1

    def intersect(self, other: SelectorPair) -> SelectorPair | None:
        """What both cover, or None."""
        local, remote = self.local.intersect(other.local), self.remote.intersect(other.remote)
        return pair_of(local, remote) if local and remote else None

    def covers(self, other: SelectorPair) -> bool:
        common, whole = self.intersect(other), pair_of(other.local, other.remote)
        return common is not None and common == whole


def _size(selector: TrafficSelector) -> int:
    return int(selector.end) - int(selector.start) + 1


def pair_of(local: TrafficSelector, remote: TrafficSelector) -> SelectorPair | None:
    """Give the pair with the protocol on both sides (and ICMP's types); None where no packet is of both."""
    if local.version != remote.version:
        return None
    if ANY_PROTOCOL not in (local.protocol, remote.protocol) and local.protocol != remote.protocol:
        return None
    protocol = local.protocol or remote.protocol
    ports = local.ports, remote.ports
    if protocol in (ICMP, ICMPV6):
        common = local.ports.intersect(remote.ports)
        if common is None:
            return None
        ports = common, common
    return SelectorPair(
        replace(local, protocol=protocol, ports=ports[0]), replace(remote, protocol=protocol, ports=ports[1])
    )


def pairs(local: Sequence[TrafficSelector], remote: Sequence[TrafficSelector]) -> list[SelectorPair]:
    """Give every pair that some packet can be of, as written."""
    return [SelectorPair(one, other) for one in local for other in remote if pair_of(one, other) is not None]


@dataclass(frozen=True, slots=True)
class Missing:
    """What is not carried. `pieces` can be asked for; of `partial` some protocols are carried and others are not."""

    pieces: tuple[SelectorPair, ...] = ()
    partial: tuple[SelectorPair, ...] = ()

    @property
    def nothing(self) -> bool:
        return not self.pieces and not self.partial


def missing(wanted: Iterable[SelectorPair], carried: Sequence[SelectorPair]) -> Missing:
    """Give what of `wanted` is not carried, in order. What would take too long to find counts as carried."""
    pieces: list[SelectorPair] = []
    partial: list[SelectorPair] = []
    holes = [(one, _bounds(one)) for one in carried]
    steps = 0
    for pair in wanted:
        left = [(pair, _bounds(pair))]
        for hole in holes:
            steps += len(left)
            if steps > MAX_STEPS:
                return Missing(tuple(pieces), tuple(partial))
            left = [piece for whole in left for piece in _cut(whole, hole)]
        steps += len(left) * len(holes)
        for piece, bounds in left:
            meets = any(not _apart(bounds, other) and piece.intersect(one) for one, other in holes)
            (partial if meets else pieces).append(piece)
    return Missing(tuple(pieces), tuple(partial))


_Bounds = tuple[int, int, int, int, int]
_Bounded = tuple[SelectorPair, _Bounds]


def _bounds(pair: SelectorPair) -> _Bounds:
    """Give the numbers that tell most pairs apart: family, addresses of ours, addresses of theirs."""
    local, remote = pair.local, pair.remote
    return local.version, int(local.start), int(local.end), int(remote.start), int(remote.end)


def _apart(one: _Bounds, other: _Bounds) -> bool:
    return one[0] != other[0] or one[1] > other[2] or other[1] > one[2] or one[3] > other[4] or other[3] > one[4]


def _cut(whole: _Bounded, hole: _Bounded) -> Iterable[_Bounded]:
    if _apart(whole[1], hole[1]):
        return (whole,)
    return ((piece, _bounds(piece)) for piece in without(whole[0], hole[0]))


def without(wanted: SelectorPair, carried: SelectorPair) -> Iterator[SelectorPair]:
    """Give the pieces of a pair that another one leaves of it; where that has one protocol only, the pair as it is."""
    common = wanted.intersect(carried)
    whole = pair_of(wanted.local, wanted.remote)
    if common is None or whole is None or _is_inexpressible(whole, common):
        yield wanted
        return
    for local in _around(whole.local, common.local):
        yield SelectorPair(local, wanted.remote)
    local = replace(whole.local, start=common.local.start, end=common.local.end)
    for remote in _around(whole.remote, common.remote):
        yield SelectorPair(local, remote)
    remote = replace(whole.remote, start=common.remote.start, end=common.remote.end)
    yield from _other_ports(SelectorPair(local, remote), common)


def _is_inexpressible(whole: SelectorPair, part: SelectorPair) -> bool:
    """Tell whether no selector says what is left: any protocol but one, or but some ports of any protocol."""
    same_ports = (whole.local.ports, whole.remote.ports) == (part.local.ports, part.remote.ports)
    return part.local.protocol != whole.local.protocol or (whole.local.protocol == ANY_PROTOCOL and not same_ports)


def _around(whole: TrafficSelector, part: TrafficSelector) -> Iterator[TrafficSelector]:
    """Give the addresses before and behind those of a part."""
    if int(part.start) > int(whole.start):
        yield replace(whole, end=part.start - 1)
    if int(part.end) < int(whole.end):
        yield replace(whole, start=part.end + 1)


def _other_ports(whole: SelectorPair, part: SelectorPair) -> Iterator[SelectorPair]:
    """Give the pieces with other ports; ICMP's type and code are the same on both sides."""
    for ports in _ports_around(whole.local.ports, part.local.ports):
        both = ports if whole.local.protocol in (ICMP, ICMPV6) else whole.remote.ports
        yield SelectorPair(replace(whole.local, ports=ports), replace(whole.remote, ports=both))
    if whole.local.protocol not in (ICMP, ICMPV6):
        local = replace(whole.local, ports=part.local.ports)
        for ports in _ports_around(whole.remote.ports, part.remote.ports):
            yield SelectorPair(local, replace(whole.remote, ports=ports))


def _ports_around(whole: PortRange, part: PortRange) -> Iterator[PortRange]:
    if part.start > whole.start:
        yield PortRange(whole.start, part.start - 1)
    if part.end < whole.end:
        yield PortRange(part.end + 1, whole.end)


def product_of(pieces: Sequence[SelectorPair], first: SelectorPair) -> tuple[Selectors, Selectors]:
    """Give both sides of a child that is made of pieces alone, `first` in front, and of as many as that allows."""
    known = dict.fromkeys(pieces)
    locals_, remotes = (dict.fromkeys(side) for side in zip(*((one.local, one.remote) for one in pieces), strict=True))
    remote = [one for one in remotes if SelectorPair(first.local, one) in known]
    local = [one for one in locals_ if all(SelectorPair(one, other) in known for other in remote)]
    return _in_front(first.local, local), _in_front(first.remote, remote)


def _in_front(first: TrafficSelector, others: Sequence[TrafficSelector]) -> Selectors:
    return first, *(one for one in others if one != first)
