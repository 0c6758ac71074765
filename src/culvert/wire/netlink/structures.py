"""The small structures that XFRM messages are made of (`linux/xfrm.h`)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from culvert.addresses import IPAddress, IPNetwork
from culvert.wire.netlink.framing import ParseError

AF_INET = 2
AF_INET6 = 10
UNLIMITED = 2**64 - 1
"""XFRM_INF: no limit of octets or packets. For seconds it is 0."""

ADDRESS_OCTETS = 16
SELECTOR_OCTETS = 56
ID_OCTETS = 24
LIFETIME_OCTETS = 64
CURRENT_OCTETS = 32

_SELECTOR = struct.Struct("=16s16s2s2s2s2sHBBB3xiI")
_ID = struct.Struct("=16s4sB3x")
_LIFETIME = struct.Struct("=8Q")
_CURRENT = struct.Struct("=4Q")


def family_of(address: IPAddress | IPNetwork) -> int:
    """Give AF_INET or AF_INET6."""
    return AF_INET if address.version == 4 else AF_INET6


def emit_address(address: IPAddress) -> bytes:
    """Give 16 octets, an IPv4 address in the first four."""
    return address.packed.ljust(ADDRESS_OCTETS, b"\0")


@lru_cache(maxsize=1024)
def parse_address(octets: bytes, family: int) -> IPAddress:
    """Read 16 octets as an address of `family`. Raise ParseError."""
    if len(octets) != ADDRESS_OCTETS:
        raise ParseError(f"an address has {len(octets)} octets instead of {ADDRESS_OCTETS}")
    if family == AF_INET:
        return IPv4Address(octets[:4])
    if family == AF_INET6:
        return IPv6Address(octets)
    raise ParseError(f"{family} is no address family")


@dataclass(frozen=True, slots=True)
class SelectorWire:
    """`struct xfrm_selector`. Ports are (value, mask)."""

    source: IPNetwork
    destination: IPNetwork
    protocol: int = 0
    source_port: tuple[int, int] = (0, 0)
    destination_port: tuple[int, int] = (0, 0)
    interface_index: int = 0
    user: int = 0


def emit_selector(selector: SelectorWire | None) -> bytes:
    """Give 56 octets; None is the empty selector, all zero."""
    if selector is None:
        return bytes(SELECTOR_OCTETS)
    return _SELECTOR.pack(
        emit_address(selector.destination.network_address),
        emit_address(selector.source.network_address),
        *(number.to_bytes(2, "big") for number in (*selector.destination_port, *selector.source_port)),
        family_of(selector.source),
        selector.destination.prefixlen,
        selector.source.prefixlen,
        selector.protocol,
        selector.interface_index,
        selector.user,
    )


def parse_selector(octets: bytes) -> SelectorWire | None:
    """Read 56 octets. Family 0 is the empty selector, None. Bits below the prefix are cut off. Raise ParseError."""
    if len(octets) != SELECTOR_OCTETS:
        raise ParseError(f"a selector has {len(octets)} octets instead of {SELECTOR_OCTETS}")
    daddr, saddr, *ports, family, prefix_d, prefix_s, protocol, interface, user = _SELECTOR.unpack(octets)
    if family == 0:
        return None
    dport, dmask, sport, smask = (int.from_bytes(port, "big") for port in ports)
    return SelectorWire(
        _network(saddr, family, prefix_s),
        _network(daddr, family, prefix_d),
        protocol,
        (sport, smask),
        (dport, dmask),
        interface,
        user,
    )


@lru_cache(maxsize=4096)
def _network(octets: bytes, family: int, prefix: int) -> IPNetwork:
    """Tables repeat their networks, and hold very many of them."""
    bits = {AF_INET: 32, AF_INET6: 128}.get(family)
    if bits is None:
        raise ParseError(f"{family} is no address family")
    if prefix > bits:
        raise ParseError(f"/{prefix} is no prefix of {parse_address(octets, family)}")
    number = int.from_bytes(octets[: bits // 8], "big") >> bits - prefix << bits - prefix
    return IPv4Network((number, prefix)) if bits == 32 else IPv6Network((number, prefix))


@dataclass(frozen=True, slots=True)
class IdWire:
    """`struct xfrm_id` with its address read: destination, SPI, IP protocol."""

    destination: IPAddress
    spi: int
    protocol: int


def emit_id(value: IdWire) -> bytes:
    """Give 24 octets; the SPI is in network order."""
    return _ID.pack(emit_address(value.destination), value.spi.to_bytes(4, "big"), value.protocol)


def parse_id(octets: bytes, family: int) -> IdWire:
    """Read 24 octets. Raise ParseError."""
    if len(octets) != ID_OCTETS:
        raise ParseError(f"an identity has {len(octets)} octets instead of {ID_OCTETS}")
    address, spi, protocol = _ID.unpack(octets)
    return IdWire(parse_address(address, family), int.from_bytes(spi, "big"), protocol)


@dataclass(frozen=True, slots=True)
class LifetimeWire:
    """`struct xfrm_lifetime_cfg`: UNLIMITED octets and packets, 0 seconds mean no limit."""

    soft_octets: int = UNLIMITED
    hard_octets: int = UNLIMITED
    soft_packets: int = UNLIMITED
    hard_packets: int = UNLIMITED
    soft_added_s: int = 0
    hard_added_s: int = 0
    soft_used_s: int = 0
    hard_used_s: int = 0


def emit_lifetime(value: LifetimeWire) -> bytes:
    """Give 64 octets."""
    return _LIFETIME.pack(
        value.soft_octets,
        value.hard_octets,
        value.soft_packets,
        value.hard_packets,
        value.soft_added_s,
        value.hard_added_s,
        value.soft_used_s,
        value.hard_used_s,
    )


@lru_cache(maxsize=64)
def parse_lifetime(octets: bytes) -> LifetimeWire:
    """Read 64 octets. Raise ParseError."""
    if len(octets) != LIFETIME_OCTETS:
        raise ParseError(f"a lifetime has {len(octets)} octets instead of {LIFETIME_OCTETS}")
    return LifetimeWire(*_LIFETIME.unpack(octets))


@dataclass(frozen=True, slots=True)
class CurrentWire:
    """`struct xfrm_lifetime_cur`: what was used, and when (seconds since 1970; 0: never)."""

    octets: int = 0
    packets: int = 0
    added_at_s: int = 0
    used_at_s: int = 0


def emit_current(value: CurrentWire) -> bytes:
    """Give 32 octets."""
    return _CURRENT.pack(value.octets, value.packets, value.added_at_s, value.used_at_s)


@lru_cache(maxsize=64)
def parse_current(octets: bytes) -> CurrentWire:
    """Read 32 octets. Raise ParseError."""
    if len(octets) != CURRENT_OCTETS:
        raise ParseError(f"counters have {len(octets)} octets instead of {CURRENT_OCTETS}")
    return CurrentWire(*_CURRENT.unpack(octets))
