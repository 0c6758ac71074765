"""Identities of gateways (RFC 7296 section 3.5, RFC 4945 section 3.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from culvert.addresses import IPAddress

MAX_IDENTITY_OCTETS = 1024
"""Longest identity that a peer may present; names and distinguished names are far shorter."""


class IdentityType(IntEnum):
    """ID Type, RFC 7296 section 3.5."""

    IPV4_ADDR = 1
    FQDN = 2
    RFC822_ADDR = 3
    IPV6_ADDR = 5
    DER_ASN1_DN = 9
    DER_ASN1_GN = 10
    KEY_ID = 11


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a gateway says it is: a type and its octets."""

    type: IdentityType
    value: bytes

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Read `203.0.113.1`, `gw.example.org`, `admin@example.org`, `@name` (FQDN), `@#6b6579` (KEY_ID in hex).

        Raise ValueError with what is wrong.
        """
        text = text.strip()
        if not text or len(text) > MAX_IDENTITY_OCTETS:
            raise ValueError(f"an identity has 1 to {MAX_IDENTITY_OCTETS} characters")
        if text.startswith("@#"):
            return cls(IdentityType.KEY_ID, bytes.fromhex(text[2:]))
        try:
            return cls.of_address(ip_address(text))
        except ValueError:
            pass
        if text.startswith("@"):
            return cls(IdentityType.FQDN, text[1:].encode())
        kind = IdentityType.RFC822_ADDR if "@" in text else IdentityType.FQDN
        return cls(kind, text.encode("idna" if not text.isascii() and kind is IdentityType.FQDN else "utf-8"))

    @classmethod
    def of_address(cls, address: IPAddress) -> Identity:
        kind = IdentityType.IPV4_ADDR if address.version == 4 else IdentityType.IPV6_ADDR
        return cls(kind, address.packed)

    def matches(self, presented: Identity) -> bool:
        """Tell whether `presented` is this identity; names compare without regard to case."""
        if self.type != presented.type:
            return False
        if self.type in (IdentityType.FQDN, IdentityType.RFC822_ADDR):
            return self.value.lower() == presented.value.lower()
        return self.value == presented.value

    def __str__(self) -> str:
        if self.type is IdentityType.IPV4_ADDR and len(self.value) == 4:
            return str(IPv4Address(self.value))
        if self.type is IdentityType.IPV6_ADDR and len(self.value) == 16:
            return str(IPv6Address(self.value))
        if self.type in (IdentityType.FQDN, IdentityType.RFC822_ADDR):
            return re.sub(r"[^\x21-\x7e]", "?", self.value.decode("latin-1"))
        return f"@#{self.value.hex()}"
