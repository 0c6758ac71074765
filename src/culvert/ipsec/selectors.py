"""What traffic an association or a policy covers (RFC 4301 section 4.4.1.1, RFC 7296 section 3.13)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network, summarize_address_range
from itertools import product
from typing import cast

from culvert.addresses import IPAddress, IPNetwork

ANY_PROTOCOL = 0
ICMP, ICMPV6 = 1, 58
MAX_PORT = 65_535
MAX_DECOMPOSED = 256
"""Most selectors that one child may need: a range of addresses or ports can fall into many prefixes and masks."""


_NETWORKS: dict[int, type[IPNetwork]] = {4: IPv4Network, 6: IPv6Network}


class SelectorError(ValueError):
    """A selector that cannot be expressed; the text says which and why."""


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """Ports `start` to `end`, both included. The whole range stands for "any".

    For ICMP they are the type in the upper eight bits and the code in the lower (RFC 7296 section 3.13.1).
    """

    start: int = 0
    end: int = MAX_PORT

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= MAX_PORT:
            raise SelectorError(f"{self.start}-{self.end} is no range of ports")

    @property
    def any(self) -> bool:
        return self.start == 0 and self.end == MAX_PORT

    def intersect(self, other: PortRange) -> PortRange | None:
        start, end = max(self.start, other.start), min(self.end, other.end)
        return PortRange(start, end) if start <= end else None

    def covers(self, other: PortRange) -> bool:
        return self.start <= other.start and other.end <= self.end

    def masks(self) -> list[tuple[int, int]]:
        """Decompose into (value, mask) pairs, at most 30 of them."""
        pairs, start = [], self.start
        while start <= self.end:
            size = (start & -start) or MAX_PORT + 1
            while start + size - 1 > self.end:
                size >>= 1
            pairs.append((start, (MAX_PORT + 1 - size) & MAX_PORT))
            start += size
        return pairs


@dataclass(frozen=True, slots=True)
class TrafficSelector:
    """One side of a child's traffic: a range of addresses, a protocol (0: any), a range of ports."""

    start: IPAddress
    end: IPAddress
    protocol: int = ANY_PROTOCOL
    ports: PortRange = PortRange()

    def __post_init__(self) -> None:
        if self.start.version != self.end.version or int(self.start) > int(self.end):
            raise SelectorError(f"{self.start}-{self.end} is no range of addresses")

    @classmethod
    def of_network(
        cls, network: IPNetwork, protocol: int = ANY_PROTOCOL, ports: PortRange | None = None
    ) -> TrafficSelector:
        return cls(network[0], network[-1], protocol, ports or PortRange())

    @property
    def version(self) -> int:
        return self.start.version

    def networks(self) -> list[IPNetwork]:
        """Give the prefixes that make up the range."""
        size = int(self.end) - int(self.start) + 1
        if size & (size - 1) == 0 and int(self.start) % size == 0:
            return [_NETWORKS[self.version]((int(self.start), self.start.max_prefixlen + 1 - size.bit_length()))]
        return list(cast(Iterable[IPNetwork], summarize_address_range(self.start, self.end)))

    def intersect(self, other: TrafficSelector) -> TrafficSelector | None:
        """What both cover, or None. Protocol 0 gives way to the other's."""
        if self.version != other.version:
            return None
        if ANY_PROTOCOL not in (self.protocol, other.protocol) and self.protocol != other.protocol:
            return None
        start = max(int(self.start), int(other.start))
        end = min(int(self.end), int(other.end))
        ports = self.ports.intersect(other.ports)
        if start > end or ports is None:
            return None
        kind = type(self.start)
        return TrafficSelector(kind(start), kind(end), self.protocol or other.protocol, ports)

    def covers(self, other: TrafficSelector) -> bool:
        return (
            self.version == other.version
            and self.protocol in (ANY_PROTOCOL, other.protocol)
            and int(self.start) <= int(other.start)
            and int(other.end) <= int(self.end)
            and self.ports.covers(other.ports)
        )

    def __str__(self) -> str:
        networks = self.networks()
        text = str(networks[0]) if len(networks) == 1 else f"{self.start}-{self.end}"
        if self.protocol == ANY_PROTOCOL and self.ports.any:
            return text
        return f"{text}[{self.protocol or 'any'}{_ports_text(self.protocol, self.ports)}]"


def _ports_text(protocol: int, ports: PortRange) -> str:
    if ports.any:
        return ""
    show = _icmp_text if protocol in (ICMP, ICMPV6) else str
    start, end = show(ports.start), show(ports.end)
    if protocol in (ICMP, ICMPV6) and ports.start & 0xFF == 0 and ports.end & 0xFF == 0xFF:
        start, end = str(ports.start >> 8), str(ports.end >> 8)
    return f"/{start}" if start == end else f"/{start}-{end}"


def _icmp_text(port: int) -> str:
    return f"{port >> 8}({port & 0xFF})"


@dataclass(frozen=True, slots=True)
class Selector:
    """One pair of prefixes with masked ports, as XFRM has it. Ports are (value, mask); mask 0 is any.

    For ICMP, `source_port` is the type and `destination_port` the code, in both directions.
    """

    source: IPNetwork
    destination: IPNetwork
    protocol: int = ANY_PROTOCOL
    source_port: tuple[int, int] = (0, 0)
    destination_port: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.source.version != self.destination.version:
            raise SelectorError(f"{self.source} and {self.destination} are of different families")

    @property
    def version(self) -> int:
        return self.source.version

    @property
    def reversed(self) -> Selector:
        if self.protocol in (ICMP, ICMPV6):
            return Selector(self.destination, self.source, self.protocol, self.source_port, self.destination_port)
        return Selector(self.destination, self.source, self.protocol, self.destination_port, self.source_port)

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination}" + (f" protocol {self.protocol}" if self.protocol else "")


EVERYTHING: dict[int, Selector] = {
    4: Selector(IPv4Network("0.0.0.0/0"), IPv4Network("0.0.0.0/0")),
    6: Selector(IPv6Network("::/0"), IPv6Network("::/0")),
}
"""The selector that covers all of a family, by IP version."""


def decompose(source: Iterable[TrafficSelector], destination: Iterable[TrafficSelector]) -> list[Selector]:
    """Turn both sides of a child into XFRM selectors: every pair of one family and compatible protocols.

    Raise SelectorError where that takes more than MAX_DECOMPOSED of them.
    """
    selectors: dict[Selector, None] = {}
    destinations = list(destination)
    for one in source:
        for other in destinations:
            for selector in _pair(one, other):
                selectors[selector] = None
                if len(selectors) > MAX_DECOMPOSED:
                    raise SelectorError(
                        f"{one} to {other} falls into more than {MAX_DECOMPOSED} prefixes: "
                        "use aligned networks and ports"
                    )
    return list(selectors)


def _pair(source: TrafficSelector, destination: TrafficSelector) -> Iterable[Selector]:
    if source.version != destination.version:
        return
    if ANY_PROTOCOL not in (source.protocol, destination.protocol) and source.protocol != destination.protocol:
        return
    protocol = source.protocol or destination.protocol
    ports = list(_port_pairs(protocol, source.ports, destination.ports))
    for source_network in source.networks():
        for destination_network in destination.networks():
            for source_port, destination_port in ports:
                yield Selector(source_network, destination_network, protocol, source_port, destination_port)


_Masked = tuple[int, int]


def _port_pairs(protocol: int, source: PortRange, destination: PortRange) -> Iterable[tuple[_Masked, _Masked]]:
    if protocol in (ICMP, ICMPV6):
        both = source.intersect(destination)
        return [_type_and_code(*pair) for pair in both.masks()] if both else ()
    return product(source.masks(), destination.masks())


def _type_and_code(value: int, mask: int) -> tuple[_Masked, _Masked]:
    """Part a masked port into type and code, each as a port of its own; the upper bits of both are zero."""
    return _masked_octet(value >> 8, mask >> 8), _masked_octet(value & 0xFF, mask & 0xFF)


def _masked_octet(value: int, mask: int) -> _Masked:
    return (value, 0xFF00 | mask) if mask else (0, 0)


def traffic_selector(text: str) -> TrafficSelector:
    """Read `10.1.0.0/16`, `10.1.0.1-10.1.0.9`, `2001:db8::/32`, with `[tcp/443]`, `[17]` or `[udp/1000-2000]` behind.

    Protocols are `tcp`, `udp`, `icmp`, `icmpv6` or numbers. ICMP has types, and codes in parentheses: `[icmp/8]`,
    `[icmp/3(4)]`, `[icmp/3(0)-3(4)]`. Raise SelectorError with what is wrong.
    """
    text = text.strip()
    addresses, bracket, rest = text.partition("[")
    protocol, ports = ANY_PROTOCOL, PortRange()
    if bracket:
        if not rest.endswith("]"):
            raise SelectorError(f"{text!r} lacks the closing bracket")
        protocol, ports = _protocol_and_ports(rest[:-1])
    try:
        if "-" in addresses:
            start, end = (ip_address(part.strip()) for part in addresses.split("-", 1))
            return TrafficSelector(start, end, protocol, ports)
        return TrafficSelector.of_network(ip_network(addresses.strip()), protocol, ports)
    except ValueError as error:
        raise SelectorError(f"{text!r} is no network: {error}") from error


PROTOCOLS = {
    "any": 0,
    "icmp": 1,
    "ipencap": 4,
    "tcp": 6,
    "udp": 17,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "sctp": 132,
}
"""Names of upper-layer protocols (IANA "Protocol Numbers"), those that policies are written for."""


def _protocol_and_ports(text: str) -> tuple[int, PortRange]:
    name, slash, ports = text.partition("/")
    protocol = PROTOCOLS.get(name.strip().lower())
    if protocol is None:
        if not name.strip().isdecimal() or int(name) > 255:
            raise SelectorError(f"{name!r} is no protocol")
        protocol = int(name)
    if not slash or ports.strip() == "any":
        return protocol, PortRange()
    start, _, end = ports.partition("-")
    if protocol in (ICMP, ICMPV6):
        return protocol, PortRange(_icmp_port(start, 0), _icmp_port(end or start, 0xFF))
    if not start.strip().isdecimal() or (end and not end.strip().isdecimal()):
        raise SelectorError(f"{ports!r} is no port")
    return protocol, PortRange(int(start), int(end or start))


def _icmp_port(text: str, code: int) -> int:
    """Read `type` or `type(code)`; a type alone has the lowest or the highest code."""
    match = re.fullmatch(r"([0-9]{1,3})(?:\(([0-9]{1,3})\))?", text.strip())
    octets = [int(group) for group in match.groups(str(code))] if match else []
    if not octets or max(octets) > 255:
        raise SelectorError(f"{text!r} is no type of ICMP: write 8, or 3(4) with its code")
    return octets[0] << 8 | octets[1]
