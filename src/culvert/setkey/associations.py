"""The commands about associations: add, update, get, delete, deleteall, flush, dump."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from culvert.addresses import NAT_PORT, IPAddress
from culvert.ipsec.associations import AssociationId, Encapsulation, Mode, Protocol, SecurityAssociation
from culvert.ipsec.lifetimes import Lifetimes
from culvert.setkey.algorithms import Algorithms
from culvert.setkey.context import Context
from culvert.setkey.endpoints import ANY_PORT, Lookup, literal, lookup
from culvert.setkey.statements import (
    AddAssociation,
    DeleteAssociation,
    DeleteAssociations,
    DumpAssociations,
    FlushAssociations,
    GetAssociation,
    Statement,
)
from culvert.setkey.words import Words, Wrong

FIRST_SPI = 256
"""Smaller ones are reserved (RFC 4303 section 2.1)."""
MAX_WINDOW_OCTETS = 8_192
"""Of the bitmap: 65,536 packets, the engine's widest window."""
MIN_WINDOW_PACKETS = 32
"""RFC 4303 section 3.4.3 wants at least this; one octet of bitmap would be eight."""
MAX_NUMBER = 2**64 - 1
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}+|[0-9]{1,20}+", re.ASCII)
_REFUSED_PROTOCOLS = {
    "esp-old": ("esp-old is RFC 1827 of 1995, without integrity and replay protection", "Write esp."),
    "ah-old": ("ah-old is RFC 1826 of 1995, without replay protection", "Write ah."),
    "ipcomp": ("IPComp is not done here", "Leave it out: nothing but the packets' length depends on it."),
    "tcp": (
        "tcp is for TCP-MD5 (RFC 2385), which protects segments of one connection and not IP packets",
        "The program that has the connection sets its key.",
    ),
}


@dataclass(slots=True)
class _Kind:
    """The protocol of an association, and whether its ESP is in UDP."""

    protocol: Protocol
    in_udp: bool = False


@dataclass(slots=True)
class _Extensions:
    """What stands between the SPI and the algorithms, and they too: setkey takes them in any order."""

    mode: Mode = Mode.ANY
    reqid: int = 0
    window_packets: int = 0
    esn: bool = False
    limits: dict[str, int] = field(default_factory=dict)
    algorithms: Algorithms = field(default_factory=Algorithms)

    def association(
        self, identity: AssociationId, source: IPAddress, encapsulation: Encapsulation | None
    ) -> SecurityAssociation:
        """Give the association of this name that has all of it. It serves both directions."""
        return SecurityAssociation(
            source=source,
            destination=identity.destination,
            spi=identity.spi,
            direction=None,
            reqid=self.reqid,
            encryption=self.algorithms.encryption,
            encryption_key=self.algorithms.encryption_key,
            integrity=self.algorithms.integrity,
            integrity_key=self.algorithms.integrity_key,
            protocol=identity.protocol,
            mode=self.mode,
            encapsulation=encapsulation,
            replay_window_packets=self.window_packets,
            lifetimes=Lifetimes(**self.limits),
            esn=self.esn,
            legacy=self.algorithms.legacy,
        )


def add(words: Words, context: Context, *, replacing: bool = False) -> Iterator[Statement]:
    """Read what follows `add` or `update`; a statement for each pair of addresses. Raise Wrong."""
    pairs, ports = _both(words, context)
    kind = _protocol(words, context)
    spi = _spi(words)
    extensions = _extensions(words, context)
    words.end()
    extensions.algorithms.judge(words, kind.protocol)
    _warn_of_counters(context, extensions.algorithms)
    encapsulation = _encapsulation(context, ports, kind)
    for source, destination in pairs:
        association = extensions.association(AssociationId(destination, spi, kind.protocol), source, encapsulation)
        yield AddAssociation(association, replacing, context.at)


def update(words: Words, context: Context) -> Iterator[Statement]:
    """Read what follows `update`. Raise Wrong."""
    return add(words, context, replacing=True)


def get(words: Words, context: Context) -> Iterator[Statement]:
    """Read what follows `get`. Raise Wrong."""
    identity, source = _one(words, context)
    yield GetAssociation(identity, source, context.at)


def delete(words: Words, context: Context) -> Iterator[Statement]:
    """Read what follows `delete`. Raise Wrong."""
    identity, source = _one(words, context)
    yield DeleteAssociation(identity, source, context.at)


def deleteall(words: Words, context: Context) -> Iterator[Statement]:
    """Read what follows `deleteall`. Raise Wrong."""
    pairs, _ = _both(words, context)
    protocol = _protocol(words, context).protocol if words.peek() else None
    words.end()
    for source, destination in pairs:
        yield DeleteAssociations(source, destination, protocol, context.at)


def flush(words: Words, context: Context) -> Iterator[Statement]:
    """Read what follows `flush`. Raise Wrong."""
    protocol = _protocol(words, context).protocol if words.peek() else None
    words.end()
    yield FlushAssociations(protocol, context.at)


def dump(words: Words, context: Context) -> Iterator[Statement]:
    """Read what follows `dump`. Raise Wrong."""
    protocol = _protocol(words, context).protocol if words.peek() else None
    words.end()
    yield DumpAssociations(protocol, context.at)


def getspi(words: Words, context: Context) -> Iterator[Statement]:  # noqa: ARG001
    """Refuse `getspi`."""
    raise words.wrong(
        "getspi holds an SPI for a program that negotiates keys, and this is none",
        "Choose the SPI yourself and write `add`.",
    )


def number(words: Words, wanted: str, most: int = MAX_NUMBER) -> int:
    """Read a number, decimal or with 0x. Raise Wrong."""
    word = words.next(wanted)
    if not _NUMBER.fullmatch(word):
        raise words.wrong(f"{wanted} is no number", "Write it in decimal, or in hexadecimal behind 0x.")
    value = int(word, 16) if word[:2].lower() == "0x" else int(word)
    if value > most:
        raise words.wrong(f"{wanted} is at most {most}")
    return value


_Pairs = list[tuple[IPAddress, IPAddress]]
_Ports = tuple[tuple[str, int], tuple[str, int]]


def _both(words: Words, context: Context) -> tuple[_Pairs, _Ports]:
    """Read source and destination, with ports and the number of the words they are in."""
    flags = lookup(words)
    index = words.at
    sources, source_port = _end(words, context, flags, "the source")
    destinations, destination_port = _end(words, context, flags, "the destination")
    pairs = [(one, other) for one in sources for other in destinations if one.version == other.version]
    if not pairs:
        raise Wrong(index, "source and destination are of different families", "Write both of IPv4, or both of IPv6.")
    return pairs, (source_port, destination_port)


def _end(words: Words, context: Context, flags: Lookup, wanted: str) -> tuple[list[IPAddress], tuple[str, int]]:
    addresses = context.endpoints.addresses(words, flags, wanted)
    if words.peek() == "/":
        words.at += 1
        raise words.wrong("an association is between two addresses, not networks", "Leave the length out.")
    index = words.at + 1
    return addresses, (context.endpoints.port(words), index)


def _one(words: Words, context: Context) -> tuple[AssociationId, IPAddress]:
    """Read what names one association. A mode, which it once needed, may follow."""
    index = words.at
    pairs, _ = _both(words, context)
    if len(pairs) > 1:
        raise Wrong(index, "the names have several addresses", "Write the addresses, or -4 or -6.")
    kind = _protocol(words, context)
    spi = _spi(words)
    _extensions(words, context)
    words.end()
    return AssociationId(pairs[0][1], spi, kind.protocol), pairs[0][0]


def _protocol(words: Words, context: Context) -> _Kind:
    word = words.next("the protocol, esp or ah,")
    if word == "esp-udp":
        if literal(words.peek()) is not None:
            words.at += 1
            context.warn(words.at - 1, "the original address is not needed: checksums are made anew")
        return _Kind(Protocol.ESP, in_udp=True)
    if word in _REFUSED_PROTOCOLS:
        raise words.wrong(*_REFUSED_PROTOCOLS[word])
    if word not in ("esp", "ah"):
        raise words.wrong("there is no protocol of this name", "Write esp, esp-udp or ah.")
    return _Kind(Protocol(word))


def _spi(words: Words) -> int:
    spi = number(words, "the SPI", 2**32 - 1)
    if spi < FIRST_SPI:
        raise words.wrong(f"SPIs below {FIRST_SPI} are reserved", f"Write one from {FIRST_SPI} to 4294967295.")
    return spi


def _extensions(words: Words, context: Context) -> _Extensions:
    extensions = _Extensions()
    while (word := words.peek())[:1] == "-":
        words.at += 1
        reader = _READERS.get(word)
        if reader is None:
            raise words.wrong("there is no option of this name", f"There are {', '.join(_READERS)}.")
        reader(words, context, extensions)
    return extensions


def _mode(words: Words, context: Context, extensions: _Extensions) -> None:  # noqa: ARG001
    word = words.next("the mode")
    if word not in tuple(Mode):
        raise words.wrong("there is no mode of this name", "Write transport, tunnel or any.")
    extensions.mode = Mode(word)


def _window(words: Words, context: Context, extensions: _Extensions) -> None:  # noqa: ARG001
    octets = number(words, "the size of the replay window, in octets of bitmap,", MAX_WINDOW_OCTETS)
    extensions.window_packets = max(MIN_WINDOW_PACKETS, 8 * octets) if octets else 0


def _reqid(words: Words, context: Context, extensions: _Extensions) -> None:  # noqa: ARG001
    extensions.reqid = number(words, "the reqid", 2**32 - 1)


def _flag(words: Words, context: Context, extensions: _Extensions) -> None:
    """Padding is as RFC 4303 section 2.4 says whatever is written here: no peer can tell."""
    word = words.next("what -f sets")
    if word == "esn":
        extensions.esn = True
    elif word == "cyclic-seq":
        context.warn(words.at - 1, "sequence numbers never begin anew: the association ends with the last of them")
    elif word not in ("zero-pad", "random-pad", "seq-pad", "nocyclic-seq"):
        raise words.wrong("-f does not know this", "Write zero-pad, random-pad, seq-pad, nocyclic-seq or esn.")


def _limit(name: str) -> Callable[[Words, Context, _Extensions], None]:
    def read(words: Words, context: Context, extensions: _Extensions) -> None:  # noqa: ARG001
        most = 2**63 - 1 if name.endswith("_s") else MAX_NUMBER - 1
        extensions.limits[name] = number(words, "the lifetime", most)

    return read


def _encryption(words: Words, context: Context, extensions: _Extensions) -> None:
    extensions.algorithms.read_encryption(words, context.legacy)


def _integrity(words: Words, context: Context, extensions: _Extensions) -> None:
    extensions.algorithms.read_integrity(words, context.legacy)


def _compression(words: Words, context: Context, extensions: _Extensions) -> None:  # noqa: ARG001
    raise words.wrong(*_REFUSED_PROTOCOLS["ipcomp"])


def refuse_context(words: Words) -> Wrong:
    """Say that access control labels are not kept."""
    return words.wrong("labels of SELinux are not kept here", "Leave -ctx and its three words out.")


def _context(words: Words, context: Context, extensions: _Extensions) -> None:  # noqa: ARG001
    raise refuse_context(words)


_READERS: dict[str, Callable[[Words, Context, _Extensions], None]] = {
    "-E": _encryption,
    "-A": _integrity,
    "-C": _compression,
    "-m": _mode,
    "-r": _window,
    "-u": _reqid,
    "-f": _flag,
    "-lh": _limit("hard_s"),
    "-ls": _limit("soft_s"),
    "-bh": _limit("hard_octets"),
    "-bs": _limit("soft_octets"),
    "-ctx": _context,
}


def _encapsulation(context: Context, ports: _Ports, kind: _Kind) -> Encapsulation | None:
    if not kind.in_udp:
        for port, index in ports:
            if port != ANY_PORT:
                raise Wrong(index, f"{kind.protocol} has no ports", "Leave the port out, or write esp-udp.")
        return None
    source, destination = (
        NAT_PORT if port == ANY_PORT else context.endpoints.port_number(port, "udp", index) for port, index in ports
    )
    return Encapsulation(source, destination)


def _warn_of_counters(context: Context, algorithms: Algorithms) -> None:
    """Once a file: the second use of a key with these breaks what the first protected."""
    encryption = algorithms.encryption
    if encryption is None or not encryption.counter or context.warned_of_counters:
        return
    context.warned_of_counters = True
    context.warn(
        algorithms.encryption_index,
        f"{encryption.setkey_name} with a key from a file: after a restart it counts from 1 again, "
        "and two packets under one key and counter give both away",
        "Change the key each time that the file is loaded, use aes-cbc with hmac-sha2-256, or let IKE make keys.",
    )
