"""Which of the configuration's pairs are led by routes, and which, with all that others wrote, by marks.

A pair is simple where it protects everything between two networks and nothing of another verdict is asked before it.
Simple pairs are steered by routes and rules, fenced as pairs of networks, and come before everything else: nothing can
be overtaken by that. The rest becomes runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from culvert.addresses import IPNetwork
from culvert.config.model import Gateway
from culvert.ipsec.policies import OWN_INDEX
from culvert.ipsec.selectors import Selector
from culvert.plan.desired import Attached, HostFacts
from culvert.plan.entries import NOBODY, Entry, Others, Verdict, normal
from culvert.plan.pairs import Protected, attached_inside, contains, protected
from culvert.plan.policies import priority
from culvert.plan.runs import Cut, Key, Run, Shape, compile_runs, cut_between, key_of, shape_of


@dataclass(frozen=True, slots=True)
class Division:
    """All that is protected: the configuration's pairs, and runs of the marked ones and of what others wrote."""

    pairs: tuple[Protected, ...]
    simple: tuple[Protected, ...]
    marked: tuple[Protected, ...]
    out: tuple[Run, ...] = ()
    inward: tuple[Run, ...] = ()
    forward: tuple[Run, ...] = ()

    @property
    def steered(self) -> tuple[int, ...]:
        """The IP versions in which packets may enter the tunnel device by a mark, or come from it because of a run."""
        runs = (run for runs in (self.out, self.inward, self.forward) for run in runs)
        shapes = (shape for run in runs if run.verdict is not Verdict.DISCARD for shape, _ in run.sets)
        return tuple(sorted({shape.version for shape in shapes}))


def divide(gateway: Gateway, facts: HostFacts, others: Others = NOBODY) -> Division:
    """Part the pairs, and compile all that is not simple into runs."""
    pairs = tuple(protected(gateway))
    attached = attached_inside(pairs, facts)
    own = [_Own(pair, tuple(_staying(pair, attached))) for pair in pairs]
    before_out, before_inward = Precedence(others.out), Precedence(others.inward)
    simple: list[_Own] = []
    marked: list[_Own] = []
    for one in own:
        clear = not any(before_out.hinders(entry) for entry in one.out())
        clear = clear and not any(before_inward.hinders(entry) for entry in one.inward())
        (simple if clear and _is_plain(one.pair.selector) else marked).append(one)
    return Division(
        pairs,
        tuple(one.pair for one in simple),
        tuple(one.pair for one in marked),
        compile_runs(_in_order(others.out, (entry for one in marked for entry in one.out()))),
        compile_runs(_in_order(others.inward, (entry for one in marked for entry in one.inward()))),
        compile_runs(others.forward),
    )


def _in_order(others: tuple[Entry, ...], own: Iterable[Entry]) -> Iterable[Entry]:
    more = tuple(own)
    return sorted((*others, *more)) if more else others


def _is_plain(selector: Selector) -> bool:
    return not (selector.protocol or selector.source_port[1] or selector.destination_port[1])


def _staying(pair: Protected, attached: Iterable[Attached]) -> Iterator[IPNetwork]:
    """Networks on wires of this host inside the pair's remote one: between these and ours nothing is protected."""
    return (one.network for one in attached if contains(pair.remote, one.network))


@dataclass(frozen=True, slots=True)
class _Own:
    """A pair of the configuration as entries: what stays on a wire of ours, then what is protected."""

    pair: Protected
    staying: tuple[IPNetwork, ...]

    def out(self) -> Iterator[Entry]:
        for network in self.staying:
            yield from self._entries(Selector(self.pair.local, network), Verdict.PASS)
        yield from self._entries(self.pair.selector, Verdict.PROTECT)

    def inward(self) -> Iterator[Entry]:
        for network in self.staying:
            yield from self._entries(Selector(network, self.pair.local), Verdict.PASS)
        yield from self._entries(self.pair.selector.reversed, Verdict.PROTECT)

    def _entries(self, selector: Selector, verdict: Verdict) -> Iterator[Entry]:
        return normal(
            Entry(
                priority(self.pair.selector),
                OWN_INDEX + verdict,
                selector.version,
                int(selector.source.network_address),
                selector.source.prefixlen,
                int(selector.destination.network_address),
                selector.destination.prefixlen,
                selector.protocol,
                *selector.source_port,
                *selector.destination_port,
                verdict,
            )
        )


class Precedence:
    """Tells whether something of another verdict is asked before an entry, for a part of what the entry covers."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._first: dict[tuple[Verdict, Shape], dict[Key, tuple[int, int]]] = defaultdict(dict)
        self._cut: dict[tuple[Verdict, Shape, Cut], dict[Key, tuple[int, int]]] = {}
        for entry in entries:
            self._first[entry.verdict, shape_of(entry)].setdefault(key_of(entry), entry[:2])

    def hinders(self, entry: Entry) -> bool:
        """Tell it. Entries of its own verdict are no hindrance."""
        shape, key = shape_of(entry), key_of(entry)
        for verdict, other in self._first:
            cut = cut_between(other, shape) if verdict is not entry.verdict else None
            if cut is None:
                continue
            first = self._cut_down(verdict, other, cut).get(cut.of(key))
            if first is not None and first < entry[:2]:
                return True
        return False

    def _cut_down(self, verdict: Verdict, shape: Shape, cut: Cut) -> dict[Key, tuple[int, int]]:
        found = self._cut.get((verdict, shape, cut))
        if found is None:
            found = self._cut[verdict, shape, cut] = {}
            for key, place in self._first[verdict, shape].items():
                under = cut.of(key)
                found[under] = min(place, found.get(under, place))
        return found
