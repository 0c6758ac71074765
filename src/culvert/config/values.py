"""The values that people write in every dialect: durations, networks, addresses, identities, proposals.

Each reader takes a text and raises UnusableError with what is wrong and what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network

from culvert.addresses import IPAddress, IPNetwork
from culvert.config.findings import UnusableError
from culvert.distinguished_names import DistinguishedNameError
from culvert.identities import Identity, wildcard_misuse
from culvert.ipsec.proposals import Proposal, ProposalError, ah_proposal, esp_proposal, ike_proposal
from culvert.ipsec.selectors import SelectorError, TrafficSelector, traffic_selector

MAX_DURATION_S = 366 * 86_400
"""A year: what is to last longer is meant to be "off"."""
MAX_SHOWN = 80
"""Most characters of a wrong value that a message repeats."""

_PORTED = (1, 6, 17, 33, 58, 132, 136)
"""ICMP with its types and codes, and the protocols that have ports."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9}) *([smhd])")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def shown(text: str) -> str:
    """Quote a value for a message: printable, and not longer than a person reads."""
    short = text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."
    return '"' + "".join(c if c.isprintable() else "?" for c in short) + '"'


def duration(text: str) -> int:
    """Read "30s", "5m", "1h", "1d"; "off" is 0. Seconds."""
    text = text.strip()
    if text == "off":
        return 0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UnusableError(
            f"{shown(text)} is no duration", 'Write a number and its unit, such as "30s", "5m", "1h" or "1d".'
        )
    seconds = int(match[1]) * _UNITS[match[2]]
    if not 0 < seconds <= MAX_DURATION_S:
        raise UnusableError(f"{shown(text)} is out of bounds", 'Write 1s to 366d, or "off".')
    return seconds


def network(text: str) -> IPNetwork:
    """Read "192.168.1.0/24"."""
    text = text.strip()
    try:
        return _usable(ip_network(text), text)
    except UnusableError:
        raise
    except ValueError:
        pass
    try:
        near = ip_network(text, strict=False)
    except ValueError as error:
        raise UnusableError(
            f"{shown(text)} is no network", 'Write it like "192.168.1.0/24" or "2001:db8:1::/48".'
        ) from error
    raise UnusableError(
        f"{shown(text)} is an address within a network, not a network", f'Write "{near}" for the whole network.'
    )


def _usable(found: IPNetwork, text: str) -> IPNetwork:
    first = found.network_address
    if "%" in text:
        raise UnusableError(f"{shown(text)} names an interface", "Write the network alone.")
    if first.is_multicast or first.is_loopback:
        kind = "multicast" if first.is_multicast else "loopback"
        raise UnusableError(
            f"{shown(text)} is a {kind} network", "A tunnel carries traffic between hosts: name their network."
        )
    return found


def selector(text: str) -> TrafficSelector:
    """Read a network or a range of addresses as one side of a child's traffic, with protocol and ports in brackets."""
    text = text.strip()
    addresses, bracket, _ = text.partition("[")
    covered = _addresses(addresses.strip())
    if not bracket:
        return covered
    try:
        chosen = traffic_selector(f"{covered}{text[len(addresses) :]}")
    except SelectorError as error:
        raise UnusableError(
            f"{shown(text)}: {error}", 'Write it like "10.1.0.0/16[tcp/443]", "[udp/5000-5010]", "[icmp/8]" or "[17]".'
        ) from error
    if not chosen.ports.any and chosen.protocol not in _PORTED:
        raise UnusableError(f"{shown(text)}: this protocol has no ports", "Write the protocol alone.")
    return chosen


def _addresses(text: str) -> TrafficSelector:
    if "-" not in text or "%" in text:
        return TrafficSelector.of_network(network(text))
    try:
        return traffic_selector(text)
    except SelectorError as error:
        raise UnusableError(
            f"{shown(text)} is no range of addresses", 'Write it like "10.1.0.10-10.1.0.20", the lower one first.'
        ) from error


def address(text: str) -> IPAddress:
    """Read an address that a gateway can have."""
    text = text.strip()
    try:
        found = ip_address(text)
    except ValueError as error:
        raise UnusableError(f"{shown(text)} is no address", 'Write it like "203.0.113.1" or "2001:db8::1".') from error
    if "%" in text:
        raise UnusableError(f"{shown(text)} names an interface", "Write the address alone.")
    if found.is_unspecified or found.is_multicast or str(found) == "255.255.255.255":
        raise UnusableError(f"{shown(text)} is not the address of one host", "Write the gateway's own address.")
    return found


def literal(text: str) -> IPAddress | None:
    """Give the address that `text` is; None for a name."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def host(text: str) -> str:
    """Read an address or a name of a host; give it in its usual form."""
    text = text.strip()
    if "/" in text:
        raise UnusableError(
            f"{shown(text)} has a prefix length", f'An address stands alone: write "{text.partition("/")[0]}".'
        )
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        return str(address(text))
    name = text.removesuffix(".")
    if not name or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise UnusableError(
            f"{shown(text)} is neither an address nor a name of a host",
            'Write it like "203.0.113.1" or "gw.example.org".',
        )
    return name


def identity(text: str) -> Identity:
    """Read an identity: an address, a name, an e-mail address, a distinguished name, `@name` or `@#hex`.

    It may stand for many: `*.example.org`, `*@example.org`, `O=Example, CN=*`.
    """
    try:
        found = Identity.parse(text)
    except DistinguishedNameError as error:
        raise UnusableError(f"{shown(text)}: {error}", 'Write it like "C=DE, O=Example, CN=gw1".') from error
    except ValueError as error:
        raise _no_identity(text) from error
    if not found.value:
        raise _no_identity(text)
    if misuse := wildcard_misuse(found):
        raise UnusableError(f"{shown(text)}: {misuse}", 'Write it like "*.example.org" or "*@example.org".')
    return found


def own_identity(text: str) -> Identity:
    """Read an identity of ours: one, not many."""
    found = identity(text)
    if found.is_wildcard:
        raise UnusableError(f"{shown(text)} stands for many, and a gateway is one", "Write it without *.")
    return found


def _no_identity(text: str) -> UnusableError:
    return UnusableError(
        f"{shown(text)} is no identity",
        'Write it like "203.0.113.1", "gw.example.org", "O=Example, CN=gw1" or "@#0a0b0c".',
    )


def ike(text: str) -> Proposal:
    """Read a proposal for an IKE SA; as for `esp`, weak algorithms are judged with the whole."""
    return _proposal(lambda written: ike_proposal(written, legacy=True), text)


def esp(text: str) -> Proposal:
    """Read a proposal for ESP; whether the peer's `legacy` allows its algorithms is judged with the whole."""
    return _proposal(lambda written: esp_proposal(written, legacy=True), text)


def ah(text: str) -> Proposal:
    """The same for AH."""
    return _proposal(lambda written: ah_proposal(written, legacy=True), text)


def _proposal(read: Callable[[str], Proposal], text: str) -> Proposal:
    try:
        return read(text)
    except ProposalError as error:
        raise UnusableError(str(error), "Leave the key out to use the defaults.") from error


def file(text: str) -> str:
    """Check the name of a file, or a pattern of names."""
    if not text or not text.isprintable():
        raise UnusableError(f"{shown(text)} cannot be the name of a file", 'Write it like "peers.d/*.toml".')
    return text


def name(text: str) -> str:
    """Check the name of a peer or a child: it is typed on command lines."""
    if not _NAME.fullmatch(text):
        raise UnusableError(
            f"{shown(text)} cannot be a name", 'Use letters, digits, ".", "_" and "-", at most 63 of them.'
        )
    return text
