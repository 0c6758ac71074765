"""Names of hosts, services and protocols: who knows them is given to us, for this room does no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Protocol

from culvert.addresses import IPAddress
from culvert.ipsec.selectors import PROTOCOLS
from culvert.setkey.bounds import MAX_ADDRESSES, MAX_NAMES

_HOST = re.compile(r"(?=[^.]*[A-Za-z]|.*\.[A-Za-z])[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})", re.ASCII)
"""A name of a host; numbers and dots alone are an address with a slip in it."""
_OUR_PROTOCOLS = {**PROTOCOLS, "ip4": 4, "icmp6": 58, "ipv6-icmp": 58, "ip6": 41, "ipv6": 41}
"""Those that setkey knows without /etc/protocols, and a few more that every host has."""


class UnknownNameError(LookupError):
    """A name that stands for nothing; the text says why."""


class Resolver(Protocol):
    """Who knows names. It may block."""

    def addresses(self, name: str, version: int | None) -> Sequence[IPAddress]:
        """Give the addresses of a host, of one family or of both. Raise UnknownNameError."""
        ...

    def service(self, name: str, transport: str) -> int | None:
        """Give the port of a service; `transport` is `tcp`, `udp`, or empty for any."""
        ...

    def protocol(self, name: str) -> int | None:
        """Give the number of a protocol."""
        ...


@dataclass(slots=True)
class TableResolver:
    """Knows what it is told. For tests, and wherever nothing may be asked."""

    hosts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    services: Mapping[str, int] = field(default_factory=dict)
    protocols: Mapping[str, int] = field(default_factory=dict)

    def addresses(self, name: str, version: int | None) -> Sequence[IPAddress]:
        found = [ip_address(text) for text in self.hosts.get(name, ())]
        if not found:
            raise UnknownNameError("nobody knows it")
        return [address for address in found if version in (None, address.version)]

    def service(self, name: str, transport: str) -> int | None:  # noqa: ARG002
        return self.services.get(name)

    def protocol(self, name: str) -> int | None:
        return self.protocols.get(name)


class Names:
    """What one text has asked so far; each name is asked once."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._hosts: dict[tuple[str, int | None], list[IPAddress] | str] = {}
        self._protocols = dict(_OUR_PROTOCOLS)

    def addresses(self, name: str, version: int | None) -> list[IPAddress]:
        """Give at least one and at most MAX_ADDRESSES addresses. Raise UnknownNameError with what is wrong."""
        key = name, version
        if key not in self._hosts:
            if len(self._hosts) >= MAX_NAMES:
                raise UnknownNameError(f"{MAX_NAMES} names were looked up before it, and that is the most")
            self._hosts[key] = self._ask(name, version)
        found = self._hosts[key]
        if isinstance(found, str):
            raise UnknownNameError(found)
        return found

    def _ask(self, name: str, version: int | None) -> list[IPAddress] | str:
        """Give the addresses, or why there are none."""
        if not _HOST.fullmatch(name):
            return "it is neither an address nor a name of a host"
        try:
            found = list(dict.fromkeys(self._resolver.addresses(name, version)))
        except UnknownNameError as error:
            return str(error)
        if len(found) > MAX_ADDRESSES:  # what is left out would pass in clear
            return f"it has {len(found)} addresses, and {MAX_ADDRESSES} are the most"
        return found or "it has no address" + (f" of IPv{version}" if version else "")

    def service(self, name: str, transport: str) -> int | None:
        return self._resolver.service(name, transport)

    def protocol(self, name: str) -> int | None:
        if name not in self._protocols:
            number = self._resolver.protocol(name)
            if number is None:
                return None
            self._protocols[name] = number
        return self._protocols[name]
