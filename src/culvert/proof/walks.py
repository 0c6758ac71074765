"""A rule that looks fields of a packet up in a set, as it stands, and whether it gets hold of a whole selector."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from culvert.ipsec.selectors import ICMP, ICMPV6, Selector
from culvert.network.expressions import IP
from culvert.plan.entries import Entry
from culvert.plan.runs import MASKS
from culvert.proof.protection import entries_for

NFPROTO = {4: 2, 6: 10}
"""The kernel's numbers of families."""


@dataclass(frozen=True, slots=True)
class SetRule:
    """`hooks` are the IP versions and base chains' hooks that lead to it, `fields` the fields by name, with masks.

    `fragments`: it looks at later fragments alone.
    """

    hooks: frozenset[tuple[int, str]]
    fields: tuple[tuple[str, int], ...]
    values: frozenset[tuple[int, ...]]
    fragments: bool = False

    def covers(self, entry: Entry) -> bool:
        """Whether every packet of an entry is in the set."""
        known = _fields(entry)
        found = []
        for name, mask in self.fields:
            value, certain = known.get(name, (0, 0))
            if mask & ~certain:
                return False
            found.append(value & mask)
        return tuple(found) in self.values


def walked(rules: Iterable[SetRule], selector: Selector, hook: str) -> bool:
    """Whether at a hook rules get hold of all that a selector covers, later fragments too."""
    here = [rule for rule in rules if (selector.version, hook) in rule.hooks]
    whole = [rule for rule in here if not rule.fragments]
    entries = list(entries_for(selector))
    return all(
        any(rule.covers(entry) for rule in whole) and any(rule.covers(_without_ports(entry)) for rule in here)
        for entry in entries
    )


def _without_ports(entry: Entry) -> Entry:
    return entry._replace(source_port=0, source_mask=0, destination_port=0, destination_mask=0)


def _fields(entry: Entry) -> dict[str, tuple[int, int]]:
    """Give what is known of every packet of an entry: values and masks."""
    ip, masks = IP[entry.version], MASKS[entry.version]
    icmp = {ICMP: "icmp", ICMPV6: "icmpv6"}.get(entry.protocol)
    source, destination = (f"{icmp} type", f"{icmp} code") if icmp else ("th sport", "th dport")
    return {
        "meta nfproto": (NFPROTO[entry.version], 0xFF),
        f"{ip} saddr": (entry.source, masks[entry.source_length]),
        f"{ip} daddr": (entry.destination, masks[entry.destination_length]),
        "meta l4proto": (entry.protocol, 0xFF if entry.protocol else 0),
        source: (entry.source_port, entry.source_mask),
        destination: (entry.destination_port, entry.destination_mask),
    }
