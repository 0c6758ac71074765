"""Identities of gateways (RFC 7296 section 3.5, RFC 4945 section 3.1).

An identity that is expected may hold a wildcard: `*.example.org`, `*@example.org`, `C=DE, O=Example, CN=*`. One that is
presented never does: there `*` is a letter, and no wildcard matches it.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from culvert.addresses import IPAddress
from culvert.distinguished_names import DistinguishedName, DistinguishedNameError

MAX_IDENTITY_OCTETS = 1024
"""Longest identity that a peer may present; names and distinguished names are far shorter."""
_DN = re.compile(r"/?\s*([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)\s*=")


class IdentityType(IntEnum):
    """ID Type, RFC 7296 section 3.5."""

    IPV4_ADDR = 1
    FQDN = 2
    RFC822_ADDR = 3
    IPV6_ADDR = 5
    DER_ASN1_DN = 9
    DER_ASN1_GN = 10
    KEY_ID = 11


_NAMES = (IdentityType.FQDN, IdentityType.RFC822_ADDR)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a gateway says it is: a type and its octets."""

    type: IdentityType
    value: bytes

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Read what a person writes. Raise ValueError with what is wrong.

        `203.0.113.1`, `gw.example.org`, `admin@example.org`, `C=DE, O=Example, CN=gw1` (a distinguished name),
        `@name` (FQDN whatever it looks like), `@#6b6579` and `keyid:6b6579` (KEY_ID in hexadecimal).
        """
        text = text.strip()
        if not text or len(text) > MAX_IDENTITY_OCTETS:
            raise ValueError(f"an identity has 1 to {MAX_IDENTITY_OCTETS} characters")
        if text.startswith("@#") or text.lower().startswith("keyid:"):
            return cls(IdentityType.KEY_ID, bytes.fromhex(text[2:] if text[0] == "@" else text[6:]))
        if _DN.match(text):
            return cls(IdentityType.DER_ASN1_DN, DistinguishedName.parse(text).der)
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

    @classmethod
    def of_name(cls, name: DistinguishedName) -> Identity:
        return cls(IdentityType.DER_ASN1_DN, name.der)

    @property
    def distinguished_name(self) -> DistinguishedName | None:
        """The name that the octets are; None for other types, and where they are none."""
        if self.type is not IdentityType.DER_ASN1_DN:
            return None
        try:
            return DistinguishedName.of_der(self.value)
        except DistinguishedNameError:
            return None

    @property
    def is_wildcard(self) -> bool:
        """Tell whether this identity stands for many; such a one can be expected, and nobody can be it."""
        if self.type in _NAMES:
            return b"*" in self.value
        name = self.distinguished_name
        return name is not None and name.has_wildcard

    @property
    def comparable(self) -> tuple[IdentityType, Hashable]:
        """What is equal for identities that are the same; for one with a wildcard it says nothing."""
        if self.type in _NAMES:
            return self.type, self.value.lower()
        name = self.distinguished_name
        return self.type, name.comparable if name is not None else self.value

    def matches(self, presented: Identity) -> bool:
        """Tell whether `presented` is this identity, or one of those that its wildcard stands for.

        Names compare without regard to case; distinguished names as RFC 5280 section 7.1 says. `*.example.org` stands
        for every name below example.org, `*@example.org` for everybody there, `CN=*` for every CN.
        """
        if self.type != presented.type:
            return False
        if self.type in _NAMES:
            return _name_matches(self.value.lower(), presented.value.lower())
        if self.type is IdentityType.DER_ASN1_DN:
            return self._same_name(presented)
        return self.value == presented.value

    def _same_name(self, presented: Identity) -> bool:
        ours, theirs = self.distinguished_name, presented.distinguished_name
        return ours is not None and theirs is not None and not theirs.has_wildcard and ours.matches(theirs)

    def __str__(self) -> str:
        if self.type is IdentityType.IPV4_ADDR and len(self.value) == 4:
            return str(IPv4Address(self.value))
        if self.type is IdentityType.IPV6_ADDR and len(self.value) == 16:
            return str(IPv6Address(self.value))
        if self.type in _NAMES:
            return re.sub(r"[^\x21-\x7e]", "?", self.value.decode("latin-1"))
        if (name := self.distinguished_name) is not None and name.rdns:
            return str(name)
        return f"@#{self.value.hex()}"


def _name_matches(expected: bytes, presented: bytes) -> bool:
    if b"*" in presented:
        return False
    if not expected.startswith((b"*.", b"*@")):
        return expected == presented
    return presented.endswith(expected[1:]) and len(presented) >= len(expected)


def wildcard_misuse(identity: Identity) -> str:
    """Say what is wrong with where an expected identity has its wildcard; nothing where all is well."""
    if identity.type not in _NAMES or b"*" not in identity.value:
        return ""
    rest = identity.value[2:] if identity.value.startswith((b"*.", b"*@")) else b""
    return "" if rest and b"*" not in rest else "* stands alone, in front of the first point or of the @"
