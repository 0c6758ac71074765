"""Addresses, prefixes and ports: `[-46n] A`, `A[4500]`, `192.0.2.0/24[80]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from culvert.addresses import IPAddress, IPNetwork
from culvert.ipsec.selectors import MAX_PORT
from culvert.setkey.names import Names, UnknownNameError
from culvert.setkey.words import Words, Wrong

_IPV4 = re.compile(r"(?:(?:0|[1-9][0-9]{0,2}+)(?:\.|$)){4}+(?<!\.)", re.ASCII)
_IPV4_MASKS = {str(length): (2**length - 1) << (32 - length) for length in range(33)} | {"": 2**32 - 1}
_IPV4_LENGTHS = {str(length): length for length in range(33)} | {"": 32}
ANY_PORT = ""
"""No port was written, or `any`, or 0."""
_FAMILIES = {"4": 4, "6": 6}


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the flags behind a command allow: one family or both (None), names or numbers only."""

    version: int | None = None
    numeric: bool = False


_BOTH = Lookup()


@dataclass(frozen=True, slots=True)
class Range:
    """One side of a selector. A name gives several networks. `port` is a number, a name, or ANY_PORT."""

    networks: list[IPNetwork]
    port: str
    index: int
    """Number of the word that began it."""


class Endpoints:
    """Reads them, and remembers: the same few addresses come again and again."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._networks: dict[tuple[str, str], list[IPNetwork]] = {}

    def addresses(self, words: Words, lookup: Lookup, wanted: str) -> list[IPAddress]:
        """Read one address, or a name with all of its addresses. Raise Wrong."""
        word = words.next(wanted)
        address = literal(word)
        if address is None:
            return self._named(words, word, lookup, wanted)
        self._family(words, lookup, address)
        return [address]

    def range(self, words: Words, lookup: Lookup, wanted: str) -> Range:
        """Read an address or a name, with `/length` and `[port]` behind it. Raise Wrong."""
        index, word = words.at, words.peek()
        length = words.peek(2) if words.peek(1) == "/" else ""
        networks = self._known(word, length) if lookup is _BOTH else None
        if networks is None:
            networks = self._read(words, lookup, wanted)
        else:
            words.at += 3 if length else 1
        return Range(networks, self.port(words), index)

    def _known(self, word: str, length: str) -> list[IPNetwork] | None:
        """Give the network of a plain address, remembered, or None where it takes a closer look."""
        networks = self._networks.get((word, length))
        if networks is None and (network := _ipv4_network(word, length)) is not None:
            networks = self._networks[word, length] = [network]
        return networks

    def _read(self, words: Words, lookup: Lookup, wanted: str) -> list[IPNetwork]:
        word, addresses = words.peek(), self.addresses(words, lookup, wanted)
        length = words.next("the length of the prefix") if words.take("/") else ""
        networks = [_network(words, address, length) for address in addresses]
        if lookup is _BOTH:
            self._networks[word, length] = networks
        return networks

    def port(self, words: Words) -> str:
        """Read `[port]` where there is one: a number, a name or `any`. Raise Wrong."""
        if not words.take("["):
            return ANY_PORT
        port = words.next("the port")
        if not words.take("]"):
            raise Wrong(words.at, "the port lacks its closing bracket", "Write it as in 192.0.2.1[4500].")
        return ANY_PORT if port in ("any", "0") else port

    def port_number(self, port: str, transport: str, index: int) -> int:
        """Give the number of a port or of a service. Raise Wrong at the word `index`."""
        if port.isascii() and port.isdecimal():
            if len(port) > 5 or int(port) > MAX_PORT:
                raise Wrong(index, f"a port is at most {MAX_PORT}")
            return int(port)
        number = self.names.service(port, transport)
        if number is None:
            raise Wrong(
                index, f"no service has this name{f' with {transport}' if transport else ''}", "Write its port."
            )
        return number

    def _named(self, words: Words, word: str, lookup: Lookup, wanted: str) -> list[IPAddress]:
        if "%" in word:
            raise words.wrong("an address with an interface cannot be used", "Write it without `%` and what follows.")
        if lookup.numeric or ":" in word or word in "/[]":
            raise words.wrong(f"{wanted} is no address", _example(lookup))
        try:
            return self.names.addresses(word, lookup.version)
        except UnknownNameError as error:
            raise words.wrong(f"{wanted} cannot be used: {error}", "Write the address, or correct the name.") from None

    def _family(self, words: Words, lookup: Lookup, address: IPAddress) -> None:
        if lookup.version not in (None, address.version):
            raise words.wrong(
                f"the address is of IPv{address.version}, and the command says -{lookup.version}",
                f"Leave -{lookup.version} out, or write an address of IPv{lookup.version}.",
            )


def lookup(words: Words) -> Lookup:
    """Read the flags `-4`, `-6`, `-n`, or several at once. Raise Wrong."""
    if words.peek()[:1] != "-":
        return _BOTH
    version, numeric, given = None, False, False
    while (word := words.peek())[:1] == "-" and len(word) > 1 and not set(word[1:]) - set("46n"):
        words.at += 1
        given = True
        for letter in word[1:]:
            numeric |= letter == "n"
            family = _FAMILIES.get(letter)
            if family and version not in (None, family):
                raise words.wrong("-4 and -6 exclude each other", "Leave both out for either family.")
            version = family or version
    return Lookup(version, numeric) if given else _BOTH


def literal(word: str) -> IPAddress | None:
    """Give the address that the word is, or None. One with an interface is none."""
    if (value := _ipv4(word)) is not None:
        return IPv4Address(value)
    try:
        return IPv6Address(word) if ":" in word and "%" not in word else None
    except ValueError:
        return None


def _ipv4(word: str) -> int | None:
    """Give the number of an address. Four times as fast as the standard library's, and files have many."""
    if not _IPV4.match(word):
        return None
    one, two, three, four = map(int, word.split("."))
    return None if max(one, two, three, four) > 255 else one << 24 | two << 16 | three << 8 | four


def _ipv4_network(word: str, length: str) -> IPv4Network | None:
    """Give the network where both are written as they mostly are."""
    mask, value = _IPV4_MASKS.get(length), _ipv4(word)
    return None if mask is None or value is None else IPv4Network((value & mask, _IPV4_LENGTHS[length]))


def _network(words: Words, address: IPAddress, length: str) -> IPNetwork:
    kind = IPv4Network if address.version == 4 else IPv6Network
    if not length:
        return kind(int(address))
    if not (length.isascii() and length.isdecimal()) or len(length) > 3 or int(length) > address.max_prefixlen:
        raise words.wrong(
            "this is no length of a prefix", f"It is a number from 0 to {address.max_prefixlen}, as in {address}/24."
        )
    return kind((int(address), int(length)), strict=False)


def _example(lookup: Lookup) -> str:
    return f"Write one, as {'2001:db8::1' if lookup.version == 6 else '192.0.2.1'}."
