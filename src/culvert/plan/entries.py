"""Entries of the SPD as steering and fence need them: plain numbers, because there may be 100,000 of them.

What protects them and how is of no interest here; only what becomes of a packet that the kernel sees in clear.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from culvert.addresses import IPNetwork
from culvert.ipsec.associations import Direction
from culvert.ipsec.policies import Action, Level, Policy
from culvert.ipsec.selectors import ANY_PROTOCOL, ICMP, ICMPV6

PORTED = (6, 17, 33, 132, 136)
"""Protocols with ports: TCP, UDP, DCCP, SCTP, UDP-Lite."""
_ICMP_OF = {4: ICMP, 6: ICMPV6}
_ALL_PORTS, _OCTET = 0xFFFF, 0xFF


class Verdict(IntEnum):
    """What becomes of a packet in clear. PROTECT: it must go through the tunnel device, or have come from it."""

    PASS = 0
    PROTECT = 1
    DISCARD = 2


class Entry(NamedTuple):
    """One policy. Addresses are integers; bits behind a prefix or outside of a mask are zero.

    `source_port` and `destination_port` are ICMP's type and code where the protocol is ICMP. `number` is the policy's
    index: it decides between equal priorities, for the data plane counts upwards.
    """

    priority: int
    number: int
    version: int
    source: int
    source_length: int
    destination: int
    destination_length: int
    protocol: int
    source_port: int
    source_mask: int
    destination_port: int
    destination_mask: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Others:
    """The policies that others than the configuration wrote, by direction, in the order in which they are asked.

    `ends` are the outer addresses of their templates: who may send us ESP and AH. None: anybody.
    """

    out: tuple[Entry, ...] = ()
    inward: tuple[Entry, ...] = ()
    forward: tuple[Entry, ...] = ()
    ends: tuple[IPNetwork, ...] | None = ()
    count: int = 0


NOBODY = Others()
"""Nobody else wrote any."""


def entries(policies: Iterable[Policy], direction: Direction) -> tuple[Entry, ...]:
    """Give the policies of one direction as entries, in the order in which they are asked."""
    found = [entry for policy in policies if policy.direction is direction for entry in entries_of(policy)]
    return tuple(sorted(found))


def entries_of(policy: Policy) -> Iterator[Entry]:
    """Give a policy's entry: none where no packet can match it, several where ports are given for any protocol."""
    selector = policy.selector
    yield from normal(
        Entry(
            policy.priority,
            policy.index,
            selector.version,
            int(selector.source.network_address),
            selector.source.prefixlen,
            int(selector.destination.network_address),
            selector.destination.prefixlen,
            selector.protocol,
            *selector.source_port,
            *selector.destination_port,
            verdict_of(policy),
        )
    )


def verdict_of(policy: Policy) -> Verdict:
    """Judge a packet in clear. Where every template may be left out, one that arrives so may pass.

    One that leaves goes to the engine all the same: it knows whether an association is there.
    """
    if policy.action is not Action.PROTECT:
        return Verdict.DISCARD if policy.action is Action.DISCARD else Verdict.PASS
    required = any(template.level is Level.REQUIRE for template in policy.templates)
    return Verdict.PROTECT if required or policy.direction is Direction.OUT else Verdict.PASS


def normal(entry: Entry) -> Iterator[Entry]:
    """Bring ports into the form that packets show, as the data plane judges them."""
    if not entry.source_mask and not entry.destination_mask:
        yield entry._replace(source_port=0, destination_port=0)
    elif entry.protocol == ANY_PROTOCOL:
        for protocol in (*PORTED, _ICMP_OF[entry.version]):
            yield from normal(entry._replace(protocol=protocol))
    elif entry.protocol in PORTED:
        yield entry._replace(
            source_port=entry.source_port & entry.source_mask,
            destination_port=entry.destination_port & entry.destination_mask,
        )
    elif entry.protocol == _ICMP_OF[entry.version]:
        yield from _of_icmp(entry)


def _of_icmp(entry: Entry) -> Iterator[Entry]:
    """Type and code have eight bits: what asks for more of them matches nothing."""
    kind, code = entry.source_port & entry.source_mask, entry.destination_port & entry.destination_mask
    if kind <= _OCTET and code <= _OCTET:
        yield entry._replace(
            source_port=kind,
            source_mask=entry.source_mask & _OCTET,
            destination_port=code,
            destination_mask=entry.destination_mask & _OCTET,
        )
