"""IP addresses, networks and socket addresses as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

IKE_PORT = 500
"""UDP port of IKE (RFC 7296 section 2)."""
NAT_PORT = 4500
"""UDP port of IKE and ESP behind NAT (RFC 3948 section 2)."""


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """One end of a UDP exchange. `ip` may be the unspecified address where the host is to choose."""

    ip: IPAddress
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if self.ip.version == 6 else f"{self.ip}:{self.port}"

    @classmethod
    def parse(cls, ip: str, port: int) -> SocketAddress:
        """Raise ValueError where `ip` is no address."""
        return cls(ip_address(ip), port)


def unspecified_like(address: IPAddress) -> IPAddress:
    """Give 0.0.0.0 or ::, of the family of `address`."""
    return IPv4Address(0) if address.version == 4 else IPv6Address(0)
