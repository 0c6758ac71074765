"""The few questions about nftables that must be answered at once, however many elements its sets have.

nft(8) reads whole rulesets before it answers the smallest of them. So the kernel is asked: one request, or one dump.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping

from culvert.errors import HostError, Problem
from culvert.network.kernel import attributes

_NETLINK_NETFILTER = 12
_NFTABLES = 10 << 8
_GETTABLE, _GETGEN, _GETOBJ = 1, 16, 19
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_GEN_ID, _TABLE_NAME = 1, 1
_OBJECT_TABLE, _OBJECT_NAME, _OBJECT_TYPE, _OBJECT_DATA = 1, 2, 3, 4
_COUNTER, _COUNTER_OCTETS, _COUNTER_PACKETS = 1, 1, 2
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}

_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct("=BBH")
_NUMBER = struct.Struct("=i")
_ANSWER_S = 2.0
_RECEIVE_OCTETS = 1 << 16

Attributes = Mapping[int, bytes]


def generation() -> int | None:
    """Ask how often anybody changed any ruleset of this network namespace; None where the kernel does not say."""
    try:
        answers = [found for _, found in _ask(_GETGEN)]
    except HostError:
        return None
    return int.from_bytes(answers[0].get(_GEN_ID, b""), "big") if answers else None


def tables() -> list[tuple[str, str]]:
    """Give family and name of every table. Raise HostError."""
    found = _ask(_GETTABLE, dump=True)
    return [(_FAMILIES.get(family, ""), _text(attributes.get(_TABLE_NAME, b""))) for family, attributes in found]


def counters(family: str, table: str) -> dict[str, tuple[int, int]] | None:
    """Give packets and octets of the named counters of a table; None where there is no such table. Raise HostError."""
    found: dict[str, tuple[int, int]] = {}
    for of_family, values in _ask(_GETOBJ, dump=True):
        ours = _FAMILIES.get(of_family) == family and _text(values.get(_OBJECT_TABLE, b"")) == table
        if ours and _number(values.get(_OBJECT_TYPE, b"")) == _COUNTER:
            data = attributes(values.get(_OBJECT_DATA, b""))
            name = _text(values.get(_OBJECT_NAME, b""))
            found[name] = _number(data.get(_COUNTER_PACKETS, b"")), _number(data.get(_COUNTER_OCTETS, b""))
    return found if found or (family, table) in tables() else None


def _ask(question: int, *, dump: bool = False) -> list[tuple[int, Attributes]]:
    """Ask, and give the answers with their families. Raise HostError."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as opened:
            opened.settimeout(_ANSWER_S)
            flags = _REQUEST | (_DUMP if dump else 0)
            length = _HEADER.size + _GENERIC.size
            opened.send(_HEADER.pack(length, _NFTABLES | question, flags, 0, 0) + _GENERIC.pack(0, 0, 0))
            return list(_answers(opened, dump))
    except OSError as error:
        raise HostError(
            Problem(f"the kernel does not tell of nftables: {error.strerror or error}", "netlink")
        ) from error


def _answers(opened: socket.socket, dump: bool) -> Iterator[tuple[int, Attributes]]:
    """Read until the end of the dump, or one answer. Raise OSError where the kernel refuses."""
    while True:
        for kind, payload in _messages(opened.recv(_RECEIVE_OCTETS)):
            if kind == _DONE:
                return
            if kind == _ERROR:
                (number,) = _NUMBER.unpack_from(payload)
                raise OSError(-number, "the kernel refuses")
            yield payload[0], attributes(payload[_GENERIC.size :])
        if not dump:
            return


def _messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    while len(datagram) >= _HEADER.size + _GENERIC.size:
        length, kind, *_ = _HEADER.unpack_from(datagram)
        if not _HEADER.size + _GENERIC.size <= length <= len(datagram):
            return
        yield kind, datagram[_HEADER.size : length]
        datagram = datagram[(length + 3) & ~3 :]


def _number(value: bytes) -> int:
    """nftables writes numbers in network order."""
    return int.from_bytes(value, "big")


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
