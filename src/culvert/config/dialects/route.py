"""route(8)'s words for a static route, as FreeBSD writes them on a command line and in rc.conf.

[-net | -host | -inet | -inet6] 192.168.2.0 192.168.2.1 netmask 0xffffff00
192.168.2.0/24 192.168.2.1
-inet6 2001:db8:2:: 2001:db8:2::1 -prefixlen 64
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

from culvert.addresses import IPAddress, IPNetwork
from culvert.config.findings import UnusableError
from culvert.config.values import address, shown

_USAGE = "Write it like 192.168.2.0 192.168.2.1 netmask 0xffffff00, or 192.168.2.0/24 192.168.2.1."
_FAMILIES = ("-inet", "-inet6", "-4", "-6")


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """What is reached by which next hop. `gateway` None: not said, as when a route is deleted."""

    destination: IPNetwork
    gateway: IPAddress | None


def static_route(words: Sequence[str]) -> StaticRoute:
    """Read a route. Raise UnusableError with what is wrong."""
    rest = iter(words)
    plain: list[str] = []
    length: str | None = None
    for word in rest:
        if word in ("netmask", "-netmask", "-prefixlen", "prefixlen"):
            length = _length(_next(rest, word), mask=word.lstrip("-") == "netmask")
        elif word == "-host":
            length = length or "host"
        elif word not in ("-net", *_FAMILIES):
            plain.append(word)
    if not 1 <= len(plain) <= 2:
        raise UnusableError("a route has a destination and a gateway", _USAGE)
    return StaticRoute(_destination(plain[0], length), address(plain[1]) if len(plain) == 2 else None)


def _destination(word: str, length: str | None) -> IPNetwork:
    if word == "default":
        raise UnusableError("the default route is the host's own", "Name the network behind the link.")
    text, slash, written = word.partition("/")
    try:
        base = ip_address(text)
        bits = written if slash else length or _natural(base)
        return ip_network(f"{base}/{base.max_prefixlen if bits == 'host' else bits}", strict=False)
    except ValueError as error:
        raise UnusableError(f"{shown(word)} is no network", _USAGE) from error


def _natural(base: IPAddress) -> str:
    """Without a mask, what ends in zeros is a network of eight-bit steps, and anything else a host (route(8))."""
    if not isinstance(base, IPv4Address):
        return "host"
    octets = base.packed.rstrip(b"\0")
    return "host" if len(octets) == len(base.packed) else str(8 * max(len(octets), 1))


def _length(word: str, *, mask: bool) -> str:
    if not mask:
        return word
    try:
        value = int(word, 16) if word.lower().startswith("0x") else int(IPv4Address(word))
        length = value.bit_count()
        if value != (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF:
            raise ValueError
    except ValueError as error:
        raise UnusableError(f"{shown(word)} is no netmask", "Write it like 0xffffff00 or 255.255.255.0.") from error
    return str(length)


def _next(rest: Iterator[str], word: str) -> str:
    following = next(rest, None)
    if following is None:
        raise UnusableError(f"something is missing behind {shown(word)}", _USAGE)
    return following
