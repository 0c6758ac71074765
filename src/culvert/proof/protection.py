"""What is protected, asked packet by packet: addresses, protocol and ports (RFC 4301 section 4.4.1.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from culvert.addresses import IPAddress
from culvert.ipsec.associations import Direction
from culvert.ipsec.policies import Action, Policy
from culvert.ipsec.selectors import ICMP, ICMPV6, MAX_PORT, PortRange, Selector, TrafficSelector
from culvert.plan.entries import Entry, entries_of
from culvert.plan.runs import MASKS
from culvert.wire.ip import IpPacket

_PORTS = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class Flow:
    """What selectors look at. `ports` are source and destination, for ICMP type and code; None: the packet shows none.

    A later fragment shows none, and is taken for protected where only its ports could tell that it is not.
    """

    source: IPAddress
    destination: IPAddress
    protocol: int
    ports: tuple[int, int] | None

    @property
    def icmp(self) -> bool:
        return self.protocol in (ICMP, ICMPV6)


class Protection:
    """Tells what of a packet's kind the selectors cover. They are as packets go out."""

    def __init__(self, selectors: Iterable[Selector]) -> None:
        selectors = tuple(selectors)
        self._out = tuple(entry for one in selectors for entry in entries_for(one))
        self._inward = tuple(entry for one in selectors for entry in entries_for(one.reversed))

    def outgoing(self, flow: Flow) -> bool:
        """Whether such a packet may leave only by the tunnel."""
        return any(_is_in(entry, flow) for entry in self._out)

    def incoming(self, flow: Flow) -> bool:
        """Whether such a packet may arrive only by the tunnel."""
        return any(_is_in(entry, flow) for entry in self._inward)


def entries_for(selector: Selector) -> Iterator[Entry]:
    """Give a selector as steering and fence know it."""
    return entries_of(Policy(selector, Direction.OUT, Action.PROTECT, 0))


def flow_of(packet: IpPacket) -> Flow:
    """Read what selectors look at."""
    return Flow(packet.source, packet.destination, packet.protocol, _ports(packet))


def plain(selector: Selector) -> bool:
    """Whether a selector says no more than two networks."""
    return not (selector.protocol or selector.source_port[1] or selector.destination_port[1])


def text_of(selector: Selector) -> str:
    """Write both sides as a configuration has them, ours first."""
    ports = selector.source_port, selector.destination_port
    if selector.protocol in (ICMP, ICMPV6):
        kind, code = ports
        ports = (kind[0] << 8 | code[0], (kind[1] & 0xFF) << 8 | code[1] & 0xFF), (0, 0)
    return f"{_side(selector, 0, ports[0])} - {_side(selector, 1, ports[1])}"


def _side(selector: Selector, side: int, port: tuple[int, int]) -> str:
    network = (selector.source, selector.destination)[side]
    value, mask = port
    protocol = selector.protocol if mask or side else 0
    return str(TrafficSelector.of_network(network, protocol, PortRange(value, value | (mask ^ MAX_PORT))))


def _ports(packet: IpPacket) -> tuple[int, int] | None:
    if packet.fragment_offset or len(packet.payload) < _PORTS.size:
        return None
    if packet.protocol in (ICMP, ICMPV6):
        return packet.payload[0], packet.payload[1]
    source, destination = _PORTS.unpack_from(packet.payload)
    return source, destination


def _is_in(entry: Entry, flow: Flow) -> bool:
    masks = MASKS[entry.version]
    return (
        entry.version == flow.source.version
        and int(flow.source) & masks[entry.source_length] == entry.source
        and int(flow.destination) & masks[entry.destination_length] == entry.destination
        and entry.protocol in (0, flow.protocol)
        and (flow.ports is None or _fit(entry, *flow.ports))
    )


def _fit(entry: Entry, source: int, destination: int) -> bool:
    there = source & entry.source_mask, destination & entry.destination_mask
    return there == (entry.source_port, entry.destination_port)
