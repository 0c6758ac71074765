"""Pairs of networks as boxes of addresses that do not overlap.

An nftables set of concatenated intervals refuses overlapping elements, and overlapping pairs are usual: a peer's wide
range and a narrow one of another peer, one pair that is wide here and narrow there. The set needs only their union, so
each pair gives what the pairs before it have not covered. Boxes are ranges, not prefixes: cutting a hole into a range
leaves two ranges, where it would leave up to 128 prefixes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from culvert.addresses import IPNetwork
from culvert.plan.desired import Pair


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """Addresses from and to, both ends included, on our side and on the peer's, as integers."""

    local_first: int
    local_last: int
    remote_first: int
    remote_last: int

    @property
    def size(self) -> int:
        return (self.local_last - self.local_first + 1) * (self.remote_last - self.remote_first + 1)

    def overlaps(self, other: Box) -> bool:
        return (
            self.local_first <= other.local_last
            and other.local_first <= self.local_last
            and self.remote_first <= other.remote_last
            and other.remote_first <= self.remote_last
        )

    def without(self, other: Box) -> Iterator[Box]:
        """Give what is left of this box when `other` is cut out: at most four boxes, none overlapping."""
        if not self.overlaps(other):
            yield self
            return
        first, last = max(self.local_first, other.local_first), min(self.local_last, other.local_last)
        if self.local_first < first:
            yield Box(self.local_first, first - 1, self.remote_first, self.remote_last)
        if last < self.local_last:
            yield Box(last + 1, self.local_last, self.remote_first, self.remote_last)
        if self.remote_first < other.remote_first:
            yield Box(first, last, self.remote_first, other.remote_first - 1)
        if other.remote_last < self.remote_last:
            yield Box(first, last, other.remote_last + 1, self.remote_last)


def box_of(pair: Pair) -> Box:
    return Box(*_ends(pair.local), *_ends(pair.remote))


def disjoint_boxes(pairs: Iterable[Pair], version: int) -> tuple[Box, ...]:
    """Give boxes of IP `version` that cover exactly what `pairs` cover, sorted, no two of them overlapping.

    The largest come first, so that a pair inside another gives nothing. Pairs of two families cover no packet.
    """
    wanted = {box_of(pair) for pair in pairs if pair.local.version == pair.remote.version == version}
    boxes: list[Box] = []
    for box in sorted(wanted, key=lambda box: (-box.size, box)):
        boxes.extend(_remainder(box, boxes))
    return tuple(sorted(boxes))


def _remainder(box: Box, placed: Iterable[Box]) -> list[Box]:
    pieces = [box]
    for other in placed:
        if not pieces:
            break
        if other.overlaps(box):
            pieces = list(chain.from_iterable(piece.without(other) for piece in pieces))
    return pieces


def _ends(network: IPNetwork) -> tuple[int, int]:
    first = int(network.network_address)
    return first, first + network.num_addresses - 1
