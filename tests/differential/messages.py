"""What XFRM messages of these tests are made of: addresses, flags, attributes."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import ip_address, ip_network

from culvert.wire.netlink.framing import emit_attribute
from culvert.wire.netlink.numbers import Xfrm
from culvert.wire.netlink.sa import SaWire, emit_sa
from culvert.wire.netlink.structures import IdWire, LifetimeWire, SelectorWire
from tests.differential.conversation import Request
from tests.differential.suites import Suite

TRANSPORT, TUNNEL = 0, 1
V4 = (ip_address("203.0.113.1"), ip_address("203.0.113.2"))
V6 = (ip_address("2001:db8:99::1"), ip_address("2001:db8:99::2"))
NEAR, FAR = ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24")
NEAR6, FAR6 = ip_network("2001:db8:1::/64"), ip_network("2001:db8:2::/64")
NOECN, DECAP_DSCP, NO_PMTU_DISCOVERY, AF_UNSPEC, ALIGN4, ESN = 1, 2, 4, 32, 64, 128
TFCPAD, EXTRA_FLAGS, LEGACY = 22, 24, 0x4004
DONT_ENCAP_DSCP = 1
SPI = 0x10001
FIRST_ASKED_INDEX = 8 * 0x10_0000
"""Indexes of policies below were chosen by the data plane: of them only the direction is compared."""
ONE = SelectorWire(NEAR, FAR)
ONE6 = SelectorWire(NEAR6, FAR6)
WEB = SelectorWire(NEAR, FAR, 6, (0, 0), (443, 0xFFFF))
LIVES = LifetimeWire(1000, 2000, 10, 20, 60, 120, 30, 40)


def association(suite: Suite, mode: int = TUNNEL, version: int = 4, spi: int = SPI, **fields: object) -> SaWire:
    """Give an association from .1 to .2."""
    source, destination = V4 if version == 4 else V6
    base = SaWire(IdWire(destination, spi, suite.protocol), source, 7, mode, **suite.attributes())
    return replace(base, **fields)  # type: ignore[arg-type]


def new(sa: SaWire, *extra: tuple[int, bytes]) -> bytes:
    """Give NEWSA's body with further attributes."""
    return emit_sa(sa) + b"".join(emit_attribute(kind, value) for kind, value in extra)


def for_engine(request: Request) -> Request:
    """Allow legacy algorithms, which the engine wants to be told and the kernel has no attribute for."""
    if request.kind not in (Xfrm.NEWSA, Xfrm.UPDSA):
        return request
    return replace(request, body=request.body + emit_attribute(LEGACY, b""))


def u32(value: int) -> bytes:
    """Give an attribute's number."""
    return struct.pack("=I", value)
