"""The Traffic Selector payloads TSi and TSr (RFC 7296 section 3.13)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import ClassVar, Self

from culvert.addresses import IPAddress
from culvert.wire.isakmp.errors import require
from culvert.wire.isakmp.numbers import PayloadType
from culvert.wire.isakmp.reader import Reader, octets_of, packed

_HEAD, _PORTS = Struct("!BBH"), Struct("!HH")
OPAQUE_PORTS = (65_535, 0)
"""Start and end port that stand for "the port cannot be seen", as in fragments (RFC 7296 section 3.13.1)."""


class SelectorType(IntEnum):
    """TS Type, RFC 7296 section 3.13.1."""

    IPV4_ADDR_RANGE = 7
    IPV6_ADDR_RANGE = 8


@dataclass(frozen=True, slots=True)
class TrafficSelector:
    """Addresses `start` to `end`, both included, of one protocol (0: any).

    Ports are as the peer wrote them: a range, OPAQUE_PORTS, or for ICMP the type in the high and the code in the low
    octet.
    """

    protocol: int
    start_port: int
    end_port: int
    start: IPAddress
    end: IPAddress

    def __post_init__(self) -> None:
        require(self.start.version == self.end.version, "a traffic selector of two address families")
        require(int(self.start) <= int(self.end), "a traffic selector whose addresses end before they start")

    @property
    def type(self) -> SelectorType:
        return SelectorType.IPV4_ADDR_RANGE if self.start.version == 4 else SelectorType.IPV6_ADDR_RANGE

    @property
    def opaque(self) -> bool:
        return (self.start_port, self.end_port) == OPAQUE_PORTS

    def emit(self) -> bytes:
        rest = packed(_PORTS, self.start_port, self.end_port) + self.start.packed + self.end.packed
        return packed(_HEAD, self.type, self.protocol, _HEAD.size + len(rest)) + rest


@dataclass(frozen=True, slots=True)
class UnknownSelector:
    """A selector of a type that is not known here; `body` follows the length. Narrowing leaves it out."""

    type: int
    protocol: int
    body: bytes

    def __post_init__(self) -> None:
        require(self.type not in tuple(SelectorType), f"selectors of type {self.type} are known")

    def emit(self) -> bytes:
        return packed(_HEAD, self.type, self.protocol, _HEAD.size + len(self.body)) + self.body


@dataclass(frozen=True, slots=True)
class TrafficSelectors:
    """Up to 255 selectors, the first possibly the packet's that asked for the SA (RFC 7296 section 2.9)."""

    selectors: tuple[TrafficSelector | UnknownSelector, ...]

    @classmethod
    def parse(cls, body: bytes) -> Self:
        reader = Reader(body, "a traffic selector payload")
        count, _reserved = reader.number(1), reader.octets(3)
        selectors = tuple(_parse_selector(reader) for _ in range(count))
        reader.end()
        return cls(selectors)

    def emit(self) -> bytes:
        return octets_of(len(self.selectors), 1) + bytes(3) + b"".join(one.emit() for one in self.selectors)


@dataclass(frozen=True, slots=True)
class TSi(TrafficSelectors):
    """The traffic on the initiator's side."""

    payload_type: ClassVar[PayloadType] = PayloadType.TSI


@dataclass(frozen=True, slots=True)
class TSr(TrafficSelectors):
    """The traffic on the responder's side."""

    payload_type: ClassVar[PayloadType] = PayloadType.TSR


def _parse_selector(reader: Reader) -> TrafficSelector | UnknownSelector:
    kind, protocol, length = reader.fields(_HEAD)
    body = reader.octets(length - _HEAD.size)
    if kind == SelectorType.IPV4_ADDR_RANGE:
        return _parse_range(protocol, body, 4)
    if kind == SelectorType.IPV6_ADDR_RANGE:
        return _parse_range(protocol, body, 16)
    return UnknownSelector(kind, protocol, body)


def _parse_range(protocol: int, body: bytes, address_octets: int) -> TrafficSelector:
    reader = Reader(body, "a traffic selector")
    start_port, end_port = reader.fields(_PORTS)
    start, end = (_address(reader.octets(address_octets)) for _ in range(2))
    reader.end()
    return TrafficSelector(protocol, start_port, end_port, start, end)


def _address(octets: bytes) -> IPAddress:
    return IPv4Address(octets) if len(octets) == 4 else IPv6Address(octets)
