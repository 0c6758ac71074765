"""Entries of one direction -> runs: few sets to ask in turn, instead of a long list.

A run holds entries of one verdict; whatever matches an earlier run is settled. An entry moves forward into the earliest
run of its verdict, as long as it overlaps with nothing of another verdict that it would overtake. So the number of
runs is how often verdicts alternate *within* overlapping selectors, two or three as a rule, and not how often they do
along the list.

Within a run, entries are parted by shape: which bits of a packet they look at. Entries of one shape are a hash set,
found in one step however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from culvert.plan.entries import Entry, Verdict

MAX_COMPARISONS = 2_000_000
"""Look-ups spent on moving entries forward, at most. Behind that, runs are as the list has them: right, but slower."""
MASKS = {
    version: tuple(((1 << bits) - 1) ^ ((1 << (bits - length)) - 1) for length in range(bits + 1))
    for version, bits in ((4, 32), (6, 128))
}
"""The network mask of each prefix length."""


class Shape(NamedTuple):
    """What entries look at: `protocol` whether at the protocol, `icmp` whether ports are its type and code."""

    version: int
    source_length: int
    destination_length: int
    protocol: bool
    icmp: bool
    source_mask: int
    destination_mask: int


Key = tuple[int, int, int, int, int]
"""Source, destination, protocol, source port and destination port; what the shape does not look at is zero."""


@dataclass(frozen=True, slots=True)
class Run:
    """Entries of one verdict, by shape, in an order that depends on nothing but themselves."""

    verdict: Verdict
    sets: tuple[tuple[Shape, tuple[Key, ...]], ...]


def shape_of(entry: Entry) -> Shape:
    """Give what the entry looks at."""
    protocol = entry.protocol
    ports = entry.source_mask or entry.destination_mask
    return Shape(
        entry.version,
        entry.source_length,
        entry.destination_length,
        protocol != 0,
        bool(ports) and protocol in (1, 58),
        entry.source_mask,
        entry.destination_mask,
    )


def key_of(entry: Entry) -> Key:
    """Give the values of what it looks at."""
    return entry.source, entry.destination, entry.protocol, entry.source_port, entry.destination_port


def compile_runs(entries: Iterable[Entry]) -> tuple[Run, ...]:
    """Give the runs of one direction. `entries` are in the order in which they are asked."""
    open_runs: list[_Open] = []
    allowance = MAX_COMPARISONS
    for entry in entries:
        shape, key = shape_of(entry), key_of(entry)
        position, spent = _earliest(open_runs, entry.verdict, shape, key, allowance)
        allowance -= spent
        if position == len(open_runs):
            open_runs.append(_Open(entry.verdict))
        open_runs[position].add(shape, key)
    return tuple(run.closed() for run in open_runs)


def _earliest(runs: list[_Open], verdict: Verdict, shape: Shape, key: Key, allowance: int) -> tuple[int, int]:
    """Give the place of the run that an entry may go to, the number of runs for a new one; and what the search cost."""
    if not runs or (len(runs) == 1 and runs[0].verdict is verdict):
        return 0, 0
    position, spent = len(runs), 0
    for place in range(len(runs) - 1, -1, -1):
        run = runs[place]
        if run.verdict is verdict:
            position = place
            continue
        spent += len(run.members)
        if spent > allowance or run.overlaps(shape, key):
            break
    return position, spent


class _Open:
    """A run that grows."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.members: dict[Shape, _Members] = {}

    def add(self, shape: Shape, key: Key) -> None:
        members = self.members.get(shape)
        if members is None:
            members = self.members[shape] = _Members()
        members.add(key)

    def overlaps(self, shape: Shape, key: Key) -> bool:
        return any(members.overlaps(other, shape, key) for other, members in self.members.items())

    def closed(self) -> Run:
        return Run(
            self.verdict, tuple((shape, tuple(sorted(self.members[shape].keys))) for shape in sorted(self.members))
        )


class _Members:
    """Keys of one shape, and the same cut down to what they have in common with other shapes."""

    def __init__(self) -> None:
        self.keys: set[Key] = set()
        self._cuts: dict[Shape, Cut | None] = {}
        self._common: dict[Cut, set[Key]] = {}

    def add(self, key: Key) -> None:
        self.keys.add(key)
        for cut, found in self._common.items():
            found.add(cut.of(key))

    def overlaps(self, own: Shape, shape: Shape, key: Key) -> bool:
        if shape not in self._cuts:
            self._cuts[shape] = cut_between(own, shape)
        cut = self._cuts[shape]
        if cut is None:
            return False
        found = self._common.get(cut)
        if found is None:
            found = self._common[cut] = {cut.of(one) for one in self.keys}
        return cut.of(key) in found


class Cut(NamedTuple):
    """The bits at which two shapes both look, as masks of a key."""

    source: int
    destination: int
    protocol: int
    source_port: int
    destination_port: int

    def of(self, key: Key) -> Key:
        """Give what of a key lies under the masks."""
        return key[0] & self[0], key[1] & self[1], key[2] & self[2], key[3] & self[3], key[4] & self[4]


_WHOLE_PROTOCOL = 0xFF


def cut_between(one: Shape, other: Shape) -> Cut | None:
    """Give what two shapes both look at; None where no packet can match entries of both."""
    if one.version != other.version:
        return None
    masks = MASKS[one.version]
    return Cut(
        masks[min(one.source_length, other.source_length)],
        masks[min(one.destination_length, other.destination_length)],
        _WHOLE_PROTOCOL * (one.protocol and other.protocol),
        one.source_mask & other.source_mask,
        one.destination_mask & other.destination_mask,
    )
